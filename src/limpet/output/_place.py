"""Renames a file to a free name, on file systems that can do it in one step and on others.

1. ``renameat2`` with RENAME_NOREPLACE: one step. FUSE file systems (bindfs, mergerfs, sshfs), older
   kernels and some sandboxes do not have it.
2. ``link`` and ``unlink``: the file has two names for a moment.
3. The name is claimed by an empty file, which is then replaced (exFAT, rclone: no hard links). A
   reader may see the empty file for a moment, and a crash in that moment leaves it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Final

from limpet.output._syscalls import Syscalls

NO_WAY: Final = frozenset((errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP))
"""What renameat2(2) returns where it, or the file system, does not know RENAME_NOREPLACE."""

_NO_LINKS: Final = frozenset(
    (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EIO)
)
"""What link(2) returns where there are no hard links. EPERM: link(2), and for a file of another
owner (proc(5), protected_hardlinks); EIO: rclone."""


def rename_to_free(calls: Syscalls, dir_fd: int, name: str, to: int, new: str) -> None:
    """Rename a file to a name that is free.

    Raises:
        OSError: EEXIST: it is taken. The file has its old name alone.
    """
    try:
        calls.rename_new(dir_fd, name, to, new)
    except OSError as error:
        if error.errno not in NO_WAY:
            raise
    else:
        return
    try:
        calls.link(dir_fd, name, to, new)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _claim(calls, dir_fd, name, to, new)
        return
    try:
        calls.unlink(dir_fd, name)
    except OSError:
        with contextlib.suppress(OSError):
            calls.unlink(to, new)
        raise


def _claim(calls: Syscalls, dir_fd: int, name: str, to: int, new: str) -> None:
    """Take the name with an empty file, then rename over it.

    RACE: another process that writes into the empty file before it is replaced loses what it wrote.
    The window is one rename; no call of such a file system closes it.
    """
    fd = calls.open_file(to, new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    calls.close_quietly(fd)  # nothing was written
    try:
        calls.rename(dir_fd, name, to, new)
    except OSError:
        with contextlib.suppress(OSError):
            calls.unlink(to, new)
        raise
