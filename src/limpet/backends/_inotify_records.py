"""The records that inotify puts into a buffer, merged into hints.

Layout: inotify(7), "Reading events from an inotify file descriptor". Pure: bytes in, values out. A
record that is not as the page says is taken for an overflow, for nobody knows what it should have
said.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from limpet._compiled import compiled_if_built
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
    MOVED,
    SELF_MOVED,
    WRITE,
    Key,
)
from limpet.backends._kernel_reader import MaskTable

IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF = 0x100, 0x200, 0x400, 0x800
IN_UNMOUNT, IN_Q_OVERFLOW, IN_IGNORED, IN_ISDIR = 0x2000, 0x4000, 0x8000, 0x40000000

_HEADER = struct.Struct("=iIII")  # wd, mask, cookie, length of the name that follows
_RARE: Final = IN_Q_OVERFLOW | IN_IGNORED
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

_Hints = dict[int, dict[str, int]]
_Move = tuple[Key, str, Key, str]


@compiled_if_built
def merge_inotify(
    buffers: Sequence[bytes], departed: dict[int, tuple[int, bytes]]
) -> tuple[_Hints, list[_Move], list[int], bool]:
    """Return what the records of all buffers say.

    Both halves of a rename become one move; equal hints are merged on their raw bytes before a name
    is decoded.

    Args:
        buffers: What was read, in order; each has whole records.
        departed: Cookie -> (directory, raw name) of renames whose second half has not come yet. It
            is changed: those that are still alone after this second read left the marked tree.

    Returns:
        Hints: directory -> name -> bits, those of renames first and then in the order in which they
        came, ``""`` for the directory itself. Renames with both ends: (directory, name, new
        directory, new name), in their order. Watches that ended, in their order. Whether records
        were lost.
    """
    touched: dict[int, dict[bytes, int]] = {}
    renames: list[tuple[int, bytes, int, bytes]] = []
    unpaired = set(departed)
    ended: list[int] = []
    lost = False
    unpack = _HEADER.unpack_from
    for data in buffers:
        offset, end = 0, len(data)
        while offset < end:
            if end - offset < 16:
                lost = True
                break
            wd, mask, cookie, length = unpack(data, offset)
            start = offset + 16
            offset = start + length
            if offset > end or (length and data[offset - 1]):
                lost = True  # no such name is there, or one that does not end
                break
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
                    renames.append((*departed.pop(cookie), wd, name))
    for cookie in unpaired:
        departed.pop(cookie, None)  # after two reads it will not come: it left the marked tree
    moves: list[_Move] = []
    hints: _Hints = {}
    for wd, raw, to_wd, to_raw in renames:
        name_then, name_now = _text(raw), _text(to_raw)
        moves.append((wd, name_then, to_wd, name_now))
        hints.setdefault(wd, {})[name_then] = MOVED
        hints.setdefault(to_wd, {})[name_now] = MOVED
    for wd, names in touched.items():
        found = hints.setdefault(wd, {})
        for raw, mask in names.items():
            text = _text(raw)
            found[text] = found.get(text, 0) | _bits_of[mask]
    return hints, moves, ended, lost


def _text(name: bytes) -> str:
    """Return a name without the NULs that pad it to the alignment of the next record."""
    return name[: name.index(0)].decode(ENCODING, ENCODE_ERRORS) if name else ""
