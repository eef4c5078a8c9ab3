"""Temporary files: created under names of limpet's own, and recognised when their process is dead.

A living writer holds the lock (flock) of its temporary file. The system releases it when the
process ends, however it ends, in whatever container it runs; so a temporary file whose lock can be
taken is a leftover. On a file system without locks a leftover is known by its age alone.

A file is closed before it gets its name, because some file systems say only then that they did not
store it. Between its creation and its lock, and between its close and its rename, another process's
clean-up takes it for a leftover; a writer that finds its file missing (ENOENT) creates another.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
from collections.abc import Iterable
from typing import Final

from limpet._file_stat import identity_of
from limpet.output._name_validation import STAGING
from limpet.output._refusals import RefusalError
from limpet.output._resolve import RootHandle, Walk
from limpet.output._syscalls import Syscalls

_TRIES: Final = 100
_NAME: Final = re.compile(re.escape(STAGING) + r"[0-9a-f]{16}\.tmp")
_SERIAL: Final = itertools.count(int.from_bytes(os.urandom(5), "big"))
"""Numbers of this process's temporary files; another process cannot guess where they start."""
_MASK: Final = (1 << 64) - 1
_OLD_S: Final = 3600.0
"""Age of a leftover where nothing can be locked: a writer changes its file more often."""
_MAX_DIRS: Final = 100_000
"""Directories examined at an open; a larger tree is cleaned in part."""


CLOSED: Final = -1
"""The descriptor of a file that is closed."""


class Staged:
    """One temporary file, open for writing; removed unless it was renamed to its final name."""

    def __init__(self, calls: Syscalls, dir_fd: int, name: str, fd: int) -> None:
        self._calls = calls
        self._dir_fd = dir_fd
        self.name = name
        self.fd = fd
        self.placed = False
        """It has its final name: nothing is left to remove."""

    def write(self, content: bytes | Iterable[bytes]) -> int:
        """Write all of it, and return how many bytes that are.

        Raises:
            OSError: Some of it may be written.
        """
        size = 0
        for data in (content,) if isinstance(content, bytes) else content:
            size += len(data)
            write_all(self._calls, self.fd, data)
        return size

    def seal(self) -> None:
        """Close it: what was written is stored as far as the file system says.

        NFS, SMB and FUSE report a full disk or quota here, after every write succeeded (close(2),
        "Dealing with error returns from close()"). So it comes before the rename, and once.

        Raises:
            OSError: The content is not stored.
        """
        fd, self.fd = self.fd, CLOSED
        self._calls.close(fd)

    def is_lost(self) -> bool:
        """Return whether the name is gone: another process took the file for a leftover."""
        try:
            self._calls.stat_at(self._dir_fd, self.name)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Remove the file unless it was placed, and close it; ignore errors of both."""
        if not self.placed:
            with contextlib.suppress(OSError):
                self._calls.unlink(self._dir_fd, self.name)
        fd, self.fd = self.fd, CLOSED
        if fd != CLOSED:
            self._calls.close_quietly(fd)


def write_all(calls: Syscalls, fd: int, data: bytes) -> None:
    """Write all of it, however often the system takes a part.

    Raises:
        OSError: Some of it may be written.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[calls.write(fd, rest) :]
        except InterruptedError:
            continue


def stage(calls: Syscalls, dir_fd: int, mode: int) -> Staged:
    """Create a temporary file in an open directory, locked.

    Raises:
        OSError: It could not be created.
    """
    for _ in range(_TRIES):
        name = f"{STAGING}{next(_SERIAL) + (os.getpid() << 41) & _MASK:016x}.tmp"
        try:
            fd = calls.open_file(dir_fd, name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        except FileExistsError:
            continue
        staged = Staged(calls, dir_fd, name, fd)
        try:
            locked = True
            with contextlib.suppress(OSError):
                locked = calls.lock(fd)
            if not locked or calls.stat(fd).st_nlink == 0:
                staged.placed = True  # the process that cleans up has it, or has removed it
                staged.close()
                continue
        except BaseException:
            staged.close()
            raise
        return staged
    raise FileExistsError(errno.EEXIST, "no free name for a temporary file")


def is_temporary(name: str) -> bool:
    """Return whether a name is one that temporary files have."""
    return _NAME.fullmatch(name) is not None


def clean(calls: Syscalls, root: RootHandle) -> int:
    """Remove the leftovers of dead processes at and below the root; return how many.

    Nothing is followed out of the root, and what cannot be examined is left alone.
    """
    removed = 0
    seen = 0
    waiting: list[tuple[str, ...]] = [()]
    walk = Walk()
    while waiting and seen < _MAX_DIRS:
        parts = waiting.pop()
        seen += 1
        try:
            fd = walk.open(calls, root, parts)
        except (OSError, RefusalError):
            continue  # gone, closed to this user or swapped meanwhile
        try:
            for name, is_dir, is_file in calls.list(fd):
                if is_dir:
                    waiting.append((*parts, name))
                elif is_file and is_temporary(name):
                    removed += _remove(calls, fd, name)
        except OSError:
            continue
        finally:
            if fd != root.fd:
                calls.close_quietly(fd)
    return removed


def _remove(calls: Syscalls, dir_fd: int, name: str) -> bool:
    try:
        fd = calls.open_file(dir_fd, name, os.O_RDONLY)
    except OSError:
        return False
    try:
        mine = calls.stat(fd)
        try:
            if not calls.lock(fd):
                return False
        except OSError:
            if calls.now() - mine.st_mtime < _OLD_S:
                return False
        # Its writer may have renamed it meanwhile, and another file may have taken the name.
        there = calls.stat_at(dir_fd, name)
        if identity_of(mine) != identity_of(there):
            return False
        calls.unlink(dir_fd, name)
    except OSError:
        return False
    else:
        return True
    finally:
        calls.close_quietly(fd)
