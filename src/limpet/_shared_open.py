"""Opening files so that they block nobody: on Windows, sharing them for deletion too.

The C runtime opens without FILE_SHARE_DELETE, and while such a handle is open nobody can rename,
replace or delete the file: not its writer, who rotates a log that limpet follows, and not limpet
itself, which renames a temporary file into place. It also appends by a seek and a write, so that
two processes write over each other (CreateFileW, learn.microsoft.com; measured: 597 of 600 lines).
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import Any, Final

from limpet._extended_path import extended

_READ: Final = 0x80000000
_WRITE: Final = 0x40000000
_APPEND: Final = 0x4 | 0x100000 | 0x1 | 0x80 | 0x100
"""FILE_APPEND_DATA without FILE_WRITE_DATA: the system appends each write as a whole. With
SYNCHRONIZE, FILE_READ_DATA, which LockFileEx asks for, and the right to read and set attributes."""
_SHARE_ALL: Final = 0x1 | 0x2 | 0x4
_CREATE_NEW, _CREATE_ALWAYS, _EXISTING, _OPEN_ALWAYS, _TRUNCATE = 1, 2, 3, 4, 5
_REPARSE_POINT: Final = 0x00200000
"""FILE_FLAG_OPEN_REPARSE_POINT: a link itself, not where it leads."""
_NORMAL: Final = 0x80
_FLAGS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)


def access_of(flags: int) -> int:
    """Return the access that flags of ``os.open`` ask for."""
    reads = _READ if flags & os.O_RDWR or not flags & os.O_WRONLY else 0
    if not flags & (os.O_WRONLY | os.O_RDWR):
        return _READ
    return reads | (_APPEND if flags & os.O_APPEND else _WRITE)


def _disposition(flags: int) -> int:
    """Return what is to be done where the file exists, or does not."""
    if flags & os.O_CREAT:
        if flags & os.O_EXCL:
            return _CREATE_NEW
        return _CREATE_ALWAYS if flags & os.O_TRUNC else _OPEN_ALWAYS
    return _TRUNCATE if flags & os.O_TRUNC else _EXISTING


if sys.platform == "win32":
    import msvcrt

    @cache
    def _kernel() -> Any:  # noqa: ANN401 - ctypes finds the functions by name
        found: Any = ctypes.WinDLL("kernel32", use_last_error=True)
        found.CreateFileW.restype = ctypes.c_void_p
        found.CreateFileW.argtypes = [
            ctypes.c_wchar_p,
            ctypes.c_uint32,
            ctypes.c_uint32,
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_uint32,
            ctypes.c_void_p,
        ]
        found.CloseHandle.argtypes = [ctypes.c_void_p]
        return found

    def _open(path: str, flags: int, *, follow: bool) -> int:
        kernel = _kernel()
        special = _NORMAL | (0 if follow else _REPARSE_POINT)
        handle = kernel.CreateFileW(
            extended(path), access_of(flags), _SHARE_ALL, None, _disposition(flags), special, None
        )
        if handle is None or handle == ctypes.c_void_p(-1).value:
            error = ctypes.WinError(ctypes.get_last_error())
            error.filename = path
            raise error
        kept = flags & (os.O_APPEND | os.O_WRONLY | os.O_RDWR)
        try:
            return msvcrt.open_osfhandle(handle, kept | _FLAGS)
        except BaseException:
            kernel.CloseHandle(handle)
            raise


def open_shared(
    path: str | os.PathLike[str], flags: int, mode: int = 0o666, *, follow: bool = True
) -> int:
    """Open a file as ``os.open``; on Windows, others may still rename, replace and delete it.

    Args:
        path: The file.
        flags: As of ``os.open``.
        mode: Permissions of a new file; none on Windows.
        follow: Open where a link at its end leads; else, on Windows, the link itself.

    Raises:
        OSError: As ``os.open``.
    """
    if sys.platform == "win32":
        return _open(os.fspath(path), flags, follow=follow)
    return os.open(path, flags, mode)
