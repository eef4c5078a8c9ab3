"""Every system call of an output, by descriptors of directories; tests make each of them fail.

No name given to one of these has a ``/`` in it except in ``open_beneath``, and none follows a
symlink at its end. Where a call does not exist on this system it raises ``OSError`` with ENOSYS,
and the caller has another way.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from limpet._ctypes_buffers import unpacker
from limpet._descriptors import sync_to_disk
from limpet._exclusive_lock import lock_exclusively
from limpet._kernel_release import kernel_release


def _flag(name: str) -> int:
    return int(getattr(os, name, 0))


_CLOEXEC: Final = _flag("O_CLOEXEC") | _flag("O_NOINHERIT")
_DIRECTORY: Final = _flag("O_DIRECTORY") | _CLOEXEC
FOLDER_FLAGS: Final = _flag("O_PATH") | _flag("O_NOFOLLOW") | _DIRECTORY
"""O_PATH: a directory that may be passed and written but not listed can still be written into."""
_FILE_FLAGS: Final = (
    _flag("O_NOFOLLOW") | _flag("O_NONBLOCK") | _flag("O_NOCTTY") | _flag("O_BINARY") | _CLOEXEC
)
"""O_NONBLOCK: opening a FIFO without a reader must not block. No effect on regular files."""

_OPENAT2: Final = 437
"""The call's number, the same on every architecture but Alpha (asm-generic/unistd.h)."""
_RESOLVE_NO_XDEV, _RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 1, 2, 4, 8
"""openat2(2), linux/openat2.h."""
_OPEN_HOW: Final = struct.Struct("=QQQ")
_RENAME_NOREPLACE: Final = 1
"""renameat2(2)."""
_STATX_MNT_ID: Final = 0x1000
_STATX_BTIME: Final = 0x800
_STATX_ALL: Final = 0xFFF
"""STATX_BASIC_STATS | STATX_BTIME: FUSE asks its daemon for what the mask names alone."""
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_AT_STATX_FORCE_SYNC: Final = 0x2000
_AT_EMPTY_PATH: Final = 0x1000

_libc: Any = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


_renameat2: Any = getattr(_libc, "renameat2", None)
"""``None`` in a C library that is older than the call (musl)."""
_linkat: Any = getattr(_libc, "linkat", None)

_TMPFILE: Final = _flag("O_TMPFILE") if kernel_release() >= (6, 0) else 0
"""O_TMPFILE, or 0. Until Linux 6.0 the umask was ignored in file systems without access control
lists (commit ac6800e279a2, "fs: Add missing umask strip in vfs_tmpfile")."""


_statx_call: Any = getattr(_libc, "statx", None)
_STATX_BIRTH: Final = struct.Struct("=I76xqI")
"""Of struct statx the mask and, 80 bytes from the start, ``stx_btime`` (statx(2))."""
_STATX_MOUNT: Final = struct.Struct("=I140xQ")
"""The mask and, 144 bytes from the start, ``stx_mnt_id`` (since Linux 5.8)."""
_unpack_birth: Final = unpacker(_STATX_BIRTH)
_unpack_mount: Final = unpacker(_STATX_MOUNT)
_spare: list[Any] = []
"""Buffers not in use: a new one costs as much as the call."""


def _take_buffer() -> Any:  # noqa: ANN401 - ctypes has no type for it
    try:
        return _spare.pop()
    except IndexError:  # other threads have them
        return ctypes.create_string_buffer(256)


def _statx(fd: int, name: bytes, flags: int, mask: int, buffer: object) -> int:
    """Call statx; -1 if it fails or is missing."""
    return -1 if _statx_call is None else int(_statx_call(fd, name, flags, mask, buffer))


_locked: set[int] = set()
"""Descriptors of files that are locked."""


