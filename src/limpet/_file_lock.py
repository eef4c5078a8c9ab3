"""One exclusive lock on a file of its own, for a state that two processes must not share."""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from typing import Final

from limpet._descriptors import close_reader
from limpet._exclusive_lock import lock_exclusively

_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


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
            lock_exclusively(fd)
        except BlockingIOError as error:
            close_reader(fd)
            raise BlockingIOError(errno.EAGAIN, "locked by another process", path) from error
        except BaseException:
            close_reader(fd)
            raise
        self._fd: int | None = fd
        _held.add(self)
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())

    def close(self) -> None:
        """Release the lock; may be called twice."""
        fd, self._fd = self._fd, None
        if fd is not None:
            close_reader(fd)


_held: Final[weakref.WeakSet[FileLock]] = weakref.WeakSet()


def _after_fork() -> None:
    """Close, in a forked child, the locks of its parent: they would be held as long as it lives."""
    for lock in list(_held):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def holder_of(path: str | os.PathLike[str]) -> str:
    """Return `` (process 123)``, for messages, of who has locked a file; empty if it is not known.

    It is the number in that process's own namespace: in another container it means nothing.
    """
    try:
        with open(path, "rb") as file:
            return f" (process {int(file.read(20))})"
    except (OSError, ValueError):
        return ""
