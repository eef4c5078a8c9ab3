"""What Wine gets wrong, corrected; nothing here corrects limpet.

- Creation times: Wine has the time of the last write in their place, so every write would give a
  file another birth. Without creation times limpet works as on a file system that has none.
- trio: Wine has no base sockets (WSAIoctl 10045); trio then takes the socket itself.

A module is corrected when it is imported; to import it here would hide what limpet imports itself.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


def is_wine() -> bool:
    """Return whether this Windows is Wine."""
    if sys.platform != "win32":
        return False
    import ctypes

    return hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


def _without_birth_times(fs: Any) -> None:
    result_of = fs._from_result

    def without_birth(found: Any) -> Any:
        return result_of(found)._replace(birth=0)

    fs._from_result = without_birth


def _without_base_sockets(io: Any) -> None:
    def itself(sock: Any, **_: Any) -> Any:
        return io._handle(sock.fileno() if hasattr(sock, "fileno") else sock)

    io._get_underlying_socket = itself


CORRECTIONS: dict[str, Callable[[Any], None]] = {
    "limpet.watch.index._fs": _without_birth_times,
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
    """Have Wine corrected from here on; on Windows itself, nothing is done."""
    if is_wine():
        sys.meta_path.insert(0, _Finder())
