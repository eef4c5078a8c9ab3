r"""Windows' drives: which volume holds a path, and whether that is on another machine.

Over a network, notifications are the server's: it may send none, drop some, or forget the request
after the connection was lost, and no error says so. So such a volume is polled, as network file
systems are elsewhere ("GetDriveTypeW", "GetVolumePathNameW", learn.microsoft.com).
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final, Protocol

from limpet.backends._mounts import REMOTE_DRIVE, Mount

_REMOTE: Final = 4
"""DRIVE_REMOTE of fileapi.h."""
_LONGEST: Final = 32_768
"""Characters that a path may have."""


class DriveCalls(Protocol):
    """The calls that ask the system about drives; tests pass a fake."""

    def volume_of(self, path: str) -> str:
        """Return the root of the volume that holds a path, or ``""``; the path need not exist."""

    def drive_type(self, root: str) -> int:
        """Return the kind of a drive."""

    def filesystem(self, root: str) -> str:
        """Return the name of a volume's file system, such as ``NTFS``, or ``""``."""


def mount_of(path: str, calls: DriveCalls) -> Mount | None:
    """Return what holds an absolute path, as a line of the mount table; ``None`` if not known."""
    plain = _without_prefix(path)
    root = calls.volume_of(plain)
    shared = plain.startswith("\\\\") and plain[2:4] not in {"?\\", ".\\"}
    if not root and not shared:
        return None
    # \\server\share and \\wsl$\: for some of them no drive type is known.
    if shared or calls.drive_type(root) == _REMOTE:
        filesystem = REMOTE_DRIVE
    else:
        filesystem = calls.filesystem(root)
    return Mount(id=0, device=0, point=root or plain, filesystem=filesystem, root=root)


def _without_prefix(path: str) -> str:
    r"""Return a path without ``\\?\``, which some of the calls do not take."""
    path = path.replace("/", "\\")
    if path.startswith("\\\\?\\UNC\\"):
        return "\\\\" + path[8:]
    return path.removeprefix("\\\\?\\")


if sys.platform == "win32":

    class WindowsDrives:
        """The real calls."""

        def __init__(self) -> None:
            kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)
            word, text, pointer = ctypes.c_uint32, ctypes.c_wchar_p, ctypes.c_void_p
            kernel.GetVolumePathNameW.argtypes = [text, text, word]
            kernel.GetVolumePathNameW.restype = ctypes.c_int
            kernel.GetDriveTypeW.argtypes = [text]
            kernel.GetDriveTypeW.restype = ctypes.c_uint
            kernel.GetVolumeInformationW.argtypes = [
                *(text, text, word, pointer, pointer, pointer, text, word)
            ]
            kernel.GetVolumeInformationW.restype = ctypes.c_int
            self._kernel = kernel

        def volume_of(self, path: str) -> str:
            found = ctypes.create_unicode_buffer(_LONGEST)
            done = self._kernel.GetVolumePathNameW(path, found, _LONGEST)
            return found.value if done else ""

        def drive_type(self, root: str) -> int:
            return int(self._kernel.GetDriveTypeW(root))

        def filesystem(self, root: str) -> str:
            name = ctypes.create_unicode_buffer(261)
            done = self._kernel.GetVolumeInformationW(
                root, None, 0, None, None, None, name, len(name)
            )
            return name.value if done else ""
