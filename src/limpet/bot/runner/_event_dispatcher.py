"""Dispatch events to per-behaviour queues, and run the workers that drain them.

An event is acknowledged once every interested behaviour has finished it, has given it up into a
dead letter, or has it in the journal. Until then the checkpoint of its watch contains it.

A dispatcher that ends although the bot goes on, because somebody cancelled it, is started again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from mewbot.core import InputEvent

from limpet._backoff import Backoff
from limpet._error_text import error_text
from limpet._tracing import tracing
from limpet.bot._components import Components, label_of, workers_of
from limpet.bot._delivery import Delivery, Fate
from limpet.bot._restart import FIRST_S, LONGEST_S
from limpet.bot.io._event_queue import EventQueue
from limpet.bot.runner._activity import Activity
from limpet.bot.runner._behaviour_pipeline import BehaviourPipeline
from limpet.bot.runner._behaviour_queue import BehaviourQueue
from limpet.bot.runner._behaviour_worker import SLICE_S, BehaviourWorker
from limpet.bot.runner._dead_letters import dead_letter_line
from limpet.bot.runner._output_sender import OutputSender, close
from limpet.bot.runner._retry import RetryPolicy
from limpet.bot.runner._run_options import RunOptions
from limpet.bot.runner._state_dir import StateDir
from limpet.bot.runner._stats import Stats
from limpet.bot.runner._traced import TracedPipeline, TracedSender
from limpet.bot.runner._work_journal import Progress, Unfinished

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
        *,
        activity: Activity | None = None,
        first: float = FIRST_S,
    ) -> None:
        self.queue = queue
        self._activity = activity
        self.extra: deque[Delivery] = deque()
        """Events after all that are queued; only while stopping."""
        self.on_event: Callable[[InputEvent], None] | None = None
        """Gets each event that is taken, for a terminal; it must neither wait nor raise."""
        self._state_dir = state_dir
        self._stats = stats
        self._on_idle = on_idle
        self._routes: dict[type, tuple[BehaviourQueue, ...]] = {}
        self._in_hand: tuple[Delivery, list[BehaviourQueue]] | None = None
        """The event being dispatched, and the queues that do not have it yet."""
        self._dispatch_task: asyncio.Task[None] | None = None
        self._backoff = Backoff(first, LONGEST_S)
        self._down: str | None = None
        """Why the dispatcher has ended, until it is started again."""
        found = tracing()
        make_sender = OutputSender if found is None else partial(TracedSender, tracing=found)
        make_pipeline = (
            BehaviourPipeline if found is None else partial(TracedPipeline, tracing=found)
        )
        self.sender = make_sender(
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
            pipeline = make_pipeline(
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
            worker = BehaviourWorker(
                one, pipeline, retry, state_dir, stats, activity=activity, first=first
            )
            if isinstance(pipeline, TracedPipeline):
                worker.traced = pipeline
            self._workers[one] = worker
        self.behaviour_queues = list(self._workers)

    def start(self) -> None:
        """Start the workers; ``dispatch`` starts taking events from the queue."""
        for worker in self._workers.values():
            worker.start(self._on_idle)

    def dispatch(self, delay: float = 0.0) -> None:
        """Start to take events from the queue, after a delay in seconds."""
        self._dispatch_task = asyncio.create_task(self._dispatch(delay), name="dispatch")
        self._dispatch_task.add_done_callback(self._dispatch_ended)

    def _dispatch_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if task is not self._dispatch_task:
            return  # it was paused
        reason = "it was cancelled"
        if error is not None:
            reason = f"{type(error).__name__}: {error_text(error)}"
        delay = self._backoff.next()
        self._down = reason
        self._stats.worker_restarts += 1
        message = "the dispatcher has ended and restarts in %.1f s: %s"
        _LOG.error(message, delay, reason, exc_info=error)
        self.dispatch(delay)

    @property
    def down(self) -> dict[str, str]:
        """What has ended and is not started again yet -> the reason."""
        found = {} if self._down is None else {"dispatcher": self._down}
        for queue, worker in self._workers.items():
            if worker.down is not None:
                found[f"behaviour {queue.name}"] = worker.down
        return found

    @property
    def is_alive(self) -> bool:
        """Return whether events are dispatched and every behaviour has a worker."""
        task = self._dispatch_task
        workers = self._workers.values()
        return task is not None and not task.done() and all(one.loops for one in workers)

    @property
    def are_queues_idle(self) -> bool:
        """Return whether no behaviour has anything to do."""
        return all(one.is_idle for one in self.behaviour_queues)

    @property
    def waiting(self) -> int:
        """Return how many events wait that no queue of a behaviour has yet."""
        return self.queue.qsize() + len(self.extra) + (self._in_hand is not None)

    @property
    def is_idle(self) -> bool:
        """Return whether no event waits and none is being processed."""
        idle = self.queue.empty() and not self.extra and self._in_hand is None
        return idle and self.are_queues_idle

    async def replay(self, stored: Iterable[tuple[Delivery, str, Progress | None]]) -> None:
        """Add stored events, each to the queue of the behaviour that it was stored for.

        Args:
            stored: Each with the name of the behaviour in the journal, and how far it has come.
        """
        for delivery, ident, progress in stored:
            queue = self.queue_of(ident)
            if queue is None:
                await self.give_up_orphan(delivery, ident)
                continue
            if queue.is_full:
                await queue.wait_for_room()
            self._stats.replayed += 1
            self.resume(delivery, queue, progress)

    def queue_of(self, ident: str) -> BehaviourQueue | None:
        """Return the queue of a behaviour by its name in the journal."""
        return next((one for one in self.behaviour_queues if one.ident == ident), None)

    def resume(self, delivery: Delivery, queue: BehaviourQueue, progress: Progress | None) -> None:
        """Add an event whose processing was started before."""
        delivery.since = time.time()
        self._workers[queue].pipeline.resume(queue.put(delivery), progress)

    async def give_up_orphan(self, delivery: Delivery, ident: str) -> None:
        """Finish an event whose behaviour no longer exists: it is, or becomes, a dead letter."""
        if delivery.dead_letter is not None:
            delivery.finish()
            return
        message = "the behaviour %s of a stored event no longer exists; writing a dead letter"
        _LOG.error(message, ident)
        error = LookupError("the behaviour no longer exists")
        self._stats.failed += 1
        line = dead_letter_line(
            delivery.event, behaviour=ident, name="", step="journal", attempts=0, error=error
        )
        await self._state_dir.write_dead_letter(line)
        delivery.fate = Fate.FAILED
        delivery.finish()

    async def pause(self) -> None:
        """Stop taking events from the queue; the one just taken is among the ``unfinished``."""
        task, self._dispatch_task = self._dispatch_task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def end(self, timeout: float, hurry: asyncio.Event) -> None:
        """Cancel what is not done, a second time if it does not end within ``timeout`` seconds.

        Args:
            timeout: Seconds for clean-up: commands get them between SIGTERM and SIGKILL.
            hurry: Ends that wait when it is set.
        """
        await self.pause()
        workers = list(self._workers.values())
        hurrying = asyncio.create_task(hurry.wait())
        for seconds in (timeout, 0.5):
            for worker in workers:
                worker.end()
            pending = {loop for worker in workers for loop in worker.loops}
            end = time.monotonic() + seconds
            while pending and (rest := end - time.monotonic()) > 0:
                waits = pending if hurry.is_set() else {*pending, hurrying}
                done, _ = await asyncio.wait(
                    waits, timeout=rest, return_when=asyncio.FIRST_COMPLETED
                )
                pending -= done
                if hurrying in done and seconds == timeout:
                    break
        hurrying.cancel()

    def abandon(self) -> None:
        """Start nothing again from now on: the bot is at its end."""
        self._dispatch_task = None
        for worker in self._workers.values():
            worker.pipeline.is_ending = True

    def unfinished(self) -> list[tuple[Delivery, Unfinished]]:
        """Return all dispatched events that are not processed, oldest first; after ``end``."""
        found: list[tuple[Delivery, Unfinished]] = []
        for queue, worker in self._workers.items():
            for task in queue.unfinished():
                if task.is_dead:
                    task.delivery.fate = Fate.FAILED
                    task.delivery.finish()
                else:
                    progress = worker.pipeline.progress(task)
                    found.append(self._unfinished(task.delivery, queue, progress))
            if isinstance(worker.pipeline, TracedPipeline):
                worker.pipeline.finish_all()
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

    async def close(self, *, but: Sequence[object] = (), timeout: float = 2.0) -> None:
        """Close outputs and actions, except for the outputs in ``but``; wait that long at most."""
        components: list[object] = [
            output for output in self.sender.outputs if all(output is not one for one in but)
        ]
        for queue in self.behaviour_queues:
            components += getattr(queue.behaviour, "actions", ())
        tasks = {asyncio.create_task(close(one)): one for one in components}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=timeout)
        for task in late:
            task.cancel()
            message = "%s did not close within %g s; not waiting"
            _LOG.warning(message, type(tasks[task]).__name__, timeout)

    # -- inside --------------------------------------------------------------------------------

    async def _dispatch(self, delay: float) -> None:
        """Add each event to the queues of the interested behaviours, in order."""
        if delay:
            await asyncio.sleep(delay)
            self._down = None
        queue, extra, stats = self.queue, self.extra, self._stats
        observer = self._observer()
        if self._in_hand is not None:  # of a dispatcher that ended
            await self._put(*self._in_hand)
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
            stats.last_event = delivery.since = time.time()
            delivery.remaining = len(targets)
            if observer is not None:
                observer(delivery)
            if not targets:
                stats.ignored += 1
                delivery.acknowledge()
            for at, target in enumerate(targets):
                if target.is_full:
                    await self._put(delivery, list(targets[at:]))
                    begun = time.monotonic()
                    break
                target.put(delivery)
            if (now := time.monotonic()) - begun > SLICE_S:
                await asyncio.sleep(0)
                begun = now

    async def _put(self, delivery: Delivery, targets: list[BehaviourQueue]) -> None:
        """Add an event to queues, waiting for room; it is ``unfinished`` while it waits."""
        self._in_hand = (delivery, targets)
        while targets:
            await targets[0].wait_for_room()
            targets.pop(0).put(delivery)
        self._in_hand = None

    def _observer(self) -> Callable[[Delivery], None] | None:
        """Return what gets each event that is taken; ``None`` if nobody wants to know."""
        activity, on_event = self._activity, self.on_event
        if on_event is None:
            return None if activity is None else activity.delivered

        def both(delivery: Delivery) -> None:
            on_event(delivery.event)
            if activity is not None:
                activity.delivered(delivery)

        return both

    def _route(self, event: InputEvent) -> tuple[BehaviourQueue, ...]:
        queues = self._routes.get(type(event))
        if queues is None:
            queues = tuple(one for one in self.behaviour_queues if self._takes(one, event))
            self._routes[type(event)] = queues
            if not queues:
                _LOG.info("no behaviour is interested in %s", type(event).__name__)
        return queues

    @staticmethod
    def _takes(queue: BehaviourQueue, event: InputEvent) -> bool:
        """Return whether a behaviour gets an event; one that cannot say gets it."""
        try:
            return queue.takes(event)
        except Exception:  # noqa: BLE001 - classes that a foreign trigger names
            message = "the behaviour %s does not say which classes it takes; it gets %s"
            _LOG.exception(message, queue.name, type(event).__name__)
            return True

    def _unfinished(
        self, delivery: Delivery, queue: BehaviourQueue, progress: Progress | None = None
    ) -> tuple[Delivery, Unfinished]:
        entry = delivery.token if delivery.source is self._state_dir else None
        entry = entry if isinstance(entry, str) else None
        ident = entry or f"{delivery.key}-{queue.ident}"
        return delivery, Unfinished(entry, ident, queue.ident, delivery.event, progress)


def _own(behaviour: object, option: str, default: float | None) -> Any:  # noqa: ANN401 - a number
    """Return an option of a behaviour or, where that has none, the bot's."""
    found = getattr(behaviour, option, None)
    fits = isinstance(found, int | float) and not isinstance(found, bool)
    return found if fits else default  # a foreign class may call something else so
