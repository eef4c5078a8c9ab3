"""A stat result in the form that events have."""

from __future__ import annotations

import os
import stat
from typing import Final

from limpet.events import FileStat, Kind

_FORMS: Final[dict[int, Kind]] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
}
KIND_OF_FORM: Final = tuple(_FORMS.get(form << 12, "other") for form in range(16))
"""The four highest bits of a mode -> the kind."""

_HAS_BIRTH: Final = hasattr(os.stat_result, "st_birthtime")


def identity_of(found: os.stat_result) -> tuple[int, int]:
    """Return device and inode of a file, which together are no other file's.

    All of limpet compares this pair: of a device the lower 32 bits, for Linux has no more, and
    Windows' number of a volume has 64 bits since Python 3.12, and 32 in what it reports of changes.
    """
    return found.st_dev & 0xFFFFFFFF, found.st_ino & 0xFFFFFFFFFFFFFFFF


def kind_of_mode(mode: int) -> Kind:
    """Return the kind for a stat mode."""
    return KIND_OF_FORM[mode >> 12 & 15]


def file_stat(found: os.stat_result, birthtime: float | None = None) -> FileStat:
    """Return the public form.

    Args:
        found: The status.
        birthtime: Taken where ``os.stat`` has none (on Linux).
    """
    device, inode = identity_of(found)
    return FileStat(
        size=found.st_size,
        mtime=found.st_mtime_ns / 1e9,
        ctime=found.st_ctime_ns / 1e9,
        birthtime=found.st_birthtime if _HAS_BIRTH else birthtime,  # type: ignore[attr-defined,unused-ignore]
        mode=found.st_mode,
        uid=found.st_uid,
        gid=found.st_gid,
        inode=inode,
        device=device,
        kind=kind_of_mode(found.st_mode),
    )
