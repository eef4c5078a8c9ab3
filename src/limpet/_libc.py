"""The Linux system calls that Python's ``os`` lacks, with errno turned into ``OSError``.

Sources: inotify(7), fanotify(7), fanotify_init(2), fanotify_mark(2), open_by_handle_at(2),
statx(2).
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import sys
from typing import Any, Final

from limpet._compiled import compiled_if_built

assert sys.platform == "linux"  # noqa: S101 (tells the type checker)

AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_MAX_HANDLE: Final = 128
_HANDLE_HEAD: Final = 8

_libc: Any = ctypes.CDLL(None, use_errno=True)


def _bind(name: str, *arguments: Any) -> Any:  # noqa: ANN401 (ctypes is untyped)
    """Return a function of libc; one that is missing fails with ENOSYS when called."""
    try:
        function = getattr(_libc, name)
    except AttributeError:

        def missing(*_arguments: object) -> int:
            ctypes.set_errno(38)
            return -1

        return missing
    function.argtypes = arguments
    function.restype = ctypes.c_int
    return function


_int, _char_p, _uint, _u64 = ctypes.c_int, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint64
_fanotify_init = _bind("fanotify_init", _uint, _uint)
_fanotify_mark = _bind("fanotify_mark")
_fanotify_mark.argtypes = None  # as statx_call, below
_inotify_init1 = _bind("inotify_init1", _int)
_inotify_add_watch = _bind("inotify_add_watch", _int, _char_p, ctypes.c_uint32)
_inotify_rm_watch = _bind("inotify_rm_watch", _int, _int)
_name_to_handle_at = _bind("name_to_handle_at")
_name_to_handle_at.argtypes = None  # as statx_call, below
_open_by_handle_at = _bind("open_by_handle_at", _int, ctypes.c_void_p, _int)
statx_call = _bind("statx")
statx_call.argtypes = None
"""Raw ``statx``: returns -1 and leaves errno to ``ctypes.get_errno``. It has no argument types,
because checking them takes as long as half the call (measured: 2.9 against 2.1 microseconds). Pass
int, bytes, int, int and a buffer, and no number larger than an ``int`` of C."""


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def fanotify_init(flags: int) -> int:
    """Create a fanotify group that reports to a close-on-exec descriptor."""
    return _checked(_fanotify_init(flags, os.O_RDONLY | os.O_CLOEXEC))


@compiled_if_built
def fanotify_mark(group: int, flags: int, mask: int, fd: int, path: bytes | None = None) -> None:
    """Change the group's mark on the object open at ``fd`` (or at ``path`` below it)."""
    if _fanotify_mark(group, flags, _mask(mask), fd, path) < 0:
        _checked(-1)


def inotify_init() -> int:
    """Create a non-blocking, close-on-exec inotify instance."""
    return _checked(_inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def inotify_add_watch(instance: int, path: bytes, mask: int) -> int:
    """Watch what is at ``path``; return the watch descriptor."""
    return _checked(_inotify_add_watch(instance, path, mask))


def inotify_rm_watch(instance: int, wd: int) -> None:
    _checked(_inotify_rm_watch(instance, wd))


_mask = functools.lru_cache(maxsize=64)(_u64)
"""Masks as C takes them; few occur."""

_Buffers = tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_int]]
_handles: list[_Buffers] = []
"""Buffers not in use: a new one costs four times the call. Taking one and putting it back are
single steps, so threads may share them."""
_SIZE = struct.Struct("=I")
_LARGEST: Final = _SIZE.pack(_MAX_HANDLE)


@compiled_if_built
def name_to_handle(fd: int) -> bytes:
    """Return the file handle of the object open at ``fd``: length, type, then the opaque bytes."""
    try:
        buffer, mount = _handles.pop()  # one step: another thread may take the last one
    except IndexError:
        buffer, mount = (
            ctypes.create_string_buffer(_HANDLE_HEAD + _MAX_HANDLE),
            (ctypes.c_int * 1)(),
        )
    ctypes.memmove(buffer, _LARGEST, _SIZE.size)  # PyPy's struct does not write into an array
    result = _name_to_handle_at(fd, b"", buffer, mount, _AT_EMPTY_PATH)
    raw = buffer.raw
    handle = raw[: _HANDLE_HEAD + _SIZE.unpack_from(raw)[0]]
    _handles.append((buffer, mount))
    if result < 0:
        _checked(result)
    return handle


@compiled_if_built
def fanotify_mark_several(group: int, flags: int, mask: int, fds: list[int]) -> list[bytes]:
    """Mark directories one after the other, up to the first that cannot be; return their handles.

    ``mask`` may be 0: then the handles are all that is wanted.
    """
    handles = []
    for fd in fds:
        try:
            handle = name_to_handle(fd)
            if mask:
                fanotify_mark(group, flags, mask, fd, b".")
        except OSError:
            break
        handles.append(handle)
    return handles


@compiled_if_built
def inotify_mark_several(instance: int, mask: int, fds: list[int]) -> list[int]:
    """Watch what is open at each ``fd``, up to the first that cannot be; return the descriptors."""
    watched = []
    for fd in fds:
        try:
            watched.append(inotify_add_watch(instance, b"/proc/self/fd/%d" % fd, mask))
        except OSError:
            break
    return watched


def open_by_handle(mount_fd: int, handle: bytes) -> int:
    """Open the directory that a handle of ``name_to_handle`` names; needs CAP_DAC_READ_SEARCH."""
    buffer = ctypes.create_string_buffer(handle, len(handle))
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    return _checked(_open_by_handle_at(mount_fd, buffer, flags))
