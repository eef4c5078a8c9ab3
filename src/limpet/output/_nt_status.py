"""What Windows' own system calls answer (NTSTATUS), and the errno that each answer means here.

The values are those of ntstatus.h ("NTSTATUS Values" in [MS-ERREF], learn.microsoft.com). What the
C runtime makes of them is coarser: it has one error for a file that others have open, one that may
not be changed and one that is being deleted.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import Final

INVALID_INFO_CLASS: Final = 0xC0000003
NOT_IMPLEMENTED: Final = 0xC0000002
INVALID_PARAMETER: Final = 0xC000000D
INVALID_DEVICE_REQUEST: Final = 0xC0000010
NOT_SUPPORTED: Final = 0xC00000BB
NO_MORE_FILES: Final = 0x80000006
ACCESS_DENIED: Final = 0xC0000022
OBJECT_NAME_INVALID: Final = 0xC0000033
OBJECT_NAME_NOT_FOUND: Final = 0xC0000034
OBJECT_NAME_COLLISION: Final = 0xC0000035
SHARING_VIOLATION: Final = 0xC0000043
FILE_LOCK_CONFLICT: Final = 0xC0000054
DELETE_PENDING: Final = 0xC0000056
FILE_IS_A_DIRECTORY: Final = 0xC00000BA
DIRECTORY_NOT_EMPTY: Final = 0xC0000101
NOT_A_DIRECTORY: Final = 0xC0000103
CANNOT_DELETE: Final = 0xC0000121
REPARSE_POINT_ENCOUNTERED: Final = 0xC000050B

UNKNOWN: Final = frozenset(
    (INVALID_INFO_CLASS, NOT_IMPLEMENTED, INVALID_PARAMETER, INVALID_DEVICE_REQUEST, NOT_SUPPORTED)
)
"""What a system or a file system answers to a request that it does not know: Windows before 1607,
FAT, some network servers, Wine (NOT_IMPLEMENTED)."""

HELD: Final = frozenset((SHARING_VIOLATION, FILE_LOCK_CONFLICT, DELETE_PENDING))
"""What it answers while another program has a file open, and for no other reason."""

BUSY: Final = HELD | {ACCESS_DENIED, CANNOT_DELETE}
"""The same of a rename and a deletion: the first of the others where a file that would be replaced
is open, the second where one is mapped. Both also say that it is not permitted at all."""

_HELD: Final = "another program has it open"
_MEANING: Final[dict[int, tuple[int, str]]] = {
    INVALID_PARAMETER: (errno.EINVAL, ""),
    NOT_SUPPORTED: (errno.EOPNOTSUPP, ""),
    ACCESS_DENIED: (errno.EACCES, ""),
    OBJECT_NAME_INVALID: (errno.EILSEQ, "Windows takes no such name"),
    OBJECT_NAME_NOT_FOUND: (errno.ENOENT, ""),
    0xC000000F: (errno.ENOENT, ""),  # NO_SUCH_FILE
    0xC000003A: (errno.ENOENT, ""),  # OBJECT_PATH_NOT_FOUND
    0xC0000123: (errno.ENOENT, "it was deleted meanwhile"),  # FILE_DELETED
    OBJECT_NAME_COLLISION: (errno.EEXIST, ""),
    SHARING_VIOLATION: (errno.EACCES, _HELD),
    FILE_LOCK_CONFLICT: (errno.EACCES, "another program has locked it"),
    DELETE_PENDING: (errno.EBUSY, "it is deleted, but another program still has it open"),
    CANNOT_DELETE: (errno.EACCES, "it is write-protected, or runs as a program"),
    FILE_IS_A_DIRECTORY: (errno.EISDIR, ""),
    DIRECTORY_NOT_EMPTY: (errno.ENOTEMPTY, ""),
    NOT_A_DIRECTORY: (errno.ENOTDIR, ""),
    REPARSE_POINT_ENCOUNTERED: (errno.ELOOP, ""),
    0xC0000279: (errno.ENXIO, ""),  # IO_REPARSE_TAG_NOT_HANDLED: a FIFO of WSL, an alias of an app
    0xC0000106: (errno.ENAMETOOLONG, ""),  # NAME_TOO_LONG
    0xC0000044: (errno.ENOSPC, "the quota is used up"),  # QUOTA_EXCEEDED
    0xC000007F: (errno.ENOSPC, ""),  # DISK_FULL
    0xC00000A2: (errno.EROFS, ""),  # MEDIA_WRITE_PROTECTED
    0xC00000D4: (errno.EXDEV, ""),  # NOT_SAME_DEVICE
    0xC000011F: (errno.EMFILE, ""),  # TOO_MANY_OPENED_FILES
}


class NtError(Exception):
    """A system call failed; ``status`` says how."""

    def __init__(self, status: int) -> None:
        """Keep the answer."""
        super().__init__(f"NTSTATUS {status:#010x}")
        self.status = status


def os_error(error: NtError, name: str) -> OSError:
    """Return the error with the errno that other systems have for the same thing."""
    status = error.status
    if status not in _MEANING:
        if sys.platform == "win32":
            convert = ctypes.WinDLL("ntdll").RtlNtStatusToDosError
            convert.argtypes, convert.restype = [ctypes.c_uint32], ctypes.c_uint32
            found = ctypes.WinError(convert(status))
            found.filename = name
            return found
        return OSError(errno.EIO, str(error), name)
    number, why = _MEANING[status]
    return OSError(number, why or os.strerror(number), name)
