"""The calls of Windows behind the source of hints, as few and as plain as they can be.

"ReadDirectoryChangesExW", "ReadDirectoryChangesW", "GetQueuedCompletionStatus", "CancelIoEx" and
"CreateFileW" (learn.microsoft.com) describe them; the numbers are those of winnt.h, winbase.h and
winerror.h. ``ChangesApi`` is the seam: tests pass a fake, so all that uses it runs everywhere.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final, NamedTuple, Protocol

from limpet._extended_path import extended
from limpet._overlapped import Overlapped

INVALID_FUNCTION: Final = 1
NOT_FOUND: Final = 2
ACCESS_DENIED: Final = 5
NOT_SUPPORTED: Final = 50
INVALID_PARAMETER: Final = 87
CALL_NOT_IMPLEMENTED: Final = 120
NOT_A_DIRECTORY: Final = 267
"""ERROR_DIRECTORY."""
OPERATION_ABORTED: Final = 995
IO_PENDING: Final = 997
NOTIFY_ENUM_DIR: Final = 1022
"""Error codes: the last one says that more changed than the buffer holds."""

_WAIT_TIMEOUT: Final = 258
_FOREVER: Final = 0xFFFFFFFF
_LIST_DIRECTORY: Final = 0x1
_SHARE_ALL: Final = 0x1 | 0x2 | 0x4
"""FILE_SHARE_READ, WRITE and DELETE: nobody is kept from renaming or deleting the directory."""
_EXISTING: Final = 3
_FLAGS: Final = 0x02000000 | 0x40000000
"""FILE_FLAG_BACKUP_SEMANTICS, which a directory needs, and FILE_FLAG_OVERLAPPED."""
_FILTER: Final = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x40 | 0x100
"""FILE_NOTIFY_CHANGE_*: names of files and directories, attributes, size, time of the last write,
creation, security. Reading alone changes none of them."""
_DIRECTORY: Final = 0x10
"""FILE_ATTRIBUTE_DIRECTORY."""
_EXTENDED_INFORMATION: Final = 2
"""ReadDirectoryNotifyExtendedInformation of minwinbase.h."""


class RefusedError(Exception):
    """The system refused a call; nothing is held by it. ``code`` is that of winerror.h."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Request:
    """What one read needs for as long as it is pending: the kernel writes into it at any moment."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.overlapped = Overlapped()
        self.buffer = ctypes.create_string_buffer(size)
        """Aligned for any number, which is more than the DWORD that is asked for."""
        self.address = ctypes.addressof(self.overlapped)

    def data(self, size: int) -> bytes:
        """Return a copy of what was read."""
        return ctypes.string_at(self.buffer, min(size, self.size))


class Packet(NamedTuple):
    """What a completion port hands out: the end of one read, or a wake-up."""

    address: int
    """Address of the request; 0 for a wake-up."""
    size: int
    error: int
    """0 if the read succeeded."""


class ChangesApi(Protocol):
    """The calls; a handle is a number that ``close`` is to be given once."""

    has_extended: bool
    """ReadDirectoryChangesExW is there (Windows 10, version 1709)."""

    def open_directory(self, path: str) -> int:
        """Open a directory for reading its changes; may wait for the disk.

        Raises:
            RefusedError: Nothing was opened; NOT_A_DIRECTORY is a file, which the system would
                open as well.
        """

    def open_port(self) -> int:
        """Open a completion port.

        Raises:
            RefusedError: Nothing was opened.
        """

    def attach(self, port: int, handle: int) -> None:
        """Send the end of each read of a directory to the port.

        Raises:
            RefusedError: Nothing has changed.
        """

    def read(self, handle: int, request: Request, *, extended: bool, below: bool) -> None:
        """Ask for the next changes in a directory and ``below``; the answer comes to the port.

        Raises:
            RefusedError: Nothing is pending.
        """

    def cancel(self, handle: int, request: Request) -> None:
        """Ask that a read ends now; its end comes to the port, too, however it ends."""

    def wait(self, port: int, timeout: float | None) -> Packet | None:
        """Wait for the next packet; return ``None`` when the time is over.

        Raises:
            RefusedError: The port is not usable.
        """

    def post(self, port: int) -> None:
        """Send a wake-up to the port; callable from any thread."""

    def close(self, handle: int) -> None:
        """Close a handle."""


if sys.platform == "win32":

    class WindowsApi:
        """The real calls."""

        def __init__(self) -> None:
            kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)
            word, pointer, text = ctypes.c_uint32, ctypes.c_void_p, ctypes.c_wchar_p
            overlapped = ctypes.POINTER(Overlapped)
            read = [pointer, pointer, word, ctypes.c_int, word, pointer, overlapped, pointer]

            def declare(name: str, result: Any, *arguments: Any) -> Any:  # noqa: ANN401 (ctypes)
                function = getattr(kernel, name)
                function.restype, function.argtypes = result, arguments
                return function

            self._create_file = declare(
                "CreateFileW", pointer, text, word, word, pointer, word, word, pointer
            )
            self._create_port = declare(
                "CreateIoCompletionPort", pointer, pointer, pointer, ctypes.c_size_t, word
            )
            self._wait = declare(
                "GetQueuedCompletionStatus",
                *(ctypes.c_int, pointer, ctypes.POINTER(word), ctypes.POINTER(ctypes.c_size_t)),
                *(ctypes.POINTER(pointer), word),
            )
            self._post = declare(
                "PostQueuedCompletionStatus", ctypes.c_int, pointer, word, ctypes.c_size_t, pointer
            )
            self._information = declare(
                "GetFileInformationByHandle", ctypes.c_int, pointer, pointer
            )
            self._cancel = declare("CancelIoEx", ctypes.c_int, pointer, overlapped)
            self._close = declare("CloseHandle", ctypes.c_int, pointer)
            self._read = declare("ReadDirectoryChangesW", ctypes.c_int, *read)
            self.has_extended = hasattr(kernel, "ReadDirectoryChangesExW")
            if self.has_extended:
                self._read_extended = declare(
                    "ReadDirectoryChangesExW", ctypes.c_int, *read, ctypes.c_int
                )

        def open_directory(self, path: str) -> int:
            handle = self._create_file(
                extended(path), _LIST_DIRECTORY, _SHARE_ALL, None, _EXISTING, _FLAGS, None
            )
            if handle is None or handle == ctypes.c_void_p(-1).value:
                raise RefusedError(ctypes.get_last_error())
            # BY_HANDLE_FILE_INFORMATION of fileapi.h: 13 DWORDs, of which the attributes are first.
            information = (ctypes.c_uint32 * 13)()
            if not self._information(handle, information):
                code = ctypes.get_last_error()
            else:
                code = 0 if information[0] & _DIRECTORY else NOT_A_DIRECTORY
            if code:
                self.close(handle)
                raise RefusedError(code)
            return int(handle)

        def open_port(self) -> int:
            port = self._create_port(ctypes.c_void_p(-1), None, 0, 1)
            if not port:
                raise RefusedError(ctypes.get_last_error())
            return int(port)

        def attach(self, port: int, handle: int) -> None:
            if not self._create_port(handle, port, 0, 0):
                raise RefusedError(ctypes.get_last_error())

        def read(self, handle: int, request: Request, *, extended: bool, below: bool) -> None:
            ctypes.memset(request.address, 0, ctypes.sizeof(Overlapped))
            arguments = (
                *(handle, request.buffer, request.size, int(below), _FILTER, None),
                *(ctypes.byref(request.overlapped), None),
            )
            if extended:
                done = self._read_extended(*arguments, _EXTENDED_INFORMATION)
            else:
                done = self._read(*arguments)
            if not done:
                code = ctypes.get_last_error()
                if code != IO_PENDING:
                    raise RefusedError(code)

        def cancel(self, handle: int, request: Request) -> None:
            # ERROR_NOT_FOUND: it has ended already, and its packet is on the way.
            self._cancel(handle, ctypes.byref(request.overlapped))

        def wait(self, port: int, timeout: float | None) -> Packet | None:
            size, key = ctypes.c_uint32(), ctypes.c_size_t()
            address = ctypes.c_void_p()
            milliseconds = _FOREVER if timeout is None else max(0, round(timeout * 1000))
            done = self._wait(
                *(port, ctypes.byref(size), ctypes.byref(key), ctypes.byref(address)),
                milliseconds,
            )
            code = 0 if done else ctypes.get_last_error()
            if not done and not address.value:
                if code == _WAIT_TIMEOUT:
                    return None
                raise RefusedError(code)
            return Packet(address.value or 0, size.value, code)

        def post(self, port: int) -> None:
            self._post(port, 0, 0, None)

        def close(self, handle: int) -> None:
            self._close(handle)
