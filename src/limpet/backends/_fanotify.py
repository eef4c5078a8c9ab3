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
from limpet.backends._base import (
    ATTRIB,
    AWAY,
    CLOSED,
    CREATE,
    DELETE,
    ENCODE_ERRORS,
    ENCODING,
    GONE,
    HERE,
    ISDIR,
    MARK_ALL,
    MARK_NAMES,
    MOVED,
    OTHER,
    OWN,
    SELF_MOVED,
    WRITE,
    Capabilities,
    MarkError,
)
from limpet.backends._kernel_reader import BUFFER, KernelReader, MaskTable

if TYPE_CHECKING:
    from limpet.backends._base import Key, MarkReceiver

assert sys.platform == "linux"  # noqa: S101 (tells the type checker)

FANOTIFY: Final = Capabilities(kind="marks", whole_filesystem=True, reports_unreadable=True)

_CLOEXEC, _NONBLOCK, _DIR_FID, _NAME = 0x1, 0x2, 0x400, 0x800
_MARK_ADD, _MARK_REMOVE, _MARK_ONLYDIR, _MARK_FILESYSTEM = 0x1, 0x2, 0x8, 0x100

FAN_MODIFY, FAN_ATTRIB, FAN_CLOSE_WRITE, FAN_CREATE, FAN_DELETE = 0x2, 0x4, 0x8, 0x100, 0x200
FAN_DELETE_SELF, FAN_MOVE_SELF, FAN_Q_OVERFLOW = 0x400, 0x800, 0x4000
FAN_ON_CHILD, FAN_RENAME, FAN_ONDIR = 0x08000000, 0x10000000, 0x40000000

_SELF: Final = FAN_DELETE_SELF | FAN_MOVE_SELF | FAN_ATTRIB | FAN_ONDIR
_NAMES: Final = _SELF | FAN_CREATE | FAN_DELETE | FAN_RENAME
_ALL: Final = _NAMES | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ON_CHILD

_INFO_OLD: Final = 10  # FAN_EVENT_INFO_TYPE_OLD_DFID_NAME
_METADATA = struct.Struct("=I2xHQ4xi")  # event_len, metadata_len, mask, pid
_LONGEST: Final = 1024
"""No event is longer (two names of 255 bytes, two handles). A read that leaves this much room in
the buffer has taken all there was, and need not be followed by one that finds nothing."""
_RARE: Final = FAN_RENAME | FAN_Q_OVERFLOW
_INFO_SIZE: Final = 20
"""Bytes of an info record before its file handle: type, pad, length (2), fsid (8), handle length
(4), handle type (4). A directory's key reaches from the fsid to the end of the handle."""
_FSID_AT, _FSID_SIZE = 4, 8
_LENGTH_AT, _HANDLE_LENGTH_AT = 2, 12


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
        self._masks: dict[Key, int] = {}
        self._fsids: dict[int, bytes] = {}
        """Device -> file system id, from one read to the next: an unmounted device's number is
        given to the next file system."""
        self.filesystems: set[int] = set()
        """Devices of file systems marked as a whole: their directories need no mark of their own.
        """

    def mark(self, fd: int, what: int, device: int) -> Key:
        """Mark the directory's inode; the key is its file system id and file handle."""
        mask = _ALL if what & MARK_ALL else _NAMES if what & MARK_NAMES else _SELF
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

    def _key_of(self, fd: int, device: int) -> bytes:
        """Return the key of a directory, which may be open by path only, without marking it.

        The mark of its parent reports its permissions under this key, not under the key of the
        parent and its name.
        """
        fsid = self._fsids.get(device)
        if fsid is None:
            fsid = self._fsids[device] = struct.pack("=Q", os.fstatvfs(fd).f_fsid)
        return fsid + _libc.name_to_handle(fd)

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
        """Drain the queue; equal hints are merged on their raw bytes before a name is decoded."""
        touched: dict[bytes, dict[bytes, int]] = {}
        moves: list[tuple[bytes, int]] = []
        lost = False
        unpack, own = _METADATA.unpack_from, self._pid
        self._fsids.clear()
        while data := self._fetch():
            offset, end = 0, len(data)
            while offset < end:
                length, head, mask, pid = unpack(data, offset)
                info, following = offset + head, offset + length
                offset = following
                if mask & _RARE:
                    if mask & FAN_Q_OVERFLOW:
                        lost = True
                    else:
                        process = _BITS_OWN if pid == own else _BITS_OTHER
                        moves.append((data[info:following], mask | process))
                    continue
                mask |= _BITS_OWN if pid == own else _BITS_OTHER
                handle_end = info + _INFO_SIZE + data[info + _HANDLE_LENGTH_AT]
                key, name = data[info + _FSID_AT : handle_end], data[handle_end:following]
                names = touched.get(key)
                if names is None:
                    touched[key] = {name: mask}
                else:
                    names[name] = names.get(name, 0) | mask
            if end < BUFFER - _LONGEST:
                break
        if lost:
            receiver.lost()
        hints = _hints_of_moves(moves, receiver) if moves else {}
        for key, names in touched.items():
            self._translate(names, hints.setdefault(key, {}))
        for key, found in hints.items():
            receiver.touched(key, found)
            if found.get("", 0) & GONE:
                self._masks.pop(key, None)
                receiver.dropped(key)
        return lost or bool(hints)

    @staticmethod
    def _translate(names: dict[bytes, int], found: dict[str, int]) -> None:
        """Add a directory's raw names and masks to ``found``, as hints."""
        for raw, mask in names.items():
            bits = _bits_of[mask]
            name = raw[: raw.index(0)].decode(ENCODING, ENCODE_ERRORS)
            if name == ".":
                name = ""
            else:
                bits &= ~(GONE | SELF_MOVED)
            found[name] = found.get(name, 0) | bits


