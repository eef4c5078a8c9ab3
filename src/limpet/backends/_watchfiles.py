"""watchfiles (Rust notify) as a source of hints about whole trees, for macOS and Windows.

It drops overflow notices, ends at a name it cannot decode, and gives unordered sets without kinds;
so only the paths are used, a burst is followed by a look at everything, and a notifier that ends is
started again and everything looked at.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from limpet.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TreePump"]

DEBOUNCE_MS: Final = 20
"""How long it gathers; the shortest that does not return between two halves of one save."""
STEP_MS: Final = 10
"""How often its thread looks for news."""
BURST: Final = 5_000
"""So many paths in one set may have been more: notify says nothing of an overflow."""
_RESTART_S: Final = 0.2


class TreePump:
    """One notifier and the thread that waits for it.

    Args:
        path: Folder to watch with all below it.
        report: Called from the thread with absolute paths spelled below ``path``.
        lose: Called from the thread when anything may have happened.

    Raises:
        MissingExtraError: watchfiles is not installed.
    """

    def __init__(
        self, path: str, report: Callable[[set[str]], None], lose: Callable[[], None]
    ) -> None:
        """Start; when this returns, changes from now on are told of."""
        self._path = path
        self._real = os.path.realpath(path)
        self._tell, self._lose = report, lose
        self._stop = threading.Event()
        self._notifier = self._open()
        self._thread = threading.Thread(target=self._run, name=f"limpet {path}", daemon=True)
        self._thread.start()

    def _open(self) -> Any:  # noqa: ANN401 (its type is that of an optional package)
        try:
            from watchfiles._rust_notify import RustNotify
        except ImportError as error:
            message = "watchfiles is not installed: pip install 'limpet[watchfiles]'"
            raise MissingExtraError(message) from error
        return RustNotify([self._real], False, False, 0, True, True)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                found = self._notifier.watch(DEBOUNCE_MS, STEP_MS, 0, self._stop)
            except Exception:  # noqa: BLE001 (whatever it died of, it is started again)
                self._restart()
                continue
            if isinstance(found, set):
                self._tell({self._spell(path) for _, path in found})
                if len(found) >= BURST:
                    self._lose()
            elif found == "signal":
                return

    def _restart(self) -> None:
        time.sleep(_RESTART_S)
        try:
            self._notifier = self._open()
        except Exception:  # noqa: BLE001 (the folder is gone: the location is looked at in intervals)
            time.sleep(_RESTART_S)
        self._lose()

    def _spell(self, path: str) -> str:
        """Write a path as the watch knows it, without the symlinks that were resolved."""
        if path.startswith(self._real):
            return self._path + path[len(self._real) :]
        return path

    def close(self) -> None:
        """End the thread and free the notifier."""
        self._stop.set()
        self._thread.join(timeout=5.0)
        self._notifier.close()
