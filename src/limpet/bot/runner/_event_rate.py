"""The rate at which a behaviour acts on events of one path: a loop is reported, and slowed."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from mewbot.core import InputEvent

from limpet._loop_guard import LoopGuard, loop_text
from limpet._surrogates import writable
from limpet.bot.events._input_events import FileSystemInputEvent, LinesAddedInputEvent
from limpet.bot.runner._stats import Stats
from limpet.events import EntryEvent, FileCreated

_LOG: Final = logging.getLogger("limpet.bot.runner")


class EventRate:
    """Counts the events that a behaviour acts on; belongs to one loop."""

    def __init__(self, label: str, limit: int | None, stats: Stats) -> None:
        self._label = writable(label)
        self._limit = limit
        self._guard = LoopGuard(limit)
        self._stats = stats

    async def admit(self, event: InputEvent) -> None:
        """Count an event before it is acted on; wait while there were too many of its path."""
        if not isinstance(event, FileSystemInputEvent):
            return
        path = str(event.path)
        # A busy log has many lines in a minute; only a limit that was asked for is for them, too.
        if not isinstance(event, LinesAddedInputEvent):
            self._warn(event, path)
        if self._limit is None:
            return
        while (seconds := self._guard.delay(path, time.monotonic())) > 0:
            _LOG.warning(
                "behaviour %s pauses for %.0f s: it acted %d times within a minute on %s "
                "(loop_limit); its events wait",
                self._label,
                seconds,
                self._limit,
                writable(path),
            )
            self._stats.pauses += 1
            await asyncio.sleep(seconds)

    def _warn(self, event: FileSystemInputEvent, path: str) -> None:
        inner = event.event
        if not isinstance(inner, EntryEvent) or inner.origin == "initial":
            return
        count, what = self._guard.count(path, event.time), path
        if not count and isinstance(inner, FileCreated):
            what = str(event.path.parent)
            count = self._guard.count_new(what, event.time)
        if count:
            self._stats.loops += 1
            message = loop_text(f"behaviour {self._label}", count, writable(what))
            _LOG.warning("%s; loop_limit bounds it", message)