def _after_fork() -> None:
    """Close, in a forked child, the files that its parent has locked.

    A lock belongs to an open file, which the child shares (flock(2)). It would stay for as long as
    the child lives, though the parent closed the file; the threads that use it are not there.
    """
    while _locked:
        with contextlib.suppress(OSError):
            os.close(_locked.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _missing() -> OSError:
    return OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class Syscalls:
    """The real system; a subclass may fail at any of these."""

    replaces_open_files: ClassVar[bool] = True
    """Whether a rename may always replace a file that is open. On Windows only if the file system
    knows POSIX semantics (FileRenameInformationEx) and every opener shares deletion."""

    # -- folders -------------------------------------------------------------------------------

    def open_root(self, path: str, *, follow: bool) -> int:
        """Open the directory at an absolute path."""
        return os.open(path, FOLDER_FLAGS & ~(_flag("O_NOFOLLOW") if follow else 0))

    def open_dir(self, dir_fd: int, name: str) -> int:
        """Open a directory in another; a symlink is refused (ELOOP or ENOTDIR)."""
        return os.open(name, FOLDER_FLAGS, dir_fd=dir_fd)

    def open_beneath(self, dir_fd: int, relative: str, *, cross_mounts: bool) -> int:
        """Open a directory below another in one call that cannot leave it.

        Raises:
            OSError: ENOSYS or EPERM: there is no such call here. ELOOP: a symlink. EXDEV: it leads
                out, or over a mount. EAGAIN: something was renamed meanwhile.
        """
        if sys.platform != "linux":
            raise _missing()
        resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
        if not cross_mounts:
            resolve |= _RESOLVE_NO_XDEV
        how = _OPEN_HOW.pack(FOLDER_FLAGS & ~_flag("O_NOFOLLOW"), 0, resolve)
        name = os.fsencode(relative)
        return _checked(int(_libc.syscall(_OPENAT2, dir_fd, name, how, _OPEN_HOW.size)))

    def mount_of(self, fd: int) -> int:
        """Return a number that differs between mounts, also of one file system; 0 if unknown."""
        if sys.platform != "linux":
            return 0
        buffer = _take_buffer()
        failed = _statx(fd, b"", _AT_EMPTY_PATH, _STATX_MNT_ID, buffer) < 0
        known, number = _unpack_mount(buffer)
        _spare.append(buffer)
        return 0 if failed or not known & _STATX_MNT_ID else int(number)

    def make_dir(self, dir_fd: int, name: str) -> None:
        """Create a directory in another."""
        os.mkdir(name, dir_fd=dir_fd)

    def make_root(self, path: str) -> None:
        """Create the root and the directories above it."""
        os.makedirs(path, exist_ok=True)

    def remove_dir(self, dir_fd: int, name: str) -> None:
        os.rmdir(name, dir_fd=dir_fd)

    def open_again(self, dir_fd: int) -> int:
        """Open a directory for listing and syncing, which an O_PATH descriptor cannot do."""
        return os.open(".", os.O_RDONLY | _DIRECTORY, dir_fd=dir_fd)

    def list(self, dir_fd: int) -> Iterator[tuple[str, bool, bool]]:
        """Yield the entries of a directory: name, is it a directory, is it a regular file."""
        fd = self.open_again(dir_fd)
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    is_dir = entry.is_dir(follow_symlinks=False)
                    yield entry.name, is_dir, entry.is_file(follow_symlinks=False)
        finally:
            self.close_quietly(fd)

    # -- names ---------------------------------------------------------------------------------

    def stat_path(self, path: str) -> os.stat_result:
        """Return the status of an absolute path, of a last symlink itself."""
        return os.lstat(path)

    def stat_at(self, dir_fd: int, name: str) -> os.stat_result:
        """Return the status of a name, of a symlink itself."""
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)

    def birth(self, fd: int, name: str, *, fresh: bool = False) -> float | None:
        """Return when a file was made, unix seconds; ``None`` if that is not known.

        Args:
            fd: Directory of the name, or the file itself.
            name: The name; empty is the file itself.
            fresh: Have the file system asked for the status of the file. FUSE and network file
                systems keep it for a while, and after a link or a rename keep a wrong one.
        """
        if sys.platform != "linux":
            return None  # os.stat knows it
        flags = _AT_SYMLINK_NOFOLLOW if name else _AT_EMPTY_PATH
        if fresh:
            flags |= _AT_STATX_FORCE_SYNC
        buffer = _take_buffer()
        failed = _statx(fd, os.fsencode(name) if name else b"", flags, _STATX_ALL, buffer) < 0
        known, seconds, nanoseconds = _unpack_birth(buffer)
        _spare.append(buffer)
        if failed or not known & _STATX_BTIME:
            return None
        found: float = (seconds * 1_000_000_000 + nanoseconds) / 1e9
        return found

    def unlink(self, dir_fd: int, name: str) -> None:
        """Remove a name that is not a directory."""
        os.unlink(name, dir_fd=dir_fd)

    def rename(self, dir_fd: int, name: str, to: int, new: str) -> None:
        """Rename; replace what has the new name."""
        os.rename(name, new, src_dir_fd=dir_fd, dst_dir_fd=to)

    def rename_new(self, dir_fd: int, name: str, to: int, new: str) -> None:
        """Rename to a free name (else EEXIST); EINVAL or ENOSYS where the system cannot."""
        if sys.platform != "linux":
            raise _missing()
        names = os.fsencode(name), os.fsencode(new)
        if _renameat2 is None:
            raise _missing()
        try:
            _checked(int(_renameat2(dir_fd, names[0], to, names[1], _RENAME_NOREPLACE)))
        except PermissionError as error:
            # A seccomp filter answers EPERM to a call that it does not know; with descriptors that
            # no process has, the call itself answers EBADF.
            _renameat2(-1, b"a", -1, b"b", _RENAME_NOREPLACE)
            if error.errno == errno.EPERM == ctypes.get_errno():
                raise _missing() from error
            raise

    def link(self, dir_fd: int, name: str, to: int, new: str) -> None:
        """Link a file to a second name that is free (else EEXIST)."""
        os.link(name, new, src_dir_fd=dir_fd, dst_dir_fd=to, follow_symlinks=False)

    # -- files ---------------------------------------------------------------------------------

    def open_unnamed(self, dir_fd: int, mode: int) -> int:
        """Create a file in a directory, for writing, without a name: it goes if it is closed so.

        Raises:
            OSError: EOPNOTSUPP, EISDIR, EINVAL or ENOSYS: the system or the file system cannot.
        """
        if not _TMPFILE or _linkat is None:
            raise _missing()
        return os.open(".", _TMPFILE | os.O_WRONLY | _CLOEXEC, mode, dir_fd=dir_fd)

    def link_open(self, fd: int, to: int, new: str) -> None:
        """Link an open file that has no name to one that is free (else EEXIST).

        Raises:
            OSError: ENOENT also where neither the call nor ``/proc`` leads to the open file.
        """
        if _linkat is None:
            raise _missing()
        if int(_linkat(fd, b"", to, os.fsencode(new), _AT_EMPTY_PATH)) == 0:
            return
        if ctypes.get_errno() != errno.ENOENT:
            _checked(-1)
        # Without CAP_DAC_READ_SEARCH that is the answer until Linux 6.10 (linkat(2)).
        os.link(f"/proc/self/fd/{fd}", new, dst_dir_fd=to, follow_symlinks=True)

    def open_file(self, dir_fd: int, name: str, flags: int, mode: int = 0o666) -> int:
        """Open a file in a directory: no symlink at its end, and without blocking."""
        return os.open(name, flags | _FILE_FLAGS, mode, dir_fd=dir_fd)

    def stat(self, fd: int) -> os.stat_result:
        """Return the status of an open file."""
        return os.fstat(fd)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Write some of the data; return how much."""
        return os.write(fd, data)

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        """Read without moving the file's position."""
        if sys.platform == "win32":
            os.lseek(fd, offset, os.SEEK_SET)
            return os.read(fd, size)
        return os.pread(fd, size, offset)

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of the data from an offset on."""
        os.lseek(fd, offset, os.SEEK_SET)
        rest = memoryview(data)
        while rest:
            rest = rest[self.write(fd, rest) :]

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        """Return once the content of a file or directory is on the disk."""
        sync_to_disk(fd)

    def chmod(self, fd: int, mode: int) -> None:
        """Set permission bits."""
        if sys.platform != "win32":
            os.fchmod(fd, mode)

    def chown(self, fd: int, uid: int, gid: int) -> None:
        """Set owner and group."""
        if sys.platform != "win32":
            os.fchown(fd, uid, gid)

    def attributes(self, fd: int) -> dict[str, bytes]:
        """Return a file's extended attributes; empty where there are none."""
        if sys.platform != "linux":
            return {}
        return {name: os.getxattr(fd, name) for name in os.listxattr(fd)}

    def set_attribute(self, fd: int, name: str, value: bytes) -> None:
        if sys.platform == "linux":
            os.setxattr(fd, name, value)

    def lock(self, fd: int) -> bool:
        """Take a file's advisory lock until it is closed; return False if another process holds it.

        Raises:
            OSError: The file's file system has no locks.
        """
        _locked.add(fd)
        try:
            lock_exclusively(fd)
        except OSError as error:
            _locked.discard(fd)
            if isinstance(error, BlockingIOError):
                return False
            raise
        return True

    def duplicate(self, fd: int) -> int:
        """Return another descriptor of the same open file, which shares its lock."""
        own = os.dup(fd)
        if fd in _locked:
            _locked.add(own)
        return own

    def close(self, fd: int) -> None:
        """Close a file or directory."""
        _locked.discard(fd)
        os.close(fd)

    def close_quietly(self, fd: int) -> None:
        """Close what was only read or passed through: an error of it changes nothing."""
        try:
            self.close(fd)
        except OSError:  # not contextlib.suppress, which takes as long as the call
            return

    # -- time ----------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the system's clock in unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return a clock that is never set, in seconds."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Sleep while another process holds something."""
        time.sleep(seconds)
