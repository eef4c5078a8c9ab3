"""The thread that can be asked to stop, and errors."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from limpet._lazy_names import lazy_names

__all__ = ["BaseThread", "Seconds", "UnsupportedLibcError", "WatchdogShutdownError"]

Seconds = float


class UnsupportedLibcError(Exception):
    """Not raised: limpet needs no particular libc."""


class WatchdogShutdownError(Exception):
    """For programs that end themselves with it."""


class BaseThread(threading.Thread):
    """A daemon thread that can be asked to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._stopped_event = threading.Event()

    @property
    def stopped_event(self) -> threading.Event:
        """Return the event that is set once the thread is asked to stop."""
        return self._stopped_event

    def should_keep_running(self) -> bool:
        """Return whether the thread was not asked to stop."""
        return not self._stopped_event.is_set()

    def on_thread_stop(self) -> None:
        """Do what is due when it is asked to stop; for subclasses."""

    def stop(self) -> None:
        """Ask the thread to stop; may be called from any thread, and twice."""
        self._stopped_event.set()
        self.on_thread_stop()

    def on_thread_start(self) -> None:
        """Do what is due before it starts; for subclasses."""

    def start(self) -> None:
        """Start the thread."""
        self.on_thread_start()
        super().start()


if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        globals(), {}, {"patterns": "limpet.compat.watchdog.utils.patterns"}
    )
