"""A lock on an open file that one process at a time can hold, until it closes the file or ends.

On POSIX it is flock(2), which keeps nobody from reading or writing. Windows' LockFileEx does keep
others out of the bytes that it locks, so one byte is locked that no file has.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from typing import Any, Final

from limpet._overlapped import Overlapped

_BYTE: Final = 1 << 62
"""The byte that is locked: far beyond the end of any file (NTFS: below 2**60)."""
_FLAGS: Final = 0x1 | 0x2
"""LOCKFILE_FAIL_IMMEDIATELY and LOCKFILE_EXCLUSIVE_LOCK of minwinbase.h."""
_HELD: Final = {33, 997}
"""ERROR_LOCK_VIOLATION and ERROR_IO_PENDING: another one holds it."""


if sys.platform == "win32":
    import msvcrt

    @cache
    def _kernel() -> Any:  # noqa: ANN401 - ctypes finds the functions by name
        found: Any = ctypes.WinDLL("kernel32", use_last_error=True)
        number = ctypes.c_uint32
        found.LockFileEx.argtypes = [
            *(ctypes.c_void_p, number, number, number, number),
            ctypes.POINTER(Overlapped),
        ]
        return found

    def lock_exclusively(fd: int) -> None:
        """Lock an open file without waiting; the lock ends with its last descriptor.

        Raises:
            BlockingIOError: Another process, or another opening of this one, holds the lock.
            OSError: The file's file system has no locks.
        """
        begin = Overlapped(offset=_BYTE & 0xFFFFFFFF, offset_high=_BYTE >> 32)
        handle = msvcrt.get_osfhandle(fd)
        if not _kernel().LockFileEx(handle, _FLAGS, 0, 1, 0, ctypes.byref(begin)):
            code = ctypes.get_last_error()
            if code in _HELD:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            raise ctypes.WinError(code)

    def unlock(_fd: int) -> None:
        """Release the lock for processes too that have inherited the descriptor; none has here."""
else:
    import fcntl

    def lock_exclusively(fd: int) -> None:
        """Lock an open file without waiting; the lock ends with its last descriptor.

        Raises:
            BlockingIOError: Another process, or another opening of this one, holds the lock.
            OSError: The file's file system has no locks.
        """
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock(fd: int) -> None:
        """Release the lock, also where a process that still runs has inherited the descriptor.

        A close alone does not: the lock is of the open file, which both share (flock(2)).
        """
        fcntl.flock(fd, fcntl.LOCK_UN)
