"""``statx`` for Linux: ``os.stat`` with the birth time that it leaves out.

statx(2), since Linux 4.11. A birth time distinguishes a renamed file from another that got its
inode number.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
import sys
from typing import TYPE_CHECKING, Final

from limpet._compiled import compiled_if_built
from limpet._ctypes_buffers import unpacker
from limpet._descriptors import close_reader
from limpet._file_stat import identity_of
from limpet._kernel_release import kernel_release
from limpet.watching.index._entry_record import (
    StatResult,
    flags_of,
    links_of,
    pack_clamped,
    pack_fields,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

assert sys.platform == "linux"  # noqa: S101 (tells the type checker)

from limpet._libc import AT_FDCWD, statx_call  # noqa: E402
from limpet.backends import ENCODE_ERRORS, ENCODING  # noqa: E402

_LAYOUT: Final = struct.Struct("<I12xIIIH2xQQ32xqI4xqI4xqI12xII")
# mask, nlink, uid, gid, mode, ino, size, birth (s, ns), ctime, mtime, device (major, minor)
_unpack: Final = unpacker(_LAYOUT)
_WANTED: Final = 0xFFF  # STATX_BASIC_STATS | STATX_BTIME
_BIRTH: Final = 0x800
_NO_FOLLOW: Final = 0x100
_EMPTY_PATH: Final = 0x1000
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_LEAF: Final = 2
"""Links of a directory without directories."""
_NOT_THERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_SECOND: Final = 1_000_000_000

_spare: list[ctypes.Array[ctypes.c_char]] = []
"""Buffers not in use; taking one and putting it back are single steps, so threads may share them. A
new one costs more than the call (measured: 7 against 3 microseconds)."""
_device = functools.lru_cache(maxsize=256)(os.makedev)


def _take_buffer() -> ctypes.Array[ctypes.c_char]:
    try:
        return _spare.pop()  # one step: another thread may take the last one at any moment
    except IndexError:
        return ctypes.create_string_buffer(256)


def statx(fd: int, name: str, *, follow: bool) -> StatResult | None:
    """Stat ``name`` in the directory open at ``fd`` (``""``: the directory itself).

    Returns:
        The result, or ``None`` if the name does not exist.

    Raises:
        OSError: There is no answer.
    """
    flags = _EMPTY_PATH if not name else 0 if follow else _NO_FOLLOW
    buffer = _take_buffer()
    failed = statx_call(fd, os.fsencode(name), flags, _WANTED, buffer) < 0
    fields = _unpack(buffer)
    _spare.append(buffer)
    if failed:
        code = ctypes.get_errno()
        if code in _NOT_THERE:
            return None
        raise OSError(code, os.strerror(code), name)
    (mask, nlink, uid, gid, mode, inode, size, birth, birth_ns, ctime, ctime_ns, mtime, mtime_ns,
     major, minor) = fields  # fmt: skip
    return StatResult(
        mode, nlink, uid, gid, _device(major, minor), inode, size,
        mtime * _SECOND + mtime_ns, ctime * _SECOND + ctime_ns,
        birth * _SECOND + birth_ns if mask & _BIRTH else 0,
    )  # fmt: skip


def statx_answers() -> bool:
    """Return whether the call exists and is allowed.

    Kernels before 4.11 answer ENOSYS, and seccomp rules that do not know it EPERM (Docker with
    libseccomp before 2.3.3), for every file.
    """
    try:
        return statx(AT_FDCWD, "/", follow=True) is not None
    except OSError as error:
        return error.errno not in {errno.ENOSYS, errno.EPERM}


@compiled_if_built
def statx_directory(fd: int, now: int, racy: int) -> tuple[bytes, int, int]:
    """Return the packed record, device and inode of the directory open at ``fd``.

    Raises:
        OSError: There is no answer.
    """
    buffer = _take_buffer()
    failed = statx_call(fd, b"", _EMPTY_PATH, _WANTED, buffer) < 0
    (mask, nlink, uid, gid, mode, inode, size, birth, birth_ns, ctime, ctime_ns,
     mtime, mtime_ns, major, minor) = _unpack(buffer)  # fmt: skip
    _spare.append(buffer)
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    birth = birth * _SECOND + birth_ns if mask & _BIRTH else 0
    ctime = ctime * _SECOND + ctime_ns
    device = _device(major, minor)
    record = pack_clamped(
        inode, birth, device, nlink, uid, gid, mode, size, mtime, mtime_ns, ctime,
        flags_of(ctime, birth, now, racy),
    )  # fmt: skip
    return record, device, inode


@compiled_if_built
def open_directories(
    fd: int, names: list[str], device: int, now: int, racy: int
) -> list[tuple[int, bytes, int]]:
    """Open directories in the one open at ``fd``, up to the first that is not a plain one.

    That is one that cannot be opened or has no answer, or is on another device. One that may have
    directories in it ends the list too, as its last: a directory has two links, and one more for
    each in it, on file systems that count them.

    Returns:
        Descriptor, packed record and inode of each; the caller closes them.
    """
    found: list[tuple[int, bytes, int]] = []
    for name in names:
        try:
            opened = os.open(name, _OPEN, dir_fd=fd)
        except (OSError, ValueError):
            break
        try:
            record, where, inode = statx_directory(opened, now, racy)
        except OSError:
            close_reader(opened)
            break
        if where != device:
            close_reader(opened)
            break
        found.append((opened, record, inode))
        if links_of(record) != _LEAF:
            break
    return found


@compiled_if_built
def statx_records(fd: int, names: Iterable[str], now: int, racy: int) -> list[bytes | None]:
    """Return the packed record of each name in the directory open at ``fd``, or ``None``.

    As ``pack(statx(...), now)`` for each, where ``racy`` is ``RACY_NS``, at a third of its cost
    (measured: 3 against 9 microseconds): it is most of what a scan costs.

    Raises:
        OSError: For one of them there is no answer.
    """
    buffer = _take_buffer()
    call, unpack, pack = statx_call, _unpack, pack_fields
    young = now - racy
    records: list[bytes | None] = []
    for name in names:
        if call(fd, name.encode(ENCODING, ENCODE_ERRORS), _NO_FOLLOW, _WANTED, buffer) < 0:
            code = ctypes.get_errno()
            if code not in _NOT_THERE:
                raise OSError(code, os.strerror(code), name)
            records.append(None)
            continue
        (mask, nlink, uid, gid, mode, inode, size, birth, birth_ns, ctime, ctime_ns,
         mtime, mtime_ns, major, minor) = unpack(buffer)  # fmt: skip
        birth = birth * _SECOND + birth_ns if mask & _BIRTH else 0
        ctime = ctime * _SECOND + ctime_ns
        if ctime_ns and birth_ns:
            flags = (ctime > young) | (birth > young) << 1
        else:
            flags = flags_of(ctime, birth, now, racy)
        device = _device(major, minor)
        try:
            record = pack(
                inode, birth, device, nlink, uid, gid, mode, size, mtime, mtime_ns, ctime, flags
            )
        except struct.error:
            record = pack_clamped(
                inode, birth, device, nlink, uid, gid, mode, size, mtime, mtime_ns, ctime, flags
            )
        records.append(record)
    _spare.append(buffer)
    return records


@compiled_if_built
def records_in(
    path: str, flags: int, device: int, inode: int, names: list[str], now: int, racy: int
) -> tuple[int, int, list[bytes | None] | None]:
    """Open a directory, stat names in it, and close it.

    Args:
        path: The directory.
        flags: How to open it.
        device: Its device number.
        inode: Its inode number.
        names: The names.
        now: As in ``statx_records``.
        racy: The same.

    Returns:
        Device and inode of what is there, and what ``statx_records`` returns or, where those are
        not the ones asked for, ``None``.

    Raises:
        OSError: It could not be opened, or there is no answer for one of the names.
    """
    fd = os.open(path, flags)
    try:
        found = identity_of(os.fstat(fd))
        is_it = found == (device, inode)
        records = statx_records(fd, names, now, racy) if is_it else None
    finally:
        close_reader(fd)
    return *found, records


EXACT_TIMES: Final = kernel_release() >= (6, 13)
"""Since Linux 6.13 a file after a stat gets a finer time stamp at its next change (multigrain
timestamps; ext4, xfs, btrfs, tmpfs), so an equal ctime proves that nothing changed since."""
