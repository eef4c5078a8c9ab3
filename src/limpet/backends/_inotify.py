"""inotify as a source of hints: works everywhere on Linux, without privilege.

inotify(7): a rename is two records tied by a cookie, not always adjacent, one of which never comes
if the other folder is not watched; a watch ends by itself (``IN_IGNORED``) when its folder is gone;
an unmount is told (``IN_UNMOUNT``); 16,384 waiting records by default, then ``IN_Q_OVERFLOW``.
``IN_EXCL_UNLINK`` keeps writes to unlinked files quiet; opens, reads and closes without a write are
never asked for, for they would feed the consumer's own reads back to it.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from typing import TYPE_CHECKING, Final

from limpet.backends import _libc
from limpet.backends._base import (
    ATTRIB,
    CLOSED,
    CREATE,
    DELETE,
    GONE,
    ISDIR,
    MARK_ALL,
    MARK_NAMES,
    MOVED,
    SELF_MOVED,
    WRITE,
    MarkError,
)

if TYPE_CHECKING:
    from limpet.backends._base import Key, Receiver

assert sys.platform == "linux"  # noqa: S101 (tells the type checker)

__all__ = ["Inotify"]

IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF = 0x100, 0x200, 0x400, 0x800
IN_UNMOUNT, IN_Q_OVERFLOW, IN_IGNORED = 0x2000, 0x4000, 0x8000
IN_ONLYDIR, IN_EXCL_UNLINK, IN_MASK_ADD, IN_ISDIR = 0x01000000, 0x04000000, 0x20000000, 0x40000000

_SELF: Final = IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB
_NAMES: Final = _SELF | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
_ALL: Final = _NAMES | IN_MODIFY | IN_CLOSE_WRITE

_HEADER = struct.Struct("=iIII")  # wd, mask, cookie, length of the name that follows
_BUFFER: Final = 256 * 1024


class Inotify:
    """One inotify instance for any number of folders.

    Raises:
        OSError: The user's instances or this process's descriptors are used up (EMFILE).
    """

    name = "inotify"

    def __init__(self) -> None:
        """Make the instance; nothing is marked yet."""
        self._fd = _libc.inotify_init()
        self._live: set[Key] = set()
        self._departed: dict[int, tuple[int, bytes]] = {}
        """Cookie -> place, of renames whose second half had not come by the last read."""

    def fileno(self) -> int:
        """Descriptor of the instance."""
        return self._fd

    def mark(self, fd: int, what: int) -> Key:
        """Watch the folder by its descriptor, so that no rename can put another in its place."""
        mask = _ALL if what & MARK_ALL else _NAMES if what & MARK_NAMES else _SELF
        path = b"/proc/self/fd/%d" % fd
        flags = IN_ONLYDIR | IN_EXCL_UNLINK | IN_MASK_ADD
        try:
            wd = _libc.inotify_add_watch(self._fd, path, mask | flags)
        except OSError as error:
            code = error.errno or errno.EIO
            raise MarkError(code, limit=code == errno.ENOSPC) from error
        self._live.add(wd)
        return wd

    def unmark(self, key: Key, path: str | None) -> bool:
        """End the watch; a watch the kernel ended first is no error."""
        del path
        if key in self._live and isinstance(key, int):
            self._live.discard(key)
            try:
                _libc.inotify_rm_watch(self._fd, key)
            except OSError:
                return True
        return True

    def read(self, receiver: Receiver) -> bool:
        """Drain the queue; both halves of a rename become one move, equal hints are merged."""
        touched: dict[tuple[int, bytes], int] = {}
        moves: list[tuple[int, bytes, int, bytes]] = []
        departed, unpaired = self._departed, set(self._departed)
        ended: list[int] = []
        lost = False
        while True:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                break
            offset, end = 0, len(data)
            while offset < end:
                wd, mask, cookie, length = _HEADER.unpack_from(data, offset)
                offset += 16 + length
                if mask & IN_Q_OVERFLOW:
                    lost = True
                    continue
                if mask & IN_IGNORED:
                    ended.append(wd)
                    continue
                place = (wd, data[offset - length : offset])
                touched[place] = touched.get(place, 0) | mask
                if mask & IN_MOVED_FROM:
                    departed[cookie] = place
                elif mask & IN_MOVED_TO and cookie in departed:
                    moves.append((*departed.pop(cookie), *place))
        for cookie in unpaired:
            departed.pop(cookie, None)  # two reads later it will not come: it left the marked tree
        if lost:
            receiver.lost()
        for wd, name, to_wd, to_name in moves:
            receiver.moved(wd, _text(name), to_wd, _text(to_name), MOVED)
        for (wd, name), mask in touched.items():
            receiver.touched(wd, _text(name), _bits(mask))
        for wd in ended:
            self._live.discard(wd)
            receiver.dropped(wd)
        return lost or bool(touched) or bool(ended)

    def close(self) -> None:
        """Close the instance; the kernel drops its watches."""
        os.close(self._fd)


_TABLE: Final = (
    (IN_MODIFY, WRITE),
    (IN_CLOSE_WRITE, CLOSED),
    (IN_CREATE, CREATE),
    (IN_DELETE, DELETE),
    (IN_ATTRIB, ATTRIB),
    (IN_MOVED_FROM | IN_MOVED_TO, MOVED),
    (IN_DELETE_SELF | IN_UNMOUNT, GONE),
    (IN_MOVE_SELF, SELF_MOVED),
    (IN_ISDIR, ISDIR),
)
_known: dict[int, int] = {}


def _bits(mask: int) -> int:
    bits = _known.get(mask)
    if bits is None:
        bits = _known[mask] = sum(ours for theirs, ours in _TABLE if mask & theirs)
    return bits


def _text(name: bytes) -> str:
    """Names are padded with NUL to the alignment of the next record."""
    return os.fsdecode(name[: name.index(0)]) if name else ""
