"""The system calls of ``_nt_api`` as Windows has them, by ctypes.

"NtCreateFile", "NtSetInformationFile" and their like (learn.microsoft.com). What is opened
becomes a descriptor of the C runtime, directories too, so that all that works on descriptors does.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterator
from typing import Any, Final

from limpet._extended_path import extended
from limpet.output._nt_api import (
    ATTRIBUTE_REPARSE_POINT,
    Kind,
    Opening,
    parse_entries,
    rename_information,
)
from limpet.output._nt_status import NO_MORE_FILES, NtError

_RENAME, _RENAME_EX = 10, 65
_DISPOSITION, _DISPOSITION_EX = 13, 64
_FULL_DIRECTORY: Final = 2
_ATTRIBUTE_TAG: Final = 35
"""Of FILE_INFORMATION_CLASS (wdm.h): FileRenameInformation, FileDispositionInformation, both with
``Ex``, FileFullDirectoryInformation and FileAttributeTagInformation."""
_NORMAL: Final = 0x80
"""FILE_ATTRIBUTE_NORMAL of a new file."""
_BUFFER: Final = 1 << 16
_LONGEST: Final = 1 << 15
"""Characters that a path has at most (UNICODE_STRING)."""


class _Text(ctypes.Structure):
    """UNICODE_STRING: bytes, bytes with the end, where."""

    _fields_ = (
        ("length", ctypes.c_uint16),
        ("room", ctypes.c_uint16),
        ("buffer", ctypes.c_void_p),
    )


class _Object(ctypes.Structure):
    """OBJECT_ATTRIBUTES: a name, in which directory, and how it is looked up."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("directory", ctypes.c_void_p),
        ("name", ctypes.POINTER(_Text)),
        ("attributes", ctypes.c_uint32),
        ("security", ctypes.c_void_p),
        ("quality", ctypes.c_void_p),
    )


class _Status(ctypes.Structure):
    """IO_STATUS_BLOCK: the answer, and how many bytes."""

    _fields_ = (("status", ctypes.c_void_p), ("information", ctypes.c_size_t))


class _Tag(ctypes.Structure):
    """FILE_ATTRIBUTE_TAG_INFORMATION: the attributes, and of a reparse point its kind."""

    _fields_ = (("attributes", ctypes.c_uint32), ("tag", ctypes.c_uint32))


def as_link(found: os.stat_result) -> os.stat_result:
    """Return a status with the type of a symlink, all else as it was."""
    reduced: Any = found.__reduce__()  # the ten values that have a place, and those by name
    values, rest = reduced[1]
    mode = stat.S_IFLNK | stat.S_IMODE(found.st_mode)
    return os.stat_result((mode, *values[1:]), rest)


