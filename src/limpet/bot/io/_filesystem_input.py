"""The input of a ``FileSystem``: starts, moves and idles as its path appears, changes and goes.

It holds nothing of a loop before it runs, and may be run again. What differs between limpet's own
runner and mewbot's is in the sink it puts deliveries into.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from mewbot.api.v1 import InputEvent
from mewbot.core import InputQueue

from limpet._error_text import reason_of
from limpet.bot._delivery import Delivery
from limpet.bot.compat._mewbot_queue import DeliverySink, sink_for
from limpet.bot.events._input_events import FileSystemInputEvent, LinesAddedInputEvent, wrap
from limpet.bot.io._desired_state import DesiredWatch
from limpet.bot.io._limpet_input import LimpetInput
from limpet.bot.io._line_source import LineBatch, LineSource
from limpet.bot.io._watch_handover import WatchHandover
from limpet.bot.io._watch_source import WatchSource
from limpet.errors import LimpetError
from limpet.events import (
    Degraded,
    DirDeleted,
    EntryEvent,
    FileDeleted,
    WatchEvent,
)
from limpet.status import DegradedPaths
from limpet.watching import Unacknowledged, WatchStats

if TYPE_CHECKING:
    from limpet.following import FollowStats

CHECKPOINT_S: Final = 10.0
"""How often the checkpoint is written while events are processed: after a kill, later ones are
delivered again. Saving takes a second for some 200,000 files, in a thread."""

_LOG = logging.getLogger("limpet.bot.input")


class FileSystemInput(LimpetInput):
    """Made by ``FileSystem``; nothing is watched before ``run``."""

    def __init__(
        self,
        desired: Callable[[], DesiredWatch | None],
        label: Callable[[], str],
        max_waiting: Callable[[], int],
    ) -> None:
        """Create an input that watches what ``desired`` returns.

        Args:
            desired: Returns the watch that should run now, or ``None``.
            label: Returns the name of the ``FileSystem``.
            max_waiting: Returns how many events may wait in mewbot's own, unbounded queue.
        """
        super().__init__()
        self._desired = desired
        self._label = label
        self._max_waiting = max_waiting
        self._unacked = Unacknowledged()
        self._waiting: deque[Any] = deque()
        """Events taken from the watch and not queued yet, oldest first. One whose queueing was
        broken off waits as a ``Delivery``."""
        self._sink: DeliverySink | None = None
        self._source: WatchSource | LineSource | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._quiet = False
        self._save_is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self.handover = WatchHandover(self._unacked)
        self._degraded = DegradedPaths()
        self.failure: str | None = None
        """Why nothing is watched though it should be."""

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        """Return the base of all events of a ``FileSystem``."""
        return {FileSystemInputEvent}

    def bind(self, queue: InputQueue) -> None:
        """Put events into this queue from now on."""
        self.queue = queue
        self._sink = sink_for(queue, self._max_waiting)
        self._quiet = False

    def changed(self) -> None:
        """Compare the desired watch with the running one again; may be called from any thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._wake.set)

    def quiesce(self) -> None:
        """Deliver no more events; the watch goes on, and its checkpoint keeps what it finds."""
        self._quiet = True
        self._wake.set()

    def acknowledge(self, delivery: Delivery) -> None:
        """Note that the event was processed, or is stored elsewhere, and need not come again."""
        if isinstance(delivery.token, LineBatch):
            delivery.token.acknowledge()
        elif isinstance(delivery.event, FileSystemInputEvent):
            self._unacked.done(delivery.event.event)

    def will_redeliver(self, delivery: Delivery) -> bool:
        """Return whether the next start delivers the event even if nothing stores it."""
        source, event = self._source, delivery.event
        if source is None or not source.desired.reports_all:
            return False
        if isinstance(event, LinesAddedInputEvent):
            return True
        inner = getattr(event, "event", None)
        return isinstance(inner, EntryEvent) and not isinstance(inner, FileDeleted | DirDeleted)

    async def leftovers(self) -> list[Delivery]:
        """Return what was found and not queued yet, when stopping; with a checkpoint, nothing."""
        source = self._source
        if source is None or source.desired.state is not None:
            return []
        self._waiting += await source.rest()
        found = []
        for event in self._waiting:
            made = event if isinstance(event, Delivery) else self._delivery(event, source)
            if made is not None and not self.will_redeliver(made):
                found.append(made)
        self._waiting.clear()
        return found

    @property
    def degraded(self) -> dict[str, str]:
        """Paths at which less is seen than should be -> the reason."""
        source = self._source
        return self._degraded | (source.degraded if isinstance(source, LineSource) else {})

    @property
    def is_idle(self) -> bool:
        """Return whether there is no path to watch, and nothing waits."""
        return self._source is None and not self._waiting and self._wanted() is None

    @property
    def label(self) -> str:
        return self._label()

    @property
    def backend(self) -> str:
        """The backend that provides hints now; empty while nothing is watched."""
        source = self._source
        return source.backend if source is not None else ""

    @property
    def place(self) -> str:
        """The path that is watched now, or should be, made absolute; empty without one."""
        source = self._source
        desired = source.desired if source is not None else self._wanted()
        return "" if desired is None else os.path.abspath(desired.path)

    def figures(self) -> WatchStats | FollowStats | None:
        """Return those of the watch or of the follower that runs now; ``None`` without one."""
        return None if self._source is None else self._source.figures()

    async def run(self) -> None:
        """Watch what is desired, until cancelled.

        Raises:
            Exception: The watch failed. The input may be run again, and goes on where it was.
                Under mewbot's own runner it is restarted instead.
        """
        if self._sink is None:
            message = "the input was not bound to a queue"
            raise RuntimeError(message)
        try:
            await self._sink.supervise(self._run, self._label())
        except asyncio.CancelledError:
            self.handover.clean()
            raise

    # -- inside --------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        try:
            await self._serve()
        except Exception as error:
            self.failure = str(error)
            raise
        finally:
            self._loop = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    async def _serve(self) -> None:
        try:
            while True:
                self._wake.clear()
                desired = self._wanted()
                if desired != (self._source.desired if self._source is not None else None):
                    await self._switch(desired)
                    continue
                self.failure = None
                if self._save_is_due and self._source is not None:
                    await self._save(self._source)
                if self._quiet or (self._source is None and not self._waiting):
                    await self._wake.wait()
                else:
                    await self._pump_until_woken()
        except asyncio.CancelledError:
            source, self._source = self._source, None
            if source is not None:
                if self._sink is not None:
                    self._sink.collect()
                await source.close()
            self._waiting.clear()  # the checkpoint keeps them, if there is one
            raise
        except BaseException:
            source, self._source = self._source, None
            if source is not None:
                await self._close(source)  # the next run queues what waits
            raise

    def _wanted(self) -> DesiredWatch | None:
        try:
            return self._desired()
        except LimpetError as error:
            _LOG.error("%s: %s; the running watch stays as it is", self._label(), error)
            return self._source.desired if self._source is not None else None

    async def _switch(self, desired: DesiredWatch | None) -> None:
        """Start, move or stop the watch, and lose nothing that happened before."""
        old = self._source
        if old is None:
            if desired is not None and desired.mode == "lines":
                self._source = await LineSource.open(desired)
            elif desired is not None:
                self._source = await self.handover.open(desired)
            if desired is not None:
                _LOG.info("%s: watching %s by %s", self._label(), desired.path, self.backend)
            return
        if desired is None:
            self._waiting += await old.rest()
            self._source = None
            await self._close(old)
            _LOG.info("%s: watching nothing", self._label())
            return
        if desired.mode == "lines" or isinstance(old, LineSource):
            await self._replace(old, desired)
        elif (desired.path, desired.kind) == (old.desired.path, old.desired.kind):
            await self._reopen(old, desired)
        else:
            # The new one first, so that there is no moment in which neither watches.
            new = await self.handover.open_beside(desired, old)
            try:
                last = await old.rest()
            except BaseException:
                await new.close()
                raise
            self._waiting += last
            new.exclude_reported(old, last)
            self._source = new
            await self._close(old)
            if desired.state is not None and desired.state == old.desired.state:
                await self._reopen(new, desired)  # the checkpoint belongs to the new path now
        _LOG.info("%s: watching %s by %s", self._label(), desired.path, self.backend)

    async def _replace(self, old: WatchSource | LineSource, desired: DesiredWatch) -> None:
        """Start or stop following lines; a file that is still followed goes on at its position."""
        self._waiting += await old.rest()
        start = ""
        if isinstance(old, LineSource) and desired.mode == "lines":
            start = old.position if desired.path == old.desired.path else ""
            while self._waiting:  # its batches are acknowledged to it
                await self._queue_first(old)
        self._source = None
        await self._close(old)
        if desired.mode == "lines":
            self._source = await LineSource.open(desired, start)
        else:
            self._source = await self.handover.open(desired)

    async def _reopen(self, old: WatchSource, desired: DesiredWatch) -> None:
        """Watch the same path with other options."""
        self._source = None
        await self.handover.stop(old, desired)
        self._source = await self.handover.open(desired)
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
        """Queue what the watch reports. May be cancelled anywhere: what is not queued waits."""
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
        if self._timer is None and source is not None and source.desired.state:
            self._timer = asyncio.get_running_loop().call_later(CHECKPOINT_S, self._checkpoint)

    async def _queue_first(self, source: WatchSource | LineSource | None) -> None:
        """Queue the event that waits longest; cancelled, it still waits."""
        event, sink = self._waiting[0], self._sink
        if isinstance(event, Delivery):
            made: Delivery | None = event
        else:
            if isinstance(event, WatchEvent):
                self._note_degraded(event)
            made = self._delivery(event, source)
        if made is None:
            self._unacked.done(event)
        else:
            assert sink is not None  # noqa: S101 - checked by ``run``
            self._waiting[0] = made
            await sink.put(made)
        self._waiting.popleft()

    def _delivery(self, event: Any, source: WatchSource | LineSource | None) -> Delivery | None:  # noqa: ANN401
        if source is None:
            return Delivery(wrap(event, self._label(), ""), self)
        return source.delivery(event, self._label(), self)

    def _note_degraded(self, event: WatchEvent) -> None:
        if isinstance(event, Degraded):
            _LOG.warning("%s: %s", self._label(), event.message)
        self._degraded.note(event)

    def _checkpoint(self) -> None:
        self._timer = None
        self._save_is_due = True
        self._wake.set()

    async def _save(self, source: WatchSource | LineSource) -> None:
        self._save_is_due = False
        if self._sink is not None:
            self._sink.collect()
        try:
            await source.save()
        except OSError as error:
            message = "%s: cannot write the checkpoint %s: %s"
            state = source.desired.state
            _LOG.error(message, self._label(), state, reason_of(error, *filter(None, [state])))
