"""What is common to all observers, and what they hand out for a scheduled path."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from pathlib import Path
from typing import Final, Self

from limpet.compat.watchdog._event_types import FileClosedEvent, FileSystemEvent
from limpet.compat.watchdog._handlers import FileSystemEventHandler
from limpet.compat.watchdog.observers._emitter import Emitter, Items
from limpet.compat.watchdog.observers._observed_watch import ObservedWatch
from limpet.compat.watchdog.utils import BaseThread, Seconds

__all__ = ["DEFAULT_EMITTER_TIMEOUT", "DEFAULT_OBSERVER_TIMEOUT", "BaseObserver", "ObservedWatch"]

DEFAULT_EMITTER_TIMEOUT: Final[Seconds] = 1.0
DEFAULT_OBSERVER_TIMEOUT: Final[Seconds] = 1.0

_QUEUE_BOUND: Final = 10_000
"""Events that wait for handlers; what comes while the queue is full waits in the watch itself."""

logger = logging.getLogger("limpet.compat.watchdog")


class BaseObserver(BaseThread):
    """A thread that calls handlers, one event after the other.

    An exception that a handler raises is logged; the other handlers and the later events go on.
    """

    def __init__(self, *, timeout: Seconds = DEFAULT_OBSERVER_TIMEOUT) -> None:
        super().__init__()
        if isinstance(timeout, bool):
            message = f"timeout must be a number of seconds, not {timeout!r}"
            raise TypeError(message)
        self._timeout = timeout
        self._backend = "auto"
        self._lock = threading.RLock()
        """Held while a handler runs: once ``unschedule`` returns, none does."""
        self._handlers: dict[ObservedWatch, list[FileSystemEventHandler]] = {}
        self._emitters: dict[ObservedWatch, list[Emitter]] = {}
        """That of all changes and, if a handler asks for closes, one of them."""
        self._items: Items = queue.Queue(_QUEUE_BOUND)

    @property
    def timeout(self) -> Seconds:
        """Return the argument of that name."""
        return self._timeout

    def __enter__(self) -> Self:
        """Start it, if it does not run."""
        if not self.is_alive():
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, and wait for its end."""
        if self.is_alive():
            self.stop()
            self.join()

    def schedule(
        self,
        event_handler: FileSystemEventHandler,
        path: str | Path,
        *,
        recursive: bool = False,
        event_filter: list[type[FileSystemEvent]] | None = None,
        follow_symlink: bool = False,
    ) -> ObservedWatch:
        """Call a handler for what changes at a path; for every later change, if it runs.

        Args:
            event_handler: Its ``dispatch`` is called in the thread of the observer.
            path: A folder or a file.
            recursive: The folders below, too.
            event_filter: Classes of events that it is called for; ``None`` is all.
            follow_symlink: Follow symlinks to folders.

        Raises:
            FileNotFoundError: It runs, and nothing is at the path. Nothing was scheduled.
        """
        with self._lock:
            observed = ObservedWatch(
                path, recursive=recursive, event_filter=event_filter, follow_symlink=follow_symlink
            )
            if observed not in self._emitters:
                self._emitters[observed] = [self._emitter(observed)]
            self.add_handler_for_watch(event_handler, observed)
            return observed

    def add_handler_for_watch(
        self, event_handler: FileSystemEventHandler, watch: ObservedWatch
    ) -> None:
        """Call another handler for a path that is scheduled."""
        with self._lock:
            emitters = self._emitters.get(watch, [])
            if len(emitters) == 1 and _asks_for_closes(event_handler, watch):
                emitters.append(self._emitter(watch, of_closes=True))
            handlers = self._handlers.setdefault(watch, [])
            if event_handler not in handlers:
                handlers.append(event_handler)

    def remove_handler_for_watch(
        self, event_handler: FileSystemEventHandler, watch: ObservedWatch
    ) -> None:
        """Call a handler no longer for a path.

        Raises:
            KeyError: It was not called for it.
        """
        with self._lock:
            try:
                self._handlers.get(watch, []).remove(event_handler)
            except ValueError:
                raise KeyError(event_handler) from None

    def unschedule(self, watch: ObservedWatch) -> None:
        """Watch a path no longer; no handler is called for it once this returns.

        Raises:
            KeyError: It is not scheduled.
        """
        with self._lock:
            emitters = self._emitters.pop(watch)
            self._handlers.pop(watch, None)
        for emitter in emitters:
            emitter.stop()

    def unschedule_all(self) -> None:
        """Watch nothing any longer, and call no handler."""
        with self._lock:
            emitters = [one for both in self._emitters.values() for one in both]
            self._emitters.clear()
            self._handlers.clear()
        for emitter in emitters:
            emitter.stop()

    def on_thread_start(self) -> None:
        """Start to watch what was scheduled.

        Raises:
            FileNotFoundError: Nothing is at one of the paths, which is scheduled no longer.
        """
        with self._lock:
            for observed, emitters in list(self._emitters.items()):
                try:
                    for emitter in emitters:
                        emitter.start()
                except BaseException:
                    del self._emitters[observed]
                    raise

    def on_thread_stop(self) -> None:
        """Watch nothing any longer, and let the thread end."""
        self.unschedule_all()
        with contextlib.suppress(queue.Full):  # then it takes another one, and ends
            self._items.put_nowait(None)

    def run(self) -> None:
        """Call the handlers for each event, until it is asked to stop."""
        while self.should_keep_running():
            item = self._items.get()
            if item is not None:
                self._dispatch(*item)

    def _dispatch(self, event: FileSystemEvent, watch: ObservedWatch) -> None:
        with self._lock:
            for handler in list(self._handlers.get(watch, ())):
                if handler not in self._handlers.get(watch, ()):
                    continue  # a handler before it has removed it
                try:
                    handler.dispatch(event)
                except Exception:
                    logger.exception("a handler failed for %r; the others go on", event)

    def _emitter(self, observed: ObservedWatch, *, of_closes: bool = False) -> Emitter:
        """Return an emitter, which has started if the observer runs."""
        options = {}
        if self._backend != "auto":
            options = {"backend": self._backend, "poll_interval": self._timeout}
        made = Emitter(observed, self._items, options, of_closes=of_closes)
        if self.is_alive():
            made.start()
        return made


def _asks_for_closes(handler: object, watch: ObservedWatch) -> bool:
    """Return whether a handler is to be called for files that were closed."""
    if watch.event_filter is not None:
        return FileClosedEvent in watch.event_filter
    method = getattr(handler, "on_closed", None)
    inherited = FileSystemEventHandler.on_closed
    return method is not None and getattr(method, "__func__", method) is not inherited