_BITS_OWN: Final = 1 << 40
_BITS_OTHER: Final = 1 << 41
_bits_of: Final = MaskTable(
    (
        (FAN_MODIFY, WRITE),
        (FAN_CLOSE_WRITE, CLOSED),
        (FAN_CREATE, CREATE),
        (FAN_DELETE, DELETE),
        (FAN_ATTRIB, ATTRIB),
        (FAN_RENAME, MOVED),
        (FAN_DELETE_SELF, GONE),
        (FAN_MOVE_SELF, SELF_MOVED),
        (FAN_ONDIR, ISDIR),
        (_BITS_OWN, OWN),
        (_BITS_OTHER, OTHER),
    )
)


def _hints_of_moves(
    moves: list[tuple[bytes, int]], receiver: MarkReceiver
) -> dict[bytes, dict[str, int]]:
    """Pass on the renames, and return the hints for their ends: directory -> name -> bits.

    A rename has its old name, its new name, or both: those in marked directories.
    """
    hints: dict[bytes, dict[str, int]] = {}
    found: list[tuple[Key, str, Key, str]] = []
    for info, mask in moves:
        bits = _bits_of[mask]
        end = _INFO_SIZE + info[_HANDLE_LENGTH_AT]
        key, name = info[_FSID_AT:end], _text(info, end)
        names = hints.get(key)
        if names is None:
            names = hints[key] = {}
        side = AWAY if info[0] == _INFO_OLD else HERE
        names[name] = names.get(name, 0) | bits | side
        start = info[_LENGTH_AT] | info[_LENGTH_AT + 1] << 8
        if info[0] == _INFO_OLD and start < len(info):
            end = start + _INFO_SIZE + info[start + _HANDLE_LENGTH_AT]
            to_key, to_name = info[start + _FSID_AT : end], _text(info, end)
            found.append((key, name, to_key, to_name))
            names = hints.get(to_key)
            if names is None:
                names = hints[to_key] = {}
            names[to_name] = names.get(to_name, 0) | bits | HERE
    receiver.moved(found)
    return hints


def _text(info: bytes, start: int) -> str:
    """Return the name from ``start`` up to the next NUL."""
    return info[start : info.index(0, start)].decode(ENCODING, ENCODE_ERRORS)
