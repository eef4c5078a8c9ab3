"""Dispatch events to per-behaviour queues, and run the workers that drain them.

An event is acknowledged once every interested behaviour has finished it, has given it up into a
dead letter, or has it in the journal. Until then the checkpoint of its watch contains it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from mewbot.core import InputEvent

from limpet.bot._components import Components, label_of, workers_of
from limpet.bot._delivery import Delivery
from limpet.bot.io._event_queue import EventQueue
from limpet.bot.runner._behaviour_pipeline import BehaviourPipeline
from limpet.bot.runner._behaviour_queue import BehaviourQueue
from limpet.bot.runner._behaviour_worker import SLICE_S, BehaviourWorker
from limpet.bot.runner._dead_letters import dead_letter_line
from limpet.bot.runner._output_sender import OutputSender, close
from limpet.bot.runner._retry import RetryPolicy
from limpet.bot.runner._run_options import RunOptions
from limpet.bot.runner._state_dir import StateDir
from limpet.bot.runner._stats import Stats
from limpet.bot.runner._work_journal import JournalEntry, Progress, Unfinished

_LOG: Final = logging.getLogger("limpet.bot.runner")


class Dispatcher:
    """Queues, workers and outputs of one set of components. Belongs to one loop."""

    def __init__(
        self,
        components: Components,
        options: RunOptions,
        queue: EventQueue,
        state_dir: StateDir,
        stats: Stats,
        on_idle: Callable[[], None],
    ) -> None:
        self.queue = queue
        self.extra: deque[Delivery] = deque()
        """Events after all that are queued; only while stopping."""
        self._state_dir = state_dir
        self._stats = stats
        self._on_idle = on_idle
        self._routes: dict[type, tuple[BehaviourQueue, ...]] = {}
        self._in_hand: tuple[Delivery, list[BehaviourQueue]] | None = None
        """The event being dispatched, and the queues that do not have it yet."""
        self._dispatch_task: asyncio.Task[None] | None = None
        self.sender = OutputSender(
            components.outputs(),
            retry=RetryPolicy(options.attempts, options.backoff, options.backoff_max),
            timeout=options.output_timeout,
            stats=stats,
        )
        self._workers: dict[BehaviourQueue, BehaviourWorker] = {}
        for behaviour, ident in components.active():
            one = BehaviourQueue(
                behaviour,
                ident,
                label_of(behaviour, ident),
                bound=options.behaviour_queue,
                workers=workers_of(behaviour),
            )
            timeout = _own(behaviour, "timeout", options.timeout)
            pipeline = BehaviourPipeline(
                behaviour,
                self.sender.send,
                stats,
                label=one.name,
                timeout=timeout,
                loop_limit=_own(behaviour, "loop_limit", options.loop_limit),
            )
            retry = RetryPolicy(
                int(_own(behaviour, "attempts", options.attempts)),
                float(_own(behaviour, "backoff", options.backoff)),
                options.backoff_max,
            )
            self._workers[one] = BehaviourWorker(one, pipeline, retry, state_dir, stats)
        self.behaviour_queues = list(self._workers)

    def start(self) -> None:
        """Start the workers; ``dispatch`` starts taking events from the queue."""
        for worker in self._workers.values():
            worker.start(self._on_idle)

    def dispatch(self) -> None:
        """Start to take events from the queue."""
        self._dispatch_task = asyncio.create_task(self._dispatch(), name="dispatch")

    @property
    def are_queues_idle(self) -> bool:
        """Return whether no behaviour has anything to do."""
        return all(one.is_idle for one in self.behaviour_queues)

    @property
    def is_idle(self) -> bool:
        """Return whether no event waits and none is being processed."""
        idle = self.queue.empty() and not self.extra and self._in_hand is None
        return idle and self.are_queues_idle

    async def replay(self, entries: Sequence[JournalEntry]) -> None:
        """Add stored events, each to the queue of the behaviour that it was stored for."""
        for entry in entries:
            delivery = Delivery(entry.event, self._state_dir, entry.ident)
            queue = self.queue_of(entry.behaviour)
            if queue is None:
                await self.give_up_orphan(entry.event, entry.behaviour)
                delivery.finish()
                continue
            if queue.is_full:
                await queue.wait_for_room()
            self._stats.replayed += 1
            self.resume(delivery, queue, entry.progress)

    def queue_of(self, ident: str) -> BehaviourQueue | None:
        """Return the queue of a behaviour by its name in the journal."""
        return next((one for one in self.behaviour_queues if one.ident == ident), None)

    def resume(self, delivery: Delivery, queue: BehaviourQueue, progress: Progress | None) -> None:
        """Add an event whose processing was started before."""
        self._workers[queue].pipeline.resume(queue.put(delivery), progress)

    async def give_up_orphan(self, event: InputEvent, ident: str) -> None:
        """Write a dead letter for an event whose behaviour no longer exists."""
        message = "the behaviour %s of a stored event no longer exists; writing a dead letter"
        _LOG.error(message, ident)
        error = LookupError("the behaviour no longer exists")
        line = dead_letter_line(
            event, behaviour=ident, name="", step="journal", attempts=0, error=error
        )
        await self._state_dir.write_dead_letter(line)

    async def pause(self) -> None:
        """Stop taking events from the queue; the one in hand is among the ``unfinished``."""
        task, self._dispatch_task = self._dispatch_task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def end(self, timeout: float) -> None:
        """Cancel what is not done, a second time if it does not end within ``timeout`` seconds."""
        await self.pause()
        loops = [one for worker in self._workers.values() for one in worker.loops]
        for seconds in (timeout, 0.5):
            pending = [one for one in loops if not one.done()]
            for one in pending:
                one.cancel()
            if pending:
                await asyncio.wait(pending, timeout=seconds)

    def unfinished(self) -> list[tuple[Delivery, Unfinished]]:
        """Return all dispatched events that are not processed, oldest first; after ``end``."""
        found: list[tuple[Delivery, Unfinished]] = []
        for queue, worker in self._workers.items():
            for task in queue.unfinished():
                if task.is_dead:
                    task.delivery.finish()
                else:
                    progress = worker.pipeline.progress(task)
                    found.append(self._unfinished(task.delivery, queue, progress))
        if self._in_hand is not None:
            delivery, queues = self._in_hand
            found += [self._unfinished(delivery, queue) for queue in queues]
        return found

    def take_queued(self) -> list[tuple[Delivery, Unfinished]]:
        """Remove and return all events that are not dispatched."""
        deliveries = []
        while not self.queue.empty():
            deliveries.append(self.queue.get_nowait())
        deliveries += self.extra
        self.extra.clear()
        found = []
        for delivery in deliveries:
            queues = self._route(delivery.event)
            delivery.remaining = len(queues)
            if not queues:
                delivery.acknowledge()
            found += [self._unfinished(delivery, queue) for queue in queues]
        return found

    async def close(self, *, but: Sequence[object] = ()) -> None:
        """Close outputs and actions, except for the outputs in ``but``."""
        for output in self.sender.outputs:
            if all(output is not other for other in but):
                await close(output)
        for queue in self.behaviour_queues:
            for action in getattr(queue.behaviour, "actions", ()):
                await close(action)

    # -- inside --------------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        """Add each event to the queues of the interested behaviours, in order."""
        queue, extra, stats = self.queue, self.extra, self._stats
        begun = time.monotonic()
        while True:
            if not queue.empty():
                delivery = queue.get_nowait()
            elif extra:
                delivery = extra.popleft()
            else:
                self._on_idle()
                delivery = await queue.get()
                begun = time.monotonic()
            event = delivery.event
            targets = self._routes.get(type(event))
            if targets is None:
                targets = self._route(event)
            stats.events += 1
            stats.last_event = time.time()
            delivery.remaining = len(targets)
            if not targets:
                stats.ignored += 1
                delivery.acknowledge()
            for at, target in enumerate(targets):
                if target.is_full:
                    self._in_hand = (delivery, list(targets[at:]))
                    await target.wait_for_room()
                    self._in_hand = None
                    begun = time.monotonic()
                target.put(delivery)
            if (now := time.monotonic()) - begun > SLICE_S:
                await asyncio.sleep(0)
                begun = now

    def _route(self, event: InputEvent) -> tuple[BehaviourQueue, ...]:
        queues = self._routes.get(type(event))
        if queues is None:
            queues = tuple(one for one in self.behaviour_queues if one.takes(event))
            self._routes[type(event)] = queues
            if not queues:
                _LOG.info("no behaviour is interested in %s", type(event).__name__)
        return queues

    def _unfinished(
        self, delivery: Delivery, queue: BehaviourQueue, progress: Progress | None = None
    ) -> tuple[Delivery, Unfinished]:
        entry = delivery.token if delivery.source is self._state_dir else None
        ident = entry if isinstance(entry, str) else None
        return delivery, Unfinished(ident, queue.ident, delivery.event, progress)


def _own(behaviour: object, option: str, default: float | None) -> Any:  # noqa: ANN401 - a number
    """Return an option of a behaviour or, where that has none, the bot's."""
    found = getattr(behaviour, option, None)
    fits = isinstance(found, int | float) and not isinstance(found, bool)
    return found if fits else default  # a foreign class may call something else so
