"""The records that fanotify puts into a buffer, merged into hints.

Layout: fanotify(7), "Reading fanotify events". Pure: bytes in, values out. A record that is not as
the page says is taken for an overflow, for nobody knows what it should have said.
"""

from __future__ import annotations

import contextlib
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
    OTHER,
    OWN,
    SELF_MOVED,
    WRITE,
    Key,
)
from limpet.backends._kernel_reader import MaskTable

FAN_MODIFY, FAN_ATTRIB, FAN_CLOSE_WRITE, FAN_CREATE, FAN_DELETE = 0x2, 0x4, 0x8, 0x100, 0x200
FAN_DELETE_SELF, FAN_MOVE_SELF, FAN_Q_OVERFLOW = 0x400, 0x800, 0x4000
FAN_ON_CHILD, FAN_RENAME, FAN_ONDIR = 0x08000000, 0x10000000, 0x40000000

_INFO_OLD: Final = 10  # FAN_EVENT_INFO_TYPE_OLD_DFID_NAME
_METADATA = struct.Struct("=I2xHQ4xi")  # event_len, metadata_len, mask, pid
_HEAD: Final = _METADATA.size
_INFO_SIZE: Final = 20
"""Bytes of an info record before its file handle: type, pad, length (2), fsid (8), handle length
(4), handle type (4). A directory's key reaches from the fsid to the end of the handle."""
_FSID_AT: Final = 4
_LENGTH_AT, _HANDLE_LENGTH_AT = 2, 12

_BITS_OWN: Final = 1 << 64
_BITS_OTHER: Final = 1 << 65
"""Above those that a mask of the kernel may ever have."""
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

_Hints = dict[bytes, dict[str, int]]
_Move = tuple[Key, str, Key, str]


class _MalformedError(Exception):
    """A record is not as the page says."""


@compiled_if_built
def merge_fanotify(buffers: Sequence[bytes], own: int) -> tuple[_Hints, list[_Move], bool]:
    """Return what the records of all buffers say.

    Equal hints are merged on their raw bytes before a name is decoded.

    Args:
        buffers: What was read, in order; each has whole records.
        own: The number of this process.

    Returns:
        Hints: key of a directory -> name -> bits, those of renames first and then in the order in
        which they came, ``""`` for the directory itself. Renames with both ends: (key, name, new
        key, new name), in their order. Whether records were lost.
    """
    touched: dict[bytes, dict[bytes, int]] = {}
    ends: list[tuple[int, int, bytes, str, bytes | None, str]] = []
    lost = False
    for data in buffers:
        try:
            lost |= _merge(data, own, touched, ends)
        except (_MalformedError, IndexError, struct.error):
            lost = True
    moves: list[_Move] = []
    hints: _Hints = {}
    for bits, side, key, name, to_key, to_name in ends:
        names = hints.setdefault(key, {})
        names[name] = names.get(name, 0) | bits | side
        if to_key is not None:
            moves.append((key, name, to_key, to_name))
            names = hints.setdefault(to_key, {})
            names[to_name] = names.get(to_name, 0) | bits | HERE
    for key, raw_names in touched.items():
        _translate(raw_names, hints.setdefault(key, {}))
    return hints, moves, lost


def _merge(
    data: bytes,
    own: int,
    touched: dict[bytes, dict[bytes, int]],
    ends: list[tuple[int, int, bytes, str, bytes | None, str]],
) -> bool:
    """Add one buffer to what was read before; return whether the kernel lost records.

    Raises:
        _MalformedError: The rest of the buffer cannot be read (``IndexError`` and ``struct.error``
            say the same).
    """
    unpack, lost = _METADATA.unpack_from, False
    offset, end = 0, len(data)
    while offset < end:
        length, head, mask, pid = unpack(data, offset)
        if not _HEAD <= head <= length <= end - offset:
            raise _MalformedError
        info, following = offset + head, offset + length
        offset = following
        if mask & FAN_Q_OVERFLOW:
            lost = True
            continue
        mask |= _BITS_OWN if pid == own else _BITS_OTHER
        handle_end = info + _INFO_SIZE + data[info + _HANDLE_LENGTH_AT]
        if handle_end >= following or data[following - 1]:
            raise _MalformedError  # no name, or one that does not end
        if mask & FAN_RENAME:
            ends.append((_bits_of[mask], *_ends_of_rename(data[info:following])))
            continue
        key, name = data[info + _FSID_AT : handle_end], data[handle_end:following]
        names = touched.get(key)
        if names is None:
            touched[key] = {name: mask}
        else:
            names[name] = names.get(name, 0) | mask
    return lost


def causes_of(buffers: Sequence[bytes]) -> dict[tuple[Key, str], tuple[int, bool]]:
    """Return who caused what the records say.

    That is (key of a directory, name) -> number of a process, and whether by a rename. Of several,
    the last. The kernel gives 0 for others than this process without CAP_SYS_ADMIN
    (fanotify(7)): they are left out. So is what ``merge_fanotify`` takes for an overflow.
    """
    causes: dict[tuple[Key, str], tuple[int, bool]] = {}
    for data in buffers:
        with contextlib.suppress(_MalformedError, IndexError, struct.error):
            _add_causes(data, causes)
    return causes


def _add_causes(data: bytes, causes: dict[tuple[Key, str], tuple[int, bool]]) -> None:
    offset, end = 0, len(data)
    while offset < end:
        length, head, mask, pid = _METADATA.unpack_from(data, offset)
        if not _HEAD <= head <= length <= end - offset:
            raise _MalformedError
        info, following = offset + head, offset + length
        offset = following
        if mask & FAN_Q_OVERFLOW or pid <= 0:
            continue
        if mask & FAN_RENAME:
            _, key, name, to_key, to_name = _ends_of_rename(data[info:following])
            causes[key, name] = pid, True
            if to_key is not None:
                causes[to_key, to_name] = pid, True
            continue
        handle_end = info + _INFO_SIZE + data[info + _HANDLE_LENGTH_AT]
        name = _text(data, handle_end)
        causes[data[info + _FSID_AT : handle_end], "" if name == "." else name] = pid, False


def _ends_of_rename(info: bytes) -> tuple[int, bytes, str, bytes | None, str]:
    """Return both ends of a rename, or one and ``None``: those in marked directories.

    Before them stands which end the first is: ``AWAY`` or ``HERE``.
    """
    end = _INFO_SIZE + info[_HANDLE_LENGTH_AT]
    key, name = info[_FSID_AT:end], _text(info, end)
    start = info[_LENGTH_AT] | info[_LENGTH_AT + 1] << 8
    side = AWAY if info[0] == _INFO_OLD else HERE
    if side == HERE or start >= len(info):
        return side, key, name, None, ""
    end = start + _INFO_SIZE + info[start + _HANDLE_LENGTH_AT]
    if end >= len(info):
        raise _MalformedError
    return side, key, name, info[start + _FSID_AT : end], _text(info, end)


def _translate(names: dict[bytes, int], found: dict[str, int]) -> None:
    """Add a directory's raw names and masks to ``found``, as hints."""
    for raw, mask in names.items():
        bits = _bits_of[mask]
        name = _text(raw, 0)
        if name == ".":
            name = ""
        else:
            bits &= ~(GONE | SELF_MOVED)
        found[name] = found.get(name, 0) | bits


def _text(info: bytes, start: int) -> str:
    """Return the name from ``start`` up to the next NUL; the last byte is one."""
    return info[start : info.index(0, start)].decode(ENCODING, ENCODE_ERRORS)
