"""A stat result in the form that events have."""

from __future__ import annotations

import os
import stat

from limpet.events import FileStat, Kind


def file_stat(found: os.stat_result) -> FileStat:
    """Return the public form; with a birth time where ``os.stat`` has one (not on Linux)."""
    return FileStat(
        size=found.st_size,
        mtime=found.st_mtime,
        ctime=found.st_ctime,
        birthtime=getattr(found, "st_birthtime", None),
        mode=found.st_mode,
        uid=found.st_uid,
        gid=found.st_gid,
        inode=found.st_ino,
        device=found.st_dev,
        kind=_kind(found.st_mode),
    )


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "dir"
    return "symlink" if stat.S_ISLNK(mode) else "other"
