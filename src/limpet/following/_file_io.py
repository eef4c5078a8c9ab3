"""All access of following to the disk and the clock, so that tests can make each call fail."""

from __future__ import annotations

import errno
import glob
import os
import time
from typing import Final

from limpet._fingerprint import OPEN_FLAGS, inode_generation, pread

Identity = tuple[int, int]
"""Device and inode: exact while a descriptor of the file is open, a guess afterwards."""
Stamp = tuple[int, int, int]
"""Size, mtime and ctime in nanoseconds. An unchanged stamp means that nobody has written: Linux
6.13 sets a new time after every query. On older systems a clock tick of some milliseconds may hide
a write, so a file with a hint is examined in any case."""

MISSING: Final = frozenset((errno.ENOENT, errno.ENOTDIR))


def identity_of(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what differs after a write."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class FileIO:
    """The real disk and the real clock."""

    def stat(self, path: str) -> os.stat_result:
        """Return the status of a path; symlinks are followed."""
        return os.stat(path)

    def lstat(self, path: str) -> os.stat_result:
        """Return the status of a path; a symlink at its end is not followed."""
        return os.lstat(path)

    def open(self, path: str) -> int:
        """Open for reading, without waiting for a writer of a FIFO."""
        return os.open(path, OPEN_FLAGS)

    def fstat(self, fd: int) -> os.stat_result:
        """Return the status of an open file."""
        return os.fstat(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Read at an offset; short only at the end of the file."""
        return pread(fd, size, offset)

    def close(self, fd: int) -> None:
        os.close(fd)

    def inode_generation(self, fd: int) -> int | None:
        """Return the number that distinguishes two uses of an inode, if the file system has it."""
        return inode_generation(fd)

    def data_from(self, fd: int, offset: int) -> int:
        """Return where a hole at ``offset`` ends; ``offset`` itself if there is none."""
        if not hasattr(os, "SEEK_DATA"):
            return offset
        try:
            return os.lseek(fd, offset, os.SEEK_DATA)
        except OSError:
            return offset  # all of the rest is a hole, or the file system does not know

    def glob(self, pattern: str) -> list[str]:
        """Return the matching names, sorted; hidden ones only if the pattern has the dot."""
        return sorted(glob.glob(pattern, recursive=True))

    def names(self, directory: str) -> dict[int, str]:
        """Return inode -> path of the entries of a directory; empty if it cannot be read."""
        try:
            with os.scandir(directory) as entries:
                return {entry.inode(): entry.path for entry in entries}
        except OSError:
            return {}

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Return unix seconds."""
        return time.time()