if sys.platform == "win32":
    import msvcrt

    class NativeNt:
        """Windows itself."""

        def __init__(self) -> None:
            """Look the functions up."""
            pointer, number = ctypes.c_void_p, ctypes.c_uint32
            block, flag = ctypes.POINTER(_Status), ctypes.c_ubyte
            ntdll: Any = ctypes.WinDLL("ntdll")
            kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)
            self._create = ntdll.NtCreateFile
            self._create.argtypes = [
                *(ctypes.POINTER(pointer), number, ctypes.POINTER(_Object), block, pointer),
                *(number, number, number, number, pointer, number),
            ]
            self._set = ntdll.NtSetInformationFile
            self._set.argtypes = [pointer, block, pointer, number, number]
            self._query = ntdll.NtQueryInformationFile
            self._query.argtypes = [pointer, block, pointer, number, number]
            self._query_directory = ntdll.NtQueryDirectoryFile
            self._query_directory.argtypes = [
                *(pointer, pointer, pointer, pointer, block, pointer, number, number),
                *(flag, pointer, flag),
            ]
            for call in (self._create, self._set, self._query, self._query_directory):
                call.restype = number
            self._final_path = kernel.GetFinalPathNameByHandleW
            self._final_path.argtypes = [pointer, ctypes.c_wchar_p, number, number]
            self._close = kernel.CloseHandle
            self._close.argtypes = [pointer]

        def open(self, dir_fd: int, name: str, how: Opening) -> int:
            """Open a name in an open directory."""
            return self._open(msvcrt.get_osfhandle(dir_fd), name, how)

        def open_path(self, path: str, how: Opening) -> int:
            r"""Open an absolute path, which the system calls ``\??\C:\...``."""
            return self._open(None, "\\??\\" + extended(path).removeprefix("\\\\?\\"), how)

        def _open(self, directory: int | None, name: str, how: Opening) -> int:
            raw = name.encode("utf-16-le", "surrogatepass")
            buffer = ctypes.create_string_buffer(raw, len(raw) + 2)
            text = _Text(len(raw), len(raw) + 2, ctypes.addressof(buffer))
            named = _Object(
                *(ctypes.sizeof(_Object), directory, ctypes.pointer(text), how.attributes),
                *(None, None),
            )
            handle = ctypes.c_void_p()
            status = self._create(
                *(ctypes.byref(handle), how.access, ctypes.byref(named), ctypes.byref(_Status())),
                *(None, _NORMAL, how.share, how.disposition, how.all_options, None, 0),
            )
            if status:
                raise NtError(status)
            kept = how.flags & (os.O_APPEND | os.O_WRONLY | os.O_RDWR)
            opened = handle.value or 0
            try:
                return msvcrt.open_osfhandle(opened, kept | os.O_BINARY | os.O_NOINHERIT)
            except BaseException:
                self._close(opened)
                raise

        def stat(self, fd: int) -> os.stat_result:
            """Return the status; a reparse point that stands for another name is a link."""
            found = os.fstat(fd)
            is_special = found.st_file_attributes & ATTRIBUTE_REPARSE_POINT
            return as_link(found) if is_special and self.kind(fd).is_link else found

        def kind(self, fd: int) -> Kind:
            """Return attributes and tag alone."""
            found = _Tag()
            handle, answer = msvcrt.get_osfhandle(fd), ctypes.byref(_Status())
            status = self._query(handle, answer, ctypes.byref(found), 8, _ATTRIBUTE_TAG)
            if status:
                raise NtError(status)
            return Kind(found.attributes, found.tag)

        def listed_name(self, fd: int) -> str:
            """Return the last component of the path that GetFinalPathNameByHandleW gives."""
            room = ctypes.create_unicode_buffer(_LONGEST)
            if not self._final_path(msvcrt.get_osfhandle(fd), room, _LONGEST, 0):
                raise ctypes.WinError(ctypes.get_last_error())
            return room.value.rpartition("\\")[2]

        def entries(self, fd: int) -> Iterator[tuple[str, Kind]]:
            """Yield names and kinds, from the start."""
            handle = msvcrt.get_osfhandle(fd)
            buffer = ctypes.create_string_buffer(_BUFFER)
            is_first = 1
            while True:
                status = self._query_directory(
                    *(handle, None, None, None, ctypes.byref(_Status()), buffer, _BUFFER),
                    *(_FULL_DIRECTORY, 0, None, is_first),
                )
                if status == NO_MORE_FILES:
                    return
                if status:
                    raise NtError(status)
                is_first = 0
                yield from parse_entries(buffer.raw)

        def rename(self, fd: int, to: int, new: str, flags: int, *, extended: bool) -> None:
            """Rename what is open."""
            data = rename_information(flags, msvcrt.get_osfhandle(to), new)
            self._inform(fd, data, _RENAME_EX if extended else _RENAME)

        def dispose(self, fd: int, flags: int, *, extended: bool) -> None:
            """Delete what is open."""
            data = flags.to_bytes(4 if extended else 1, "little")
            self._inform(fd, data, _DISPOSITION_EX if extended else _DISPOSITION)

        def _inform(self, fd: int, data: bytes, kind: int) -> None:
            handle, answer = msvcrt.get_osfhandle(fd), ctypes.byref(_Status())
            status = self._set(handle, answer, data, len(data), kind)
            if status:
                raise NtError(status)
