"""The input of a ``FileSystem``: starts, moves and idles as its path comes, changes and goes.

It keeps to what mewbot's own runner needs to survive: ``run`` raises nothing but its cancellation,
holds nothing of a loop before it runs, may be run again, and waits while many events are queued.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from mewbot.api.v1 import InputEvent
from mewbot.core import InputQueue

from limpet.bot.compat._mewbot_queue import Taken
from limpet.bot.compat._mewbot_shutdown import finish_at_exit
from limpet.bot.events._input_events import FileSystemInputEvent, LinesAddedInputEvent, wrap
from limpet.bot.io._desired_state import WantedWatch
from limpet.bot.io._event_queue import EventQueue
from limpet.bot.io._limpet_input import OwnInput
from limpet.bot.io._line_source import LineSource
from limpet.bot.io._watch_handover import Opening
from limpet.bot.io._watch_source import WatchSource
from limpet.errors import LimpetError
from limpet.events import (
    Degraded,
    DirDeleted,
    EntryEvent,
    FileDeleted,
    Recovered,
    WatchEvent,
)
from limpet.watch import Unacknowledged

__all__ = ["FileSystemInput"]

CHECKPOINT_S: Final = 10.0
"""How often the state file is written while events are dealt with: after a kill, what came later is
told again. Saving takes a second for some 200,000 files, in a thread."""

_FIRST_S, _LAST_S = 0.5, 60.0
"""Wait before the second try to watch, and the longest; each is twice the one before."""

_MOST_TROUBLES: Final = 100

_LOG = logging.getLogger("limpet.bot.input")


class FileSystemInput(OwnInput):
    """Made by ``FileSystem``; nothing is watched before ``run``."""

    def __init__(
        self,
        wanted: Callable[[], WantedWatch | None],
        label: Callable[[], str],
        most_waiting: Callable[[], int],
    ) -> None:
        """Know whom to ask for what is wanted."""
        super().__init__()
        self._wanted = wanted
        self._label = label
        self._most_waiting = most_waiting
        self._pending = Unacknowledged()
        self._waiting: deque[Any] = deque()
        """Events that were taken from the watch and are not queued yet, oldest first."""
        self._taken: Taken | None = None
        self._source: WatchSource | LineSource | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._quiet = False
        self._due = False
        self._timer: asyncio.TimerHandle | None = None
        self.opening = Opening(self._pending)
        self.degraded: dict[str, str] = {}
        """Paths at which the watch sees less than it should -> why."""
        self.trouble: str | None = None
        """Why nothing is watched though it should be."""

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        """Everything a ``FileSystem`` tells is one of these."""
        return {FileSystemInputEvent}

    def bind(self, queue: InputQueue) -> None:
        """Put events into this queue from now on."""
        self.queue = queue
        self._taken = None if isinstance(queue, EventQueue) else Taken(queue)

    def changed(self) -> None:
        """What is wanted may be something else now; may be called from any thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._wake.set)

    def quiesce(self) -> None:
        """Hand out no more events; the watch goes on, and what it finds is kept in its state."""
        self._quiet = True
        self._wake.set()

    def settle(self, event: FileSystemInputEvent) -> None:
        """An event was dealt with, or is kept elsewhere: it need not be told again."""
        if isinstance(event, LinesAddedInputEvent):
            source, batch = event.__dict__["_batch"]
            source.settle(batch)
        else:
            self._pending.done(event.event)

    def tells_again(self, event: FileSystemInputEvent) -> bool:
        """Whether the next start tells of it by itself, so that nobody else need keep it."""
        source = self._source
        if source is None or not source.wanted.tells_all:
            return False
        if isinstance(event, LinesAddedInputEvent):
            return True
        gone = isinstance(event.event, FileDeleted | DirDeleted)
        return isinstance(event.event, EntryEvent) and not gone

    async def leftovers(self) -> list[FileSystemInputEvent]:
        """Give what is known and not queued yet, when stopping; nothing where a state keeps it."""
        source = self._source
        if source is None or source.wanted.state is not None:
            return []
        self._waiting += await source.rest()
        found = []
        for event in self._waiting:
            made = event
            if not isinstance(event, FileSystemInputEvent):
                made = source.wrap(event, self._label())
            if made is not None and not self.tells_again(made):
                made.__dict__["_teller"] = self
                found.append(made)
        self._waiting.clear()
        return found

    @property
    def troubles(self) -> dict[str, str]:
        """Paths at which less is seen than should be -> why."""
        source = self._source
        return self.degraded | (source.degraded if isinstance(source, LineSource) else {})

    @property
    def has_nothing(self) -> bool:
        """Whether there is no path, so that it idles."""
        return self._source is None and not self._waiting and self._want() is None

    @property
    def label(self) -> str:
        """What the ``FileSystem`` is called."""
        return self._label()

    @property
    def backend(self) -> str:
        """Which backend gives the hints now; empty while nothing is watched."""
        source = self._source
        return source.backend if source is not None else ""

    async def run(self) -> None:
        """Watch what is wanted, for ever; raises nothing but its cancellation."""
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._quiet = False
        wait = _FIRST_S
        task = asyncio.current_task()
        if self._taken is not None and task is not None:
            finish_at_exit(task)
        try:
            while True:
                started = self._loop.time()
                try:
                    await self._serve()
                except Exception as error:  # noqa: BLE001 - whatever it is, the bot goes on
                    wait = _FIRST_S if self._loop.time() - started > _LAST_S else wait
                    self._tell(error, wait)
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LAST_S)
        finally:
            self._loop = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.opening.clean()

    # -- inside --------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            while True:
                self._wake.clear()
                wanted = self._want()
                if wanted != (self._source.wanted if self._source is not None else None):
                    await self._switch(wanted)
                    continue
                self.trouble = None
                if self._due and self._source is not None:
                    await self._save(self._source)
                if self._quiet or (self._source is None and not self._waiting):
                    await self._wake.wait()
                else:
                    await self._pump_until_woken()
        except asyncio.CancelledError:
            source, self._source = self._source, None
            if source is not None:
                if self._taken is not None:
                    self._taken.settle(self.settle)
                await source.close()
            self._waiting.clear()  # kept in the state file, if there is one
            raise
        except BaseException:
            source, self._source = self._source, None
            if source is not None:
                await self._close(source)  # what waits is queued by the next try
            raise

    def _want(self) -> WantedWatch | None:
        try:
            return self._wanted()
        except LimpetError as error:
            _LOG.error("%s: %s; it goes on as before", self._label(), error)
            return self._source.wanted if self._source is not None else None

    async def _switch(self, wanted: WantedWatch | None) -> None:
        """Watch something else: start, move, or stop, and lose nothing that happened before."""
        old = self._source
        if old is None:
            if wanted is not None and wanted.mode == "lines":
                self._source = await LineSource.open(wanted)
            elif wanted is not None:
                self._source = await self.opening.open(wanted)
            if wanted is not None:
                _LOG.info("%s: watching %s by %s", self._label(), wanted.path, self.backend)
            return
        if wanted is None:
            self._waiting += await old.rest()
            self._source = None
            await self._close(old)
            _LOG.info("%s: watching nothing", self._label())
            return
        if wanted.mode == "lines" or isinstance(old, LineSource):
            await self._replace(old, wanted)
        elif (wanted.path, wanted.kind) == (old.wanted.path, old.wanted.kind):
            await self._restart(old, wanted)
        else:
            # The new one first, so that there is no moment in which neither watches.
            new = await self.opening.open_beside(wanted, old)
            last = await old.rest()
            self._waiting += last
            new.taken_over(old, last)
            self._source = new
            await self._close(old)
            if wanted.state is not None and wanted.state == old.wanted.state:
                await self._restart(new, wanted)  # the file belongs to the new place from now on
        _LOG.info("%s: watching %s by %s", self._label(), wanted.path, self.backend)

    async def _replace(self, old: WatchSource | LineSource, wanted: WantedWatch) -> None:
        """Follow lines, or do so no more; of a file that is followed on, from where it was."""
        self._waiting += await old.rest()
        start = ""
        if isinstance(old, LineSource) and wanted.mode == "lines":
            start = old.position if wanted.path == old.wanted.path else ""
            while self._waiting:  # what it gave belongs to it
                await self._queue_first(old)
        self._source = None
        await self._close(old)
        if wanted.mode == "lines":
            self._source = await LineSource.open(wanted, start)
        else:
            self._source = await self.opening.open(wanted)

    async def _restart(self, old: WatchSource, wanted: WantedWatch) -> None:
        """Watch the same place with other options."""
        self._source = None
        await self.opening.stop(old, wanted)
        self._source = await self.opening.open(wanted)
        self._source.inherit(old)

    async def _close(self, source: WatchSource | LineSource) -> None:
        if isinstance(source, WatchSource):
            source.watch.track(None)
        await source.close()

    async def _pump_until_woken(self) -> None:
        pump = asyncio.create_task(self._pump())
        woken = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait({pump, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pump.cancel()
            woken.cancel()
            await asyncio.wait({pump, woken})
        if not pump.cancelled() and (error := pump.exception()) is not None:
            raise error

    async def _pump(self) -> None:
        """Queue what the watch gives. May be cancelled anywhere: what is not queued waits here."""
        await self._queue_waiting()
        source = self._source
        if source is None:
            await self._wake.wait()
            return
        async for batch in source.batches():
            self._waiting += batch
            await self._queue_waiting()

    async def _queue_waiting(self) -> None:
        source = self._source
        while self._waiting:
            await self._queue_first(source)
        if self._timer is None and source is not None and source.wanted.state:
            self._timer = asyncio.get_running_loop().call_later(CHECKPOINT_S, self._checkpoint)

    async def _queue_first(self, source: WatchSource | LineSource | None) -> None:
        """Queue the event that waits longest; cancelled, it still waits."""
        event, io = self._waiting[0], self._label()
        if isinstance(event, FileSystemInputEvent):
            made: FileSystemInputEvent | None = event  # made before, and not queued
        else:
            if isinstance(event, WatchEvent):
                self._note_trouble(event)
            made = source.wrap(event, io) if source is not None else wrap(event, io, "")
        if made is None:
            self._pending.done(event)
        else:
            made.__dict__["_teller"] = self
            self._waiting[0] = made
            await self._put(made)
        self._waiting.popleft()

    async def _put(self, event: FileSystemInputEvent) -> None:
        queue = self.queue
        if queue is None:
            message = "the input was not bound to a queue"
            raise RuntimeError(message)
        if self._taken is None:
            await queue.put(event)
            return
        while queue.qsize() >= self._most_waiting():  # noqa: ASYNC110 - this queue has no bound
            await asyncio.sleep(0.02)
        queue.put_nowait(event)
        self._taken.put(event)

    def _note_trouble(self, event: WatchEvent) -> None:
        if isinstance(event, Degraded):
            _LOG.warning("%s: %s", self._label(), event.message)
            if len(self.degraded) < _MOST_TROUBLES:
                self.degraded[str(event.path)] = event.message
        elif isinstance(event, Recovered):
            self.degraded.pop(str(event.path), None)

    def _checkpoint(self) -> None:
        self._timer = None
        self._due = True
        self._wake.set()

    async def _save(self, source: WatchSource | LineSource) -> None:
        self._due = False
        if self._taken is not None:
            self._taken.settle(self.settle)
        try:
            await source.save()
        except OSError as error:
            _LOG.error(
                "%s: cannot write the state file %s: %s", self._label(), source.wanted.state, error
            )

    def _tell(self, error: Exception, wait: float) -> None:
        self.trouble = str(error)
        known = isinstance(error, LimpetError | OSError)
        _LOG.error(
            "%s: watching failed: %s; tried again in %g s",
            self._label(),
            error,
            wait,
            exc_info=None if known else error,
        )
