"""All access of following to the disk and the clock, so that tests can make each call fail.

``_path_access`` decides which names are opened; nothing else calls the functions here that take a
name of a file.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from limpet._descriptors import close_reader
from limpet._file_stat import identity_of
from limpet._fingerprint import OPEN_FLAGS, inode_generation, pread
from limpet._shared_open import open_shared

Identity = tuple[int, int]
"""Device and inode: exact while a descriptor of the file is open, a guess afterwards."""
Stamp = tuple[int, int, int]
"""Size, mtime and ctime in nanoseconds. An unchanged stamp means that nobody has written: Linux
6.13 sets a new time after every query. On older systems a clock tick of some milliseconds may hide
a write, so a file with a hint is examined in any case."""

MISSING: Final = frozenset((errno.ENOENT, errno.ENOTDIR))
SHORTAGE: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))
"""The process or the system is out of something: this says nothing about the file."""

_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_DIR_FLAGS: Final = (
    getattr(os, "O_PATH", os.O_RDONLY)
    | getattr(os, "O_DIRECTORY", 0)
    | _NOFOLLOW
    | getattr(os, "O_CLOEXEC", 0)
)
_LINK_FLAGS: Final = getattr(os, "O_PATH", 0) | _NOFOLLOW | getattr(os, "O_CLOEXEC", 0)


class Entry(NamedTuple):
    """One entry of a directory."""

    name: str
    inode: int
    is_dir: bool
    """Symlinks to directories included."""


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what differs after a write."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


_SECOND: Final = 1_000_000_000
_FRESH_S: Final = 3.0
"""A file system with whole seconds hides a second write within one. A pass that is later than that
second finds it; there is one each second."""


def is_fresh(status: os.stat_result, clock: Callable[[], float]) -> bool:
    """Return whether another write may have left the same times: they are in whole seconds.

    That is so on ext2, ext3, ext4 with small inodes, exFAT and sshfs. On others a time that ends in
    nine zeros is rare, and costs a comparison and the time of ``clock`` (unix seconds).
    """
    return not status.st_mtime_ns % _SECOND and clock() - status.st_mtime_ns / _SECOND < _FRESH_S


class FileIO:
    """The real disk and the real clock."""

    has_dir_fd: Final = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
    """Names can be resolved in an open directory."""

    def stat(self, path: str) -> os.stat_result:
        """Return the status of a path; symlinks are followed."""
        return os.stat(path)

    def lstat(self, path: str) -> os.stat_result:
        """Return the status of a path; a symlink at its end is not followed."""
        return os.lstat(path)

    def open(self, path: str) -> int:
        """Open for reading, without waiting for a writer of a FIFO."""
        return open_shared(path, OPEN_FLAGS)

    def open_root(self, path: str) -> int:
        """Open the directory at which an absolute path begins."""
        del path
        return os.open("/", _DIR_FLAGS)

    def open_dir_at(self, dir_fd: int, name: str) -> int:
        """Open a directory in another one; not through a symlink."""
        return os.open(name, _DIR_FLAGS, dir_fd=dir_fd)

    def open_at(self, dir_fd: int, name: str) -> int:
        """Open a file in an open directory for reading; not through a symlink."""
        return os.open(name, OPEN_FLAGS | _NOFOLLOW, dir_fd=dir_fd)

    def stat_at(self, dir_fd: int, name: str) -> os.stat_result:
        """Return the status of an entry of an open directory; symlinks are not followed."""
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)

    def read_link_at(self, dir_fd: int, name: str) -> tuple[int, str]:
        """Return owner and target of one symlink.

        Raises:
            OSError: It is not a symlink, or was replaced between the two calls.
        """
        if not hasattr(os, "O_PATH"):
            before = self.stat_at(dir_fd, name)
            target = os.readlink(name, dir_fd=dir_fd)
            after = self.stat_at(dir_fd, name)
            if (identity_of(before), stamp_of(before)) != (identity_of(after), stamp_of(after)):
                raise OSError(errno.ELOOP, "the symlink was replaced while it was read", name)
            return before.st_uid, target
        fd = os.open(name, _LINK_FLAGS, dir_fd=dir_fd)
        try:
            # readlink(2): an empty name is the symlink that is open with O_PATH
            return os.fstat(fd).st_uid, os.readlink("", dir_fd=fd)
        finally:
            self.close(fd)

    def fstat(self, fd: int) -> os.stat_result:
        """Return the status of an open file."""
        return os.fstat(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Read at an offset; short only at the end of the file."""
        return pread(fd, size, offset)

    def close(self, fd: int) -> None:
        """Close a descriptor of something that was only read.

        close(2): the descriptor is free even if it fails (Linux), and of what was read nothing can
        be lost. A file system whose server is gone fails here (ENOTCONN, EIO).
        """
        close_reader(fd)

    def inode_generation(self, fd: int) -> int | None:
        """Return the number that distinguishes two uses of an inode, if the file system has it."""
        try:
            return inode_generation(fd)
        except OSError:
            return None

    def data_from(self, fd: int, offset: int) -> int:
        """Return where a hole at ``offset`` ends; ``offset`` itself if there is none.

        Linux alone is asked: on APFS, SEEK_DATA was seen to pass over what had just been written
        (coreutils, pull request 68), and those bytes would be lost.
        """
        if sys.platform != "linux":
            return offset
        try:
            return os.lseek(fd, offset, os.SEEK_DATA)
        except OSError:
            return offset  # all of the rest is a hole, or the file system does not know

    def entries(self, directory: str) -> list[Entry]:
        """Return the entries of a directory.

        Raises:
            OSError: It cannot be listed; nothing is known of its entries.
        """
        found = []
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    is_dir = entry.is_dir()
                except OSError:
                    is_dir = False
                found.append(Entry(entry.name, entry.inode(), is_dir))
        return found

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Return unix seconds."""
        return time.time()
