"""Every way from following to the disk and the clock, so that tests can make each of them fail."""

from __future__ import annotations

import errno
import glob
import os
import time
from typing import Final

from limpet._fingerprint import OPEN_FLAGS, inode_generation, pread

__all__ = ["MISSING", "FileIO", "Identity", "Stamp", "identity_of", "stamp_of"]

Identity = tuple[int, int]
"""Device and inode: exact for as long as a descriptor of it is open, a guess afterwards."""
Stamp = tuple[int, int, int]
"""Size, mtime and ctime in nanoseconds: unchanged means that nobody has written (Linux 6.13 gives
times that differ after every look; before, a clock tick of some milliseconds may hide a write, so
whoever was told of one looks all the same)."""

MISSING: Final = frozenset((errno.ENOENT, errno.ENOTDIR))


def identity_of(status: os.stat_result) -> Identity:
    """Give who a file is."""
    return status.st_dev, status.st_ino


def stamp_of(status: os.stat_result) -> Stamp:
    """Give what differs once somebody has written."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class FileIO:
    """The real disk."""

    def stat(self, path: str) -> os.stat_result:
        """Follow symlinks."""
        return os.stat(path)

    def lstat(self, path: str) -> os.stat_result:
        """Do not follow the last symlink."""
        return os.lstat(path)

    def open(self, path: str) -> int:
        """Open for reading, without ever waiting for a writer."""
        return os.open(path, OPEN_FLAGS)

    def fstat(self, fd: int) -> os.stat_result:
        """Ask the open file."""
        return os.fstat(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Read; short only at the end of the file."""
        return pread(fd, size, offset)

    def close(self, fd: int) -> None:
        """Close."""
        os.close(fd)

    def inode_generation(self, fd: int) -> int | None:
        """Give what tells two users of one inode number apart, where the file system has it."""
        return inode_generation(fd)

    def data_from(self, fd: int, offset: int) -> int:
        """Give where a hole at ``offset`` ends; ``offset`` itself if there is none."""
        if not hasattr(os, "SEEK_DATA"):
            return offset
        try:
            return os.lseek(fd, offset, os.SEEK_DATA)
        except OSError:
            return offset  # all of the rest is a hole, or the file system cannot tell

    def glob(self, pattern: str) -> list[str]:
        """Give the names that match, sorted; hidden ones only if the pattern has the dot."""
        return sorted(glob.glob(pattern, recursive=True))

    def names(self, folder: str) -> dict[int, str]:
        """Give inode -> path of what is in a folder."""
        try:
            with os.scandir(folder) as entries:
                return {entry.inode(): entry.path for entry in entries}
        except OSError:
            return {}

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        return time.monotonic()

    def time(self) -> float:
        """Give unix seconds."""
        return time.time()
