"""What Wine gets wrong, corrected; nothing here corrects limpet.

- Creation times: Wine has the time of the last write in their place, so every write would give a
  file another birth. Linux is asked for them instead (``wine/birth.c``).
- The end of a watched directory: on Windows, to delete one ends the reads of its changes with an
  error, and its name is free once the handle is closed. In Wine they go on, and the name stays. So
  where this process removes a directory, its reads are ended.
- Numbers of volumes: Wine has 0 in their place now and then, so a file seems to be another one.
- trio: Wine has no base sockets (WSAIoctl 10045); trio then takes the socket itself.

A module is corrected when it is imported; to import it here would hide what limpet imports itself.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


def is_wine() -> bool:
    """Return whether this Windows is Wine."""
    if sys.platform != "win32":
        return False
    import ctypes

    return hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


def _linux_birth() -> Callable[[str, int, bool], int]:
    """Return what gives the creation time of a file, by its path, inode number and kind of stat."""
    import ctypes

    library = ctypes.CDLL(os.path.join(os.path.dirname(sys.executable), "birth.dll"))
    library.birth.restype = ctypes.c_int64
    drives = os.environ["WINEPREFIX"] + "/dosdevices/"

    def birth(path: str, inode: int, follow: bool) -> int:
        drive, rest = os.path.splitdrive(os.path.abspath(path.removeprefix("\\\\?\\")))
        where = drives + drive.lower() + rest.replace("\\", "/")
        answered = ctypes.c_uint64()
        name = where.encode("utf-8", "surrogatepass")
        found = int(library.birth(name, int(follow), ctypes.byref(answered)))
        return found if answered.value == inode else 0

    return birth


def _linux_birth_times(fs: Any) -> None:
    calls, birth = fs.PathSystemCalls, _linux_birth()
    stat, stat_at, stat_path = calls.stat, calls.stat_at, calls.stat_path

    def corrected(facts: Any, path: str, follow: bool) -> Any:
        return facts and facts._replace(birth=birth(path, facts.inode, follow))

    def stat_by_handle(self: Any, handle: Any) -> Any:
        return corrected(stat(self, handle), handle, True)

    def stat_by_name(self: Any, handle: Any, name: str, *, follow: bool = False) -> Any:
        facts = stat_at(self, handle, name, follow=follow)
        return corrected(facts, os.path.join(handle, name), follow)

    def stat_by_path(self: Any, path: str) -> Any:
        return corrected(stat_path(self, path), path, True)

    calls.stat, calls.stat_at, calls.stat_path = stat_by_handle, stat_by_name, stat_by_path


def _reads_end_with_their_directory(module: Any) -> None:
    import ctypes

    kernel: Any = getattr(ctypes, "WinDLL")("kernel32")  # noqa: B009 (not there for mypy on Linux)
    kernel.CancelIoEx.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    api = module.WindowsApi
    opened: dict[int, str] = {}

    def place_of(path: str) -> str:
        return os.path.normcase(os.path.abspath(path)).removeprefix("\\\\?\\")

    open_directory, close, remove = api.open_directory, api.close, os.rmdir

    def opening(self: Any, path: str) -> int:
        handle: int = open_directory(self, path)
        opened[handle] = place_of(path)
        return handle

    def closing(self: Any, handle: int) -> None:
        opened.pop(handle, None)
        close(self, handle)

    def removing(path: Any, **options: Any) -> None:
        place = place_of(path) if opened else ""
        remove(path, **options)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            ended = [handle for handle, where in list(opened.items()) if where == place]
            if not ended:
                break
            for handle in ended:  # one whose read is just being asked for anew is met next time
                kernel.CancelIoEx(handle, None)
            time.sleep(0.002)

    api.open_directory, api.close, os.rmdir = opening, closing, removing


def _one_volume(file_stat: Any) -> None:
    """Wine cannot always read the number of a volume, and then says 0."""
    file_stat.identity_of = lambda status: (1, status.st_ino)


def _without_base_sockets(io: Any) -> None:
    def itself(sock: Any, **_: Any) -> Any:
        return io._handle(sock.fileno() if hasattr(sock, "fileno") else sock)

    io._get_underlying_socket = itself


CORRECTIONS: dict[str, Callable[[Any], None]] = {
    "limpet.watching.index._fs": _linux_birth_times,
    "limpet._file_stat": _one_volume,
    "limpet.backends._windows_api": _reads_end_with_their_directory,
    "trio._core._io_windows": _without_base_sockets,
}
"""By the name of the module that is corrected."""


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules to correct as ever, and corrects each once it is there."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        correct = CORRECTIONS.get(name)
        if correct is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def corrected(module: ModuleType) -> None:
            execute(module)
            correct(module)

        spec.loader.exec_module = corrected  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Correct Wine from here on; do nothing on Windows itself."""
    if is_wine():
        sys.meta_path.insert(0, _Finder())
