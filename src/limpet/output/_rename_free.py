"""Rename by whole paths to a name that is free: for programs that name no root.

An output refuses names that it would not write itself (control characters, backslashes). A file
that another program has put somewhere may have such a name, and can be moved all the same.
"""

from __future__ import annotations

import os
import stat
import sys

from limpet.output._place import NO_WAY, rename_to_free
from limpet.output._syscalls import Syscalls


def rename_to_free_path(source: str, target: str) -> None:
    """Rename a file, a symlink itself or a directory; nothing that is at ``target`` is replaced.

    RACE: as ``MoveFile``: where the system cannot refuse it in one step, a directory may replace an
    empty directory that comes to the new name at that moment.

    Raises:
        FileExistsError: The name is taken; nothing changed.
        OSError: Nothing changed. EXDEV: the new name is on another file system.
    """
    if sys.platform == "win32":
        os.rename(source, target)  # replaces nothing there (documentation of os)
        return
    calls = Syscalls()
    old, new = os.path.split(source), os.path.split(target)
    source_fd = calls.open_root(old[0], follow=True)
    try:
        dir_fd = calls.open_root(new[0], follow=True)
        try:
            _rename(calls, source_fd, old[1], dir_fd, new[1])
        finally:
            calls.close_quietly(dir_fd)
    finally:
        calls.close_quietly(source_fd)


def _rename(calls: Syscalls, source_fd: int, name: str, dir_fd: int, new: str) -> None:
    if not stat.S_ISDIR(calls.stat_at(source_fd, name).st_mode):
        rename_to_free(calls, source_fd, name, dir_fd, new)
        return
    try:
        calls.rename_new(source_fd, name, dir_fd, new)
    except OSError as error:
        if error.errno not in NO_WAY:
            raise
        if _is_taken(calls, dir_fd, new):
            raise FileExistsError(error.errno, "the name is taken", new) from None
        calls.rename(source_fd, name, dir_fd, new)


def _is_taken(calls: Syscalls, dir_fd: int, name: str) -> bool:
    try:
        calls.stat_at(dir_fd, name)
    except FileNotFoundError:
        return False
    return True
