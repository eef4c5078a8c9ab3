"""fanotify as a source of hints: inode marks on directories, without privilege where allowed.

Measured on Linux 6.18 and described in fanotify(7): an event names the directory by file system id
and file handle, and the entry by name. Events in the queue that concern the same name and the same
process are merged into one record with all their bits, so their order is lost. A rename is one
record with both names (``FAN_RENAME``, since 5.17).

The child's own file handle (``FAN_REPORT_FID``) is not requested: with it, create and modify are no
longer merged. Handles carry a generation number, so a reused inode number is another key.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from typing import TYPE_CHECKING, Final

from limpet import _libc
from limpet._descriptors import close_reader
from limpet.backends._base import GONE, MARK_ALL, MARK_NAMES, Capabilities, MarkError
from limpet.backends._fanotify_records import (
    FAN_ATTRIB,
    FAN_CLOSE_WRITE,
    FAN_CREATE,
    FAN_DELETE,
    FAN_DELETE_SELF,
    FAN_MODIFY,
    FAN_MOVE_SELF,
    FAN_ON_CHILD,
    FAN_ONDIR,
    FAN_RENAME,
    causes_of,
    merge_fanotify,
)
from limpet.backends._kernel_reader import BUFFER, KernelReader

if TYPE_CHECKING:
    from limpet.backends._base import Key, MarkReceiver

assert sys.platform == "linux"  # noqa: S101 (tells the type checker)

FANOTIFY: Final = Capabilities(kind="marks", whole_filesystem=True, reports_unreadable=True)

_CLOEXEC, _NONBLOCK, _DIR_FID, _NAME = 0x1, 0x2, 0x400, 0x800
_MARK_ADD, _MARK_REMOVE, _MARK_ONLYDIR, _MARK_FILESYSTEM = 0x1, 0x2, 0x8, 0x100

_SELF: Final = FAN_DELETE_SELF | FAN_MOVE_SELF | FAN_ATTRIB | FAN_ONDIR
_NAMES: Final = _SELF | FAN_CREATE | FAN_DELETE | FAN_RENAME
_ALL: Final = _NAMES | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ON_CHILD

_LONGEST: Final = 1024
"""No event is longer (two names of 255 bytes, two handles). A read that leaves this much room in
the buffer has taken all there was, and need not be followed by one that finds nothing."""
_FSID_SIZE: Final = 8


def _mask_of(what: int) -> int:
    return _ALL if what & MARK_ALL else _NAMES if what & MARK_NAMES else _SELF


class Fanotify(KernelReader):
    """One fanotify group for any number of directories.

    Raises:
        OSError: The kernel or a container's rules refuse it (EPERM, ENOSYS, EINVAL), or the user's
            groups are used up (EMFILE).
    """

    name = "fanotify"
    capabilities = FANOTIFY

    def __init__(self) -> None:
        super().__init__(_libc.fanotify_init(_CLOEXEC | _NONBLOCK | _DIR_FID | _NAME))
        self._pid = os.getpid()
        self.names_processes = False
        self._masks: dict[Key, int] = {}
        self._fsids: dict[int, bytes] = {}
        """Device -> file system id, from one read to the next: an unmounted device's number is
        given to the next file system."""
        self.filesystems: set[int] = set()
        """Devices of file systems marked as a whole: their directories need no mark of their own.
        """

    def mark(self, fd: int, what: int, device: int) -> Key:
        """Mark the directory's inode; the key is its file system id and file handle."""
        mask = _mask_of(what)
        try:
            key = self._key_of(fd, device)
            had = self._masks.get(key, 0)
            if mask & ~had and device not in self.filesystems:
                _libc.fanotify_mark(self._fd, _MARK_ADD | _MARK_ONLYDIR, mask, fd, b".")
        except OSError as error:
            code = error.errno or errno.EIO
            raise MarkError(code, limit=code == errno.ENOSPC) from error
        self._masks[key] = had | mask
        return key

    def mark_several(self, fds: list[int], what: int, device: int) -> list[bytes]:
        """Mark directories of one device, up to the first that cannot be; return their keys."""
        mask = _mask_of(what)
        try:
            fsid = self._fsid_of(fds[0], device)
        except OSError:
            return []
        needed = 0 if device in self.filesystems else mask
        handles = _libc.fanotify_mark_several(self._fd, _MARK_ADD | _MARK_ONLYDIR, needed, fds)
        keys = [fsid + handle for handle in handles]
        masks = self._masks
        for key in keys:
            masks[key] = masks.get(key, 0) | mask
        return keys

    def _fsid_of(self, fd: int, device: int) -> bytes:
        fsid = self._fsids.get(device)
        if fsid is None:
            fsid = self._fsids[device] = struct.pack("=Q", os.fstatvfs(fd).f_fsid)
        return fsid

    def _key_of(self, fd: int, device: int) -> bytes:
        """Return the key of a directory, which may be open by path only, without marking it.

        The mark of its parent reports its permissions under this key, not under the key of the
        parent and its name.
        """
        return self._fsid_of(fd, device) + _libc.name_to_handle(fd)

    def identify(self, path: str) -> Key | None:
        """Return the key of a directory that may not be opened for reading, or ``None``."""
        try:
            fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return self._key_of(fd, os.fstat(fd).st_dev)
        except OSError:
            return None
        finally:
            close_reader(fd)

    def mark_filesystem(self, fd: int) -> bool:
        """Mark the whole file system that holds ``fd``; return whether that was allowed."""
        try:
            _libc.fanotify_mark(
                self._fd, _MARK_ADD | _MARK_FILESYSTEM, _ALL & ~FAN_ON_CHILD, fd, b"."
            )
        except OSError:
            return False
        self.filesystems.add(os.fstat(fd).st_dev)
        return True

    def unmark(self, key: Key, path: str | None) -> bool:
        """Remove the mark, if the directory can still be reached by path or by handle.

        A directory that moved out of the reach of an unprivileged process cannot: its mark stays
        with the inode, and its hints have no receiver.
        """
        mask = self._masks.pop(key, 0)
        if not mask or path is None or not isinstance(key, bytes):
            return False
        fd = self._reach(key, path)
        if fd < 0:
            return False
        try:
            _libc.fanotify_mark(self._fd, _MARK_REMOVE | _MARK_ONLYDIR, mask, fd, b".")
        except OSError as error:
            return error.errno == errno.ENOENT
        finally:
            close_reader(fd)
        return True

    def _reach(self, key: bytes, path: str) -> int:
        """Open the marked directory itself; return -1 if another one is at ``path``."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            fd = -1
        if fd >= 0:
            try:
                if _libc.name_to_handle(fd) == key[_FSID_SIZE:]:
                    return fd
            except OSError:
                pass
            close_reader(fd)
        mount = self._open_above(path, key[:_FSID_SIZE])
        if mount < 0:
            return -1
        try:
            return _libc.open_by_handle(mount, key[_FSID_SIZE:])
        except OSError:
            return -1
        finally:
            close_reader(mount)

    @staticmethod
    def _open_above(path: str, fsid: bytes) -> int:
        """Open the nearest directory above that is still there, on the file system of the mark."""
        while (parent := os.path.dirname(path)) != path:
            path = parent
            try:
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                if struct.pack("=Q", os.fstatvfs(fd).f_fsid) == fsid:
                    return fd
            except OSError:
                pass
            close_reader(fd)
        return -1

    def read(self, receiver: MarkReceiver) -> bool:
        """Drain the queue, and pass on what it says once for each directory."""
        buffers = []
        self._fsids.clear()
        while data := self._fetch():
            buffers.append(data)
            if len(data) < BUFFER - _LONGEST:
                break
        if not buffers:
            return False
        if self.names_processes:
            receiver.caused(causes_of(buffers))
        hints, moves, lost = merge_fanotify(buffers, self._pid)
        if lost:
            receiver.lost()
        if moves:
            receiver.moved(moves)
        for key, found in hints.items():
            receiver.touched(key, found)
            if found.get("", 0) & GONE:
                self._masks.pop(key, None)
                receiver.dropped(key)
        return lost or bool(hints)
