"""inotify as a source of hints: works everywhere on Linux, without privilege.

inotify(7): a rename is two records tied by a cookie, not always adjacent, and one of them never
comes if the other directory is not watched. A watch ends by itself (``IN_IGNORED``) when its
directory is gone. An unmount is reported (``IN_UNMOUNT``). The queue holds 16,384 records by
default, then comes ``IN_Q_OVERFLOW``. ``IN_EXCL_UNLINK`` leaves out writes to unlinked files.
Opens, reads and closes without a write are never requested: they would report the consumer's own
reads to it.
"""

from __future__ import annotations

import errno
import struct
import sys
from typing import TYPE_CHECKING, Final

from limpet import _libc
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
    MARK_FILE,
    MARK_NAMES,
    MOVED,
    SELF_MOVED,
    WRITE,
    Capabilities,
    MarkError,
)
from limpet.backends._kernel_reader import BUFFER, KernelReader, MaskTable

if TYPE_CHECKING:
    from limpet.backends._base import Key, MarkReceiver

assert sys.platform == "linux"  # noqa: S101 (tells the type checker)


INOTIFY: Final = Capabilities(kind="marks")

IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF = 0x100, 0x200, 0x400, 0x800
IN_UNMOUNT, IN_Q_OVERFLOW, IN_IGNORED = 0x2000, 0x4000, 0x8000
IN_ONLYDIR, IN_EXCL_UNLINK, IN_MASK_ADD, IN_ISDIR = 0x01000000, 0x04000000, 0x20000000, 0x40000000

_SELF: Final = IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB
_NAMES: Final = _SELF | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
_ALL: Final = _NAMES | IN_MODIFY | IN_CLOSE_WRITE
_FILE: Final = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB

_HEADER = struct.Struct("=iIII")  # wd, mask, cookie, length of the name that follows
_LONGEST: Final = 512
"""No record is longer (a name of 255 bytes). A read that leaves this much room in the buffer has
taken all there was, and need not be followed by one that finds nothing."""
_RARE: Final = IN_Q_OVERFLOW | IN_IGNORED


class Inotify(KernelReader):
    """One inotify instance for any number of directories.

    Raises:
        OSError: The user's instances or this process's descriptors are used up (EMFILE).
    """

    name = "inotify"
    capabilities = INOTIFY

    def __init__(self) -> None:
        super().__init__(_libc.inotify_init())
        self._live: set[Key] = set()
        self._departed: dict[int, tuple[int, bytes]] = {}
        """Cookie -> (directory, name): renames whose second half had not come by the last read."""

    def mark(self, fd: int, what: int, device: int) -> Key:
        """Watch what a descriptor is open on: no rename can put another in its place."""
        del device
        mask = _ALL if what & MARK_ALL else _NAMES if what & MARK_NAMES else _SELF
        path = b"/proc/self/fd/%d" % fd
        flags = IN_EXCL_UNLINK | IN_MASK_ADD
        if what & MARK_FILE:
            mask = _FILE
        else:
            flags |= IN_ONLYDIR
        try:
            wd = _libc.inotify_add_watch(self._fd, path, mask | flags)
        except OSError as error:
            code = error.errno or errno.EIO
            raise MarkError(code, limit=code == errno.ENOSPC) from error
        self._live.add(wd)
        return wd

    def unmark(self, key: Key, path: str | None) -> bool:
        """End the watch; one that the kernel has ended before is not an error."""
        del path
        if key in self._live and isinstance(key, int):
            self._live.discard(key)
            try:
                _libc.inotify_rm_watch(self._fd, key)
            except OSError:
                return True
        return True

    def mark_filesystem(self, fd: int) -> bool:
        """Return False: inotify marks one directory at a time."""
        del fd
        return False

    def identify(self, path: str) -> Key | None:
        """Return ``None``: a directory that may not be opened is reported by its name alone."""
        del path
        return None

    def read(self, receiver: MarkReceiver) -> bool:
        """Drain the queue; both halves of a rename become one move, equal hints are merged."""
        touched: dict[int, dict[bytes, int]] = {}
        moves: list[tuple[int, bytes, int, bytes]] = []
        departed, unpaired = self._departed, set(self._departed)
        ended: list[int] = []
        lost = False
        unpack = _HEADER.unpack_from
        while data := self._fetch():
            offset, end = 0, len(data)
            while offset < end:
                wd, mask, cookie, length = unpack(data, offset)
                start = offset + 16
                offset = start + length
                if mask & _RARE:
                    if mask & IN_Q_OVERFLOW:
                        lost = True
                    else:
                        ended.append(wd)
                    continue
                name = data[start:offset]
                names = touched.get(wd)
                if names is None:
                    touched[wd] = {name: mask}
                else:
                    names[name] = names.get(name, 0) | mask
                if cookie:
                    if mask & IN_MOVED_FROM:
                        departed[cookie] = (wd, name)
                    elif cookie in departed:
                        moves.append((*departed.pop(cookie), wd, name))
            if end < BUFFER - _LONGEST:
                break
        for cookie in unpaired:
            departed.pop(cookie, None)  # after two reads it will not come: it left the marked tree
        if lost:
            receiver.lost()
        hints = _hints_of_moves(moves, receiver) if moves else {}
        for wd, names in touched.items():
            found = hints.setdefault(wd, {})
            for raw, mask in names.items():
                text = raw[: raw.index(0)].decode(ENCODING, ENCODE_ERRORS) if raw else ""
                found[text] = found.get(text, 0) | _bits_of[mask]
        for wd, found in hints.items():
            receiver.touched(wd, found)
        for wd in ended:
            self._live.discard(wd)
            receiver.dropped(wd)
        return lost or bool(hints) or bool(ended)


_bits_of: Final = MaskTable(
    (
        (IN_MODIFY, WRITE),
        (IN_CLOSE_WRITE, CLOSED),
        (IN_CREATE, CREATE),
        (IN_DELETE, DELETE),
        (IN_ATTRIB, ATTRIB),
        (IN_MOVED_FROM | IN_MOVED_TO, MOVED),
        (IN_MOVED_FROM, AWAY),
        (IN_MOVED_TO, HERE),
        (IN_DELETE_SELF | IN_UNMOUNT, GONE),
        (IN_MOVE_SELF, SELF_MOVED),
        (IN_ISDIR, ISDIR),
    )
)


def _text(name: bytes) -> str:
    """Return a name without the NULs that pad it to the alignment of the next record."""
    return name[: name.index(0)].decode(ENCODING, ENCODE_ERRORS) if name else ""


def _hints_of_moves(
    moves: list[tuple[int, bytes, int, bytes]], receiver: MarkReceiver
) -> dict[int, dict[str, int]]:
    """Pass on the renames, and return the hints for their ends: directory -> name -> bits."""
    hints: dict[int, dict[str, int]] = {}
    found: list[tuple[Key, str, Key, str]] = []
    for wd, raw, to_wd, to_raw in moves:
        name, to_name = _text(raw), _text(to_raw)
        found.append((wd, name, to_wd, to_name))
        hints.setdefault(wd, {})[name] = MOVED
        hints.setdefault(to_wd, {})[to_name] = MOVED
    receiver.moved(found)
    return hints
