"""The thread that waits for the changes of one scheduled path."""

from __future__ import annotations

import errno
import logging
import os
import queue
import threading
from typing import Any, Final

from limpet.compat.watchdog._event_types import FileSystemEvent
from limpet.compat.watchdog.observers._changes import closes_of, events_of
from limpet.compat.watchdog.observers._observed_watch import ObservedWatch
from limpet.events import Degraded, Event
from limpet.watching import Dir, File, watch

logger = logging.getLogger("limpet.compat.watchdog")

_OPEN_S: Final = 30.0
"""How long a file may be quiet before it is taken for closed where closes are not seen."""
_PAUSE_S: Final = 0.1
"""How often an emitter that waits for a full queue examines whether it was stopped."""

Items = queue.Queue[tuple[FileSystemEvent, ObservedWatch] | None]


class Emitter:
    """Watches one path and puts its events into the queue of the observer."""

    def __init__(
        self,
        observed: ObservedWatch,
        items: Items,
        options: dict[str, Any],
        *,
        of_closes: bool = False,
    ) -> None:
        """Keep what is wanted; the disk is not touched.

        Args:
            observed: What is scheduled.
            items: Queue of the observer.
            options: Of limpet, beside those that follow from the path.
            of_closes: Report that files were closed by their writers, and nothing else.
        """
        self._of_closes = of_closes
        if of_closes:
            options = {**options, "settle": _OPEN_S}
        self._observed = observed
        self._items = items
        self._stopped = threading.Event()
        make = File if observed.is_file else Dir
        self._watch = watch(
            make(observed.resolved_path),
            **{
                "recursive": observed.is_recursive,
                "follow_symlinks": observed.follow_symlink,
                "metadata": True,
                "default_ignores": False,
                "own": "keep",
                **options,
            },
        ).sync()
        self._thread = threading.Thread(
            target=self._run, name=f"limpet watches {observed.raw_path}", daemon=True
        )

    def start(self) -> None:
        """Start; afterwards every later change is seen.

        Raises:
            FileNotFoundError: Nothing is at the path.
        """
        path = self._observed.raw_path
        if not os.path.exists(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self._watch.open()
        self._thread.start()

    def stop(self) -> None:
        """End it, and wait until it has ended; does nothing if it never started."""
        self._stopped.set()
        self._watch.stop()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        with self._watch:
            while not self._stopped.is_set():
                try:
                    event = self._watch.next()
                except Exception:
                    logger.exception("cannot watch %s any longer", self._observed.raw_path)
                    return
                if event is not None:
                    self._pass_on(event)

    def _pass_on(self, event: Event) -> None:
        if isinstance(event, Degraded):
            logger.warning("%s", event.message)
        observed = self._observed
        given = observed.resolved_path if observed.is_file else observed.raw_path
        if self._of_closes:
            events = closes_of(event, given)
        else:
            events = events_of(event, given, recursive=observed.is_recursive)
        for made in events:
            wanted = observed.event_filter
            if wanted is None or isinstance(made, tuple(wanted)):
                self._put(made)

    def _put(self, event: FileSystemEvent) -> None:
        while not self._stopped.is_set():
            try:
                self._items.put((event, self._observed), timeout=_PAUSE_S)
            except queue.Full:  # the handlers are slow: limpet holds what comes meanwhile
                continue
            return
