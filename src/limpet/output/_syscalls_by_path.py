"""The same system calls for a system whose directories have no descriptors (Windows).

A directory is known by a number that stands for its path, and is held open meanwhile so that no
other process can rename, remove or replace it (``pin``): Windows refuses all three while a handle
without FILE_SHARE_DELETE is open. Each component is pinned before the next is examined, and one
that is a link of any kind (a reparse point) is refused. So a path that was checked stays what it
was for as long as it is used, which descriptors guarantee elsewhere.

All but ``pin`` runs on every system, and is tested there; it has not been run on Windows itself.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, TypeVar

from limpet._extended_path import extended
from limpet._shared_open import open_shared
from limpet.output._syscalls import Syscalls

_T = TypeVar("_T")

_FIRST: Final = 1 << 30
"""Numbers of directories start here, far above any descriptor."""
_TRIES: Final = 20
"""How often a file may be replaced between its opening and the look at what is at its name."""
_REPARSE_POINT: Final = 0x400
"""FILE_ATTRIBUTE_REPARSE_POINT: a symlink, junction or mounted folder."""


class PathSyscalls(Syscalls):
    """Directories by path, each held open for as long as its number is in use."""

    replaces_open_files: ClassVar[bool] = sys.platform != "win32"

    def __init__(self, pin: Callable[[str], Callable[[], None]] | None = None) -> None:
        """Start without directories; ``pin`` holds one open and returns what releases it."""
        self._pin = pin
        self._numbers = itertools.count(_FIRST)
        self._dirs: dict[int, tuple[str, Callable[[], None] | None]] = {}

    def _path(self, dir_fd: int, name: str = "") -> str:
        path = extended(self._dirs[dir_fd][0])
        return os.path.join(path, name) if name else path

    def _open(self, path: str) -> int:
        release = None if self._pin is None else self._pin(path)
        try:
            found = os.lstat(path)
            if _is_link(found):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if not stat.S_ISDIR(found.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        except BaseException:
            if release is not None:
                release()
            raise
        number = next(self._numbers)
        self._dirs[number] = (path, release)
        return number

    def open_root(self, path: str, *, follow: bool) -> int:
        """Hold a directory at an absolute path."""
        return self._open(os.path.realpath(path, strict=True) if follow else path)

    def open_dir(self, dir_fd: int, name: str) -> int:
        """Hold a directory in another."""
        return self._open(self._path(dir_fd, name))

    def open_beneath(self, dir_fd: int, relative: str, *, cross_mounts: bool) -> int:  # noqa: ARG002 - as the base has them
        """Raise ENOSYS: there is no such call."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def open_again(self, dir_fd: int) -> int:
        """Hold it once more."""
        return self._open(self._path(dir_fd))

    def mount_of(self, fd: int) -> int:  # noqa: ARG002 - as the base has it
        """Return 0: the device decides."""
        return 0

    def birth(self, fd: int, name: str, *, fresh: bool = False) -> float | None:  # noqa: ARG002
        """Return ``None``: what ``os.stat`` knows is enough."""
        return None

    def make_dir(self, dir_fd: int, name: str) -> None:
        """Create a directory in another."""
        os.mkdir(self._path(dir_fd, name))

    def remove_dir(self, dir_fd: int, name: str) -> None:
        _patiently(os.rmdir, self._path(dir_fd, name))

    def list(self, dir_fd: int) -> Iterator[tuple[str, bool, bool]]:
        """Yield the entries of a directory; a junction counts as neither directory nor file."""
        with os.scandir(self._path(dir_fd)) as entries:
            for entry in entries:
                plain = not _is_link(entry.stat(follow_symlinks=False))
                is_dir = plain and entry.is_dir(follow_symlinks=False)
                yield entry.name, is_dir, plain and entry.is_file(follow_symlinks=False)

    def stat_at(self, dir_fd: int, name: str) -> os.stat_result:
        return os.lstat(self._path(dir_fd, name))

    def unlink(self, dir_fd: int, name: str) -> None:
        """Remove a name that is no directory."""
        _patiently(os.unlink, self._path(dir_fd, name))

    def rename(self, dir_fd: int, name: str, to: int, new: str) -> None:
        """Rename; replace what has the new name."""
        _patiently(os.replace, self._path(dir_fd, name), self._path(to, new))

    def rename_new(self, dir_fd: int, name: str, to: int, new: str) -> None:
        """Rename to a free name: what ``os.rename`` does on Windows, and only there."""
        if sys.platform != "win32":
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        _patiently(os.rename, self._path(dir_fd, name), self._path(to, new))

    def link(self, dir_fd: int, name: str, to: int, new: str) -> None:
        """Link a file to a second name that is free."""
        os.link(self._path(dir_fd, name), self._path(to, new), follow_symlinks=False)

    def open_file(self, dir_fd: int, name: str, flags: int, mode: int = 0o666) -> int:
        """Open a file in a directory; refuse a link at its end, also one that comes meanwhile.

        A file that is renamed or replaced in that moment, as others rotate a log, is opened again.
        """
        path = self._path(dir_fd, name)
        for _ in range(_TRIES):
            fd = _patiently(lambda: open_shared(path, flags | _FLAGS, mode, follow=False))
            try:
                mine, there = os.fstat(fd), os.lstat(path)
                if _is_link(mine) or _is_link(there):
                    break
                if os.path.samestat(mine, there):
                    fd, opened = -1, fd
                    return opened
            except FileNotFoundError:
                pass
            finally:
                if fd >= 0:
                    os.close(fd)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def stat(self, fd: int) -> os.stat_result:
        """Return the status of an open file or directory."""
        return os.lstat(self._path(fd)) if fd in self._dirs else os.fstat(fd)

    def sync(self, fd: int) -> None:
        """Sync a file; a directory has nothing to sync."""
        if fd not in self._dirs:
            os.fsync(fd)

    def close(self, fd: int) -> None:
        """Close a file, or release a directory."""
        if fd not in self._dirs:
            super().close(fd)
            return
        _, release = self._dirs.pop(fd)
        if release is not None:
            release()


