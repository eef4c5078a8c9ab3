"""The behaviours of a bot at work: a dispatcher hands events to their lanes, workers empty those.

An event is settled when every behaviour that is interested in it is done with it, has given it up
into a dead letter, or has it in the journal. Only then does a watch's state file leave it out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from mewbot.core import InputEvent, OutputEvent

from limpet.bot._components import Parts, label_of, workers_of
from limpet.bot.io._event_queue import EventQueue
from limpet.bot.runner._behaviour_pipeline import Process
from limpet.bot.runner._behaviour_queue import Delivery, Lane
from limpet.bot.runner._behaviour_worker import SLICE_S, Worker
from limpet.bot.runner._load_components import patience_of
from limpet.bot.runner._output_sender import Sender, close
from limpet.bot.runner._retry import Patience
from limpet.bot.runner._run_options import RunOptions
from limpet.bot.runner._state_dir import Keep
from limpet.bot.runner._stats import Stats
from limpet.bot.runner._work_journal import Entry, Left, Place

__all__ = ["Crew"]

_LOG: Final = logging.getLogger("limpet.bot.runner")


class Crew:
    """Lanes, workers and outputs of one set of components. Belongs to one loop."""

    def __init__(
        self,
        parts: Parts,
        options: RunOptions,
        queue: EventQueue,
        keep: Keep,
        stats: Stats,
        on_idle: Callable[[], None],
    ) -> None:
        """Make the lanes; nothing runs before ``start``.

        Args:
            parts: The components.
            options: How the bot is run.
            queue: Where events come from.
            keep: Where journal and dead letters are.
            stats: Counts what is done.
            on_idle: Called when there may be nothing to do any more.
        """
        self.queue = queue
        self.extra: deque[InputEvent] = deque()
        """Events that come after all that is queued; only while stopping."""
        self._keep = keep
        self._stats = stats
        self._on_idle = on_idle
        self._routes: dict[type, tuple[Lane, ...]] = {}
        self._in_hand: tuple[Delivery, list[Lane]] | None = None
        """The event that is being handed to lanes, and those that have not got it."""
        self._dispatcher: asyncio.Task[None] | None = None
        waits = options.backoff, options.backoff_max
        self.sender = Sender(
            parts.outputs(),
            patience=Patience(options.attempts, *waits),
            timeout=options.output_timeout,
            stats=stats,
        )
        self._workers: dict[Lane, Worker] = {}
        for behaviour, ident in parts.active():
            lane = Lane(
                behaviour,
                ident,
                label_of(behaviour, ident),
                bound=options.lane,
                workers=workers_of(behaviour),
            )
            process = Process(behaviour, self._send, stats)
            timeout = getattr(behaviour, "timeout", None)
            process.timeout = options.timeout if timeout is None else timeout
            attempts, backoff = patience_of(behaviour, options)
            patience = Patience(attempts, backoff, options.backoff_max)
            self._workers[lane] = Worker(lane, process, patience, keep, stats)
        self.lanes = list(self._workers)

    def start(self) -> None:
        """Begin to work; events are taken from the queue once ``dispatch`` is called."""
        for worker in self._workers.values():
            worker.start(self._on_idle)

    def dispatch(self) -> None:
        """Begin to take events from the queue."""
        self._dispatcher = asyncio.create_task(self._dispatch(), name="dispatch")

    @property
    def are_lanes_idle(self) -> bool:
        """Whether no behaviour has anything to do."""
        return all(lane.is_idle for lane in self.lanes)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is worked on."""
        idle = self.queue.empty() and not self.extra and self._in_hand is None
        return idle and self.are_lanes_idle

    async def feed(self, entries: Sequence[Entry]) -> None:
        """Hand out what was kept, each to the behaviour that it was kept for."""
        for entry in entries:
            lane = self.lane_of(entry.behaviour)
            if lane is None:
                await self.bury_orphan(entry.event, entry.behaviour)
                self._keep.done(entry.ident)
                continue
            if lane.is_full:
                await lane.room()
            self._stats.replayed += 1
            delivery = Delivery(entry.event, 1, self._entry_done, entry.ident)
            self.take_over(delivery, lane, entry.place)

    def lane_of(self, ident: str) -> Lane | None:
        """Give the lane of a behaviour by what the journal calls it."""
        return next((lane for lane in self.lanes if lane.ident == ident), None)

    def take_over(self, delivery: Delivery, lane: Lane, place: Place | None) -> None:
        """Go on with what was begun elsewhere."""
        self._workers[lane].process.go_on(lane.add(delivery), place)

    async def bury_orphan(self, event: InputEvent, ident: str) -> None:
        """Make a dead letter of an event whose behaviour is not there any more."""
        _LOG.error(
            "the behaviour %s, for which an event was kept, is not there any more; the event "
            "becomes a dead letter",
            ident,
        )
        gone = LookupError("the behaviour is not there any more")
        await self._keep.bury(event, ident, "", "journal", 0, gone)

    async def pause(self) -> None:
        """Take no more events from the queue; the one in hand is left to ``left``."""
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            dispatcher.cancel()
            await asyncio.wait({dispatcher})

    async def end(self, patience: float) -> None:
        """Break off what is not done; a second time, if it will not end in so many seconds."""
        await self.pause()
        tasks = [task for worker in self._workers.values() for task in worker.tasks]
        for seconds in (patience, 0.5):
            pending = [task for task in tasks if not task.done()]
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending, timeout=seconds)

    def left(self) -> list[tuple[Delivery, Left]]:
        """Give what is begun or in the lanes and not done, oldest first, once it was ended."""
        left: list[tuple[Delivery, Left]] = []
        for lane, worker in self._workers.items():
            for job in lane.left():
                if job.is_buried:
                    job.delivery.done()
                else:
                    left.append(_left(job.delivery, lane, worker.process.place(job)))
        if self._in_hand is not None:
            delivery, lanes = self._in_hand
            left += [_left(delivery, lane) for lane in lanes]
        return left

    def queued(self) -> list[tuple[Delivery, Left]]:
        """Take out all that is still queued."""
        events = []
        while not self.queue.empty():
            events.append(self.queue.get_nowait())
        events += self.extra
        self.extra.clear()
        left = []
        for event in events:
            lanes = self._route(event)
            delivery = Delivery(event, len(lanes))
            if not lanes:
                delivery.settle()
            left += [_left(delivery, lane) for lane in lanes]
        return left

    async def close(self, *, but: Sequence[object] = ()) -> None:
        """Close outputs and actions, except for those outputs that go on elsewhere."""
        for output in self.sender.outputs:
            if all(output is not other for other in but):
                await close(output)
        for lane in self.lanes:
            for action in getattr(lane.behaviour, "actions", ()):
                await close(action)

    # -- inside --------------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        """Hand each event to the lanes of those that are interested, in order."""
        queue, extra, stats = self.queue, self.extra, self._stats
        begun = time.monotonic()
        while True:
            if not queue.empty():
                event = queue.get_nowait()
            elif extra:
                event = extra.popleft()
            else:
                self._on_idle()
                event = await queue.get()
                begun = time.monotonic()
            lanes = self._routes.get(type(event))
            if lanes is None:
                lanes = self._route(event)
            stats.events += 1
            stats.last_event = time.time()
            delivery = Delivery(event, len(lanes))
            if not lanes:
                stats.ignored += 1
                delivery.settle()
            for at, lane in enumerate(lanes):
                if lane.is_full:
                    self._in_hand = (delivery, list(lanes[at:]))
                    await lane.room()
                    self._in_hand = None
                    begun = time.monotonic()
                lane.add(delivery)
            if (now := time.monotonic()) - begun > SLICE_S:
                await asyncio.sleep(0)
                begun = now

    def _route(self, event: InputEvent) -> tuple[Lane, ...]:
        lanes = self._routes.get(type(event))
        if lanes is None:
            lanes = tuple(lane for lane in self.lanes if lane.wants(event))
            self._routes[type(event)] = lanes
            if not lanes:
                _LOG.info("no behaviour is interested in %s", type(event).__name__)
        return lanes

    async def _send(self, output: OutputEvent) -> None:
        await self.sender.send(output)

    def _entry_done(self, delivery: Delivery) -> None:
        if delivery.entry is not None:
            self._keep.done(delivery.entry)


def _left(delivery: Delivery, lane: Lane, place: Place | None = None) -> tuple[Delivery, Left]:
    return delivery, Left(delivery.entry, lane.ident, delivery.event, place)
