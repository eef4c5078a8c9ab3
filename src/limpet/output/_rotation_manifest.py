"""The manifest of the rotated files of one log: which files they are, and their status. Pure.

The manifest is a file in the directory like any other, so another process may have written it: its
content counts only as far as it can be ours, and a file is ours only while it is as recorded.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from limpet.output._limits import Rotation
from limpet.output._name_validation import STAGING


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatedFile:
    """One rotated file."""

    name: str
    inode: int
    size: int
    mtime_ns: int
    since: float
    """When it was rotated, unix seconds."""
    packs: str = ""
    """The file that is packed in it, if that may still be there."""

    def matches(self, inode: int, size: int, mtime_ns: int) -> bool:
        """Return whether a file with this status is this one, unchanged."""
        return (inode, size, mtime_ns) == (self.inode, self.size, self.mtime_ns)


def manifest_name(name: str) -> str:
    """Return the name of the manifest of the rotated files of ``name``."""
    return f"{STAGING}rotation.{name}"


def number_of(base: str, name: str) -> int:
    """Return the number of ``name`` among the rotated files of ``base``; 0 if it is not one."""
    found = re.fullmatch(re.escape(base) + r"\.([1-9][0-9]{0,8})(?:\.gz)?", name)
    return int(found[1]) if found else 0


def beyond(
    rotated: list[RotatedFile], rotation: Rotation, now: float, *, by_bytes: bool
) -> list[RotatedFile]:
    """Return the oldest rotated files, as many as must go so that all bounds hold.

    Args:
        rotated: All of them, oldest first.
        rotation: The bounds.
        now: Unix seconds.
        by_bytes: Whether ``max_total_bytes`` counts: not before what is to be packed is packed.
    """
    left = list(rotated)
    total = sum(row.size for row in left)
    most = rotation.max_total_bytes if by_bytes else None
    while left and (
        (rotation.keep is not None and len(left) > rotation.keep)
        or (rotation.max_age is not None and now - left[0].since > rotation.max_age)
        or (most is not None and total > most)
    ):
        total -= left.pop(0).size
    return rotated[: len(rotated) - len(left)]


def dump(rotated: list[RotatedFile]) -> bytes:
    """Return the manifest's content."""
    return json.dumps([asdict(row) for row in rotated]).encode()


def parse(base: str, data: bytes) -> list[RotatedFile]:
    """Return the rotated files of ``base``, oldest first; none if the manifest cannot be ours."""
    try:
        rows: list[dict[str, Any]] = json.loads(data)
        rotated = [
            RotatedFile(
                name=str(row["name"]),
                inode=int(row["inode"]),
                size=int(row["size"]),
                mtime_ns=int(row["mtime_ns"]),
                since=float(row["since"]),
                packs=str(row["packs"]),
            )
            for row in rows
        ]
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return []
    if not all(number_of(base, row.name) for row in rotated):
        return []
    if any(row.packs and row.name != f"{row.packs}.gz" for row in rotated):
        return []
    return sorted(rotated, key=lambda row: number_of(base, row.name))
