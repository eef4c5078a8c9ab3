"""The note on what was put aside of a file: which files they are, and how they looked then. Pure.

The note is a file in the folder like any other, so somebody else may have written it: what it says
is believed only as far as it can be ours, and a file is only ours as long as it looks as noted.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from limpet.output._name_validation import STAGING

__all__ = ["Kept", "dump", "note_name", "number_of", "parse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file that was put aside."""

    name: str
    inode: int
    size: int
    mtime_ns: int
    since: float
    """When it was put aside, unix seconds."""
    packs: str = ""
    """The file it holds packed, if that may still be there."""

    def looks_like(self, inode: int, size: int, mtime_ns: int) -> bool:
        """Whether what stands there is what was put there."""
        return (inode, size, mtime_ns) == (self.inode, self.size, self.mtime_ns)


def note_name(name: str) -> str:
    """Give the name of the note on the files put aside of ``name``."""
    return f"{STAGING}rotation.{name}"


def number_of(base: str, name: str) -> int:
    """Give the number under which ``base`` was put aside as ``name``; 0 if it was not."""
    found = re.fullmatch(re.escape(base) + r"\.([1-9][0-9]{0,8})(?:\.gz)?", name)
    return int(found[1]) if found else 0


def dump(kept: list[Kept]) -> bytes:
    """Give the note's content."""
    return json.dumps([asdict(row) for row in kept]).encode()


def parse(base: str, data: bytes) -> list[Kept]:
    """Give what the note on ``base`` lists, oldest first; one that cannot be ours lists none."""
    try:
        rows: list[dict[str, Any]] = json.loads(data)
        kept = [
            Kept(
                name=str(row["name"]),
                inode=int(row["inode"]),
                size=int(row["size"]),
                mtime_ns=int(row["mtime_ns"]),
                since=float(row["since"]),
                packs=str(row["packs"]),
            )
            for row in rows
        ]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    if not all(number_of(base, row.name) for row in kept):
        return []
    if any(row.packs and row.name != f"{row.packs}.gz" for row in kept):
        return []
    return sorted(kept, key=lambda row: number_of(base, row.name))
