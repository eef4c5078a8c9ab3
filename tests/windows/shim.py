"""A pytest plugin for Wine alone: it corrects what Wine gets wrong, and nothing of limpet.

- Creation times: Wine has the time of the last write in their place, so every write would give a
  file another birth. Without creation times limpet works as on a file system that has none.
- trio: Wine has no base sockets (WSAIoctl 10045); trio then takes the socket itself.
"""

from __future__ import annotations

import sys
from typing import Any


def is_wine() -> bool:
    """Return whether this Windows is Wine."""
    if sys.platform != "win32":
        return False
    import ctypes

    return hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


def pytest_configure(config: Any) -> None:  # noqa: ANN401 - pytest is not there for the checker
    """Correct Wine before anything is imported by a test."""
    del config
    if not is_wine():
        return
    import limpet.watch.index._fs as fs

    result_of = fs._from_result  # noqa: SLF001 - what is corrected

    def without_birth(found: Any) -> Any:  # noqa: ANN401 - as the function has it
        return result_of(found)._replace(birth=0)

    fs._from_result = without_birth  # noqa: SLF001
    try:
        import trio._core._io_windows as io
    except ImportError:
        return

    def base_socket(sock: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - as trio has it
        return io._handle(sock if isinstance(sock, int) else sock.fileno())  # noqa: SLF001

    io._get_base_socket = base_socket  # noqa: SLF001