_FLAGS: Final = (
    getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOINHERIT", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)


_BUSY: Final = frozenset((5, 32, 33))
"""ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION: what Windows says of a file
that another process has open; the first also of one that may not be changed at all."""
_PAUSES: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)
"""Seconds between the tries: most programs, and virus scanners, let go within milliseconds."""


def _patiently(call: Callable[..., _T], *arguments: object) -> _T:
    """Call; where Windows says that another one has the file open, try again for a moment.

    Raises:
        OSError: As the last try.
    """
    for pause in _PAUSES:
        try:
            return call(*arguments)
        except OSError as error:
            if getattr(error, "winerror", None) not in _BUSY:
                raise
        time.sleep(pause)
    return call(*arguments)


def _is_link(found: os.stat_result) -> bool:
    attributes = getattr(found, "st_file_attributes", 0)
    return stat.S_ISLNK(found.st_mode) or bool(attributes & _REPARSE_POINT)


def pin(path: str) -> Callable[[], None]:
    """Hold a directory open so that none can rename, remove or replace it; return what releases it.

    CreateFileW with FILE_FLAG_BACKUP_SEMANTICS (a directory) and FILE_FLAG_OPEN_REPARSE_POINT (the
    link itself, not where it leads), sharing reading and writing but not deleting.

    Raises:
        OSError: It cannot be opened, or this is not Windows.
    """
    if sys.platform != "win32":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateFileW.restype = ctypes.c_void_p
    list_directory, share, existing, flags = 0x1, 0x1 | 0x2, 3, 0x02000000 | 0x00200000
    handle = kernel.CreateFileW(path, list_directory, share, None, existing, flags, None)
    if handle is None or handle == ctypes.c_void_p(-1).value:
        raise ctypes.WinError(ctypes.get_last_error())

    def release() -> None:
        kernel.CloseHandle(ctypes.c_void_p(handle))

    return release
