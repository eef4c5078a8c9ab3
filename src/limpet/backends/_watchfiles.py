"""watchfiles (Rust notify) as a source of hints about whole trees, for macOS and Windows.

It drops overflow notices, ends at a name it cannot decode, and returns unordered sets without
kinds. So only the paths are used; after a burst everything is examined; a notifier that ends is
started again, and everything is examined.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import unicodedata
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from limpet.backends._base import Capabilities
from limpet.errors import MissingExtraError

if TYPE_CHECKING:
    from limpet.backends._base import TreeReceiver

WATCHFILES: Final = Capabilities(kind="tree", complete=False, walks=sys.platform == "linux")

DEBOUNCE_MS: Final = 20
"""How long it gathers; the shortest that does not return between two halves of one save."""
STEP_MS: Final = 10
"""How often its thread asks for changes."""
BURST: Final = 5_000
"""A set of this many paths may have been larger: notify does not report an overflow."""
_RESTART_S: Final = 0.2
_JOIN_S: Final = 5.0


class WatchfilesSource:
    """The notifier of one tree, and the thread that waits for it."""

    name = "watchfiles"
    capabilities = WATCHFILES

    def __init__(self, receiver: TreeReceiver) -> None:
        """Watch nothing yet; hints will go to ``receiver``, from a thread of its own."""
        self._receiver = receiver
        self._running: _Notifier | None = None

    def watch(self, path: str | None) -> None:
        """Report changes below ``path``, in place of the path before; ``None`` stops.

        Raises:
            MissingExtraError: watchfiles is not installed.
        """
        self.close()
        if path is not None:
            self._running = _Notifier(path or "/", self._receiver)

    def close(self) -> None:
        """End the thread and free the notifier."""
        running, self._running = self._running, None
        if running is not None:
            running.close()


class _Notifier:
    """One notifier and its thread."""

    def __init__(self, path: str, receiver: TreeReceiver) -> None:
        self._path = path
        self._real = os.path.realpath(path)
        self._receiver = receiver
        self._stop = threading.Event()
        self._notifier = self._open()
        self._thread = threading.Thread(target=self._run, name=f"limpet {path}", daemon=True)
        self._thread.start()
        _open_notifiers.add(self)

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
                self._receiver.touched_paths({self._spell(path): 0 for _, path in found})
                if len(found) >= BURST:
                    self._receiver.lost()
            elif found == "signal":
                return

    def _restart(self) -> None:
        time.sleep(_RESTART_S)
        try:
            self._notifier = self._open()
        except Exception:  # noqa: BLE001 (the directory is gone: the location is polled meanwhile)
            time.sleep(_RESTART_S)
        self._receiver.lost()

    def _spell(self, path: str) -> str:
        """Return a path as the watch knows it, without the symlinks that were resolved."""
        return spell_below(path, self._real, self._path)

    def end_thread(self) -> None:
        self._stop.set()
        with suppress(RuntimeError):  # the interpreter is ending (PythonFinalizationError)
            self._thread.join(timeout=_JOIN_S)

    def close(self) -> None:
        _open_notifiers.discard(self)
        self.end_thread()
        self._notifier.close()


def spell_below(path: str, real: str, known: str) -> str:
    """Return a reported path with ``known`` in place of ``real``, where it is at or below that.

    A file system that ignores case, or how a letter with an accent is written, may report the
    directory in another spelling than realpath(3) returns: FSEvents has that of the disk.
    """
    base, new = real.rstrip(os.sep), known.rstrip(os.sep)
    if path == real or path.startswith(base + os.sep):
        return new + path[len(base) :]
    depth = base.count(os.sep) + 1
    parts = path.split(os.sep)
    if _folded(os.sep.join(parts[:depth])) != _folded(base):
        return path
    return os.sep.join([new, *parts[depth:]])


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


_open_notifiers: Final[weakref.WeakSet[_Notifier]] = weakref.WeakSet()


@atexit.register
def _end_threads() -> None:
    """End the threads of watches that a program leaves open.

    The interpreter kills a daemon thread where it returns to Python. In a thread that comes out of
    watchfiles 1.0 that aborts the process ("FATAL: exception not rethrown").
    """
    for notifier in list(_open_notifiers):
        notifier.end_thread()
