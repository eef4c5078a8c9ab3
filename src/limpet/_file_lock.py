"""One exclusive lock on a file of its own, for a state that two processes must not share."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Final

from limpet._descriptors import close_reader

_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_HELD: Final = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK}
"""What flock(2) and Windows' LK_NBLCK say of a lock that another one holds."""


class FileLock:
    """An exclusive lock, held until ``close`` or until the process ends, however it ends.

    The lock file has the number of the process that holds it, for messages.
    The lock file stays after ``close``: removing it would let two processes hold a lock each, one
    on the removed file and one on the new one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Create the lock file if it is missing, and lock it without waiting.

        Raises:
            BlockingIOError: Another process, or another lock of this one, holds it.
            OSError: The file cannot be opened, or its file system has no locks.
        """
        fd = os.open(path, _FLAGS, 0o600)
        try:
            _lock(fd)
        except OSError as error:
            close_reader(fd)
            if error.errno not in _HELD:
                raise
            raise BlockingIOError(errno.EAGAIN, "locked by another process", path) from error
        except BaseException:
            close_reader(fd)
            raise
        self._fd: int | None = fd
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())

    def close(self) -> None:
        """Release the lock; may be called twice."""
        fd, self._fd = self._fd, None
        if fd is not None:
            close_reader(fd)


def holder_of(path: str | os.PathLike[str]) -> str:
    """Return `` (process 123)``, for messages, of who has locked a file; empty if it is not known.

    It is the number in that process's own namespace: in another container it means nothing.
    """
    try:
        with open(path, "rb") as file:
            return f" (process {int(file.read(20))})"
    except (OSError, ValueError):
        return ""


def _lock(fd: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
