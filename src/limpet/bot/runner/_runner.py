"""The runner: inputs into one bounded queue, from there into the lanes of the behaviours.

An event is settled when every behaviour that is interested in it is done with it, has given it up
into a dead letter, or has it in the journal. Only then does a watch's state file leave it out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from mewbot.core import InputEvent, InputInterface

from limpet.bot._dry import would_say
from limpet.bot._input import FileSystemInput
from limpet.bot._queue import EventQueue
from limpet.bot.runner._health import HealthServer
from limpet.bot.runner._journal import Entry, Left, Place
from limpet.bot.runner._keep import Keep
from limpet.bot.runner._lane import Lane
from limpet.bot.runner._options import RunOptions
from limpet.bot.runner._parts import BotLike, Parts, label_of, parts_of, patience_of, workers_of
from limpet.bot.runner._process import Process
from limpet.bot.runner._retry import GaveUpError, Patience, helps
from limpet.bot.runner._sender import Sender, close
from limpet.bot.runner._stats import Stats
from limpet.bot.runner._supervisor import Supervisor
from limpet.bot.runner._swap import adopt
from limpet.bot.runner._work import Delivery, Job

__all__ = ["Runner"]

_SLICE_S: Final = 0.005
"""A worker that never waits lets others run after so long: a loop's other callbacks see that as
their latency."""

_CLEAN_UP_S: Final = 6.0
"""What work that was broken off gets for cleaning up: a command's five seconds and one more."""

_LOG: Final = logging.getLogger("limpet.bot.runner")


class Runner:
    """Runs one bot in the running loop; ``limpet.bot.run`` is the short form.

    ```python
    runner = Runner("bot.yaml", RunOptions(state_dir=Path("state")))
    task = asyncio.create_task(runner.run())
    ...
    runner.stop()
    await task
    ```
    """

    def __init__(
        self,
        bot: BotLike,
        options: RunOptions | None = None,
        *,
        entries: Sequence[Entry] | None = None,
    ) -> None:
        """Take the bot; nothing runs before ``run``.

        Args:
            bot: The path of its file, its components, or mewbot's ``Bot``.
            options: How it is run.
            entries: Do these and nothing else: no input is started.

        Raises:
            UsageError: It is no bot, or its file is wrong; the message has every error.
        """
        self.options = options or RunOptions()
        self.entries = entries
        self.stats = Stats()
        self.health = HealthServer(self, self.options.listen) if self.options.listen else None
        self.parts = parts_of(bot)
        self.lanes: list[Lane] = []
        self.state = "starting"
        """``starting``, ``running``, ``reloading``, ``draining`` or ``stopped``."""
        self.queue = EventQueue(self.options.queue)
        self.keep = Keep(self.options.state_dir, dry=self.options.dry_run)
        self.supervisor = Supervisor(self.queue, self.stats, on_end=self._look_for_end)
        self.sender = self._make_sender(self.parts)
        self._extra: deque[InputEvent] = deque()
        """Events that come after what is queued; only while stopping."""
        self._in_hand: tuple[Delivery, list[Lane]] | None = None
        """The event that is being handed to lanes, and those that have not got it."""
        self._workers: dict[Lane, list[asyncio.Task[None]]] = {}
        self._processes: dict[Lane, Process] = {}
        self._routes: dict[type, tuple[Lane, ...]] = {}
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._dispatcher: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()
        """Set once all inputs were started."""

    def stop(self) -> None:
        """End in order: do what is queued while ``drain`` lasts, keep the rest. Twice: at once."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def run(self) -> Stats:
        """Run until stopped; gives the figures. Cancelling it is a stop without patience.

        Raises:
            UsageError: Another bot runs with this state folder.
            OSError: The state folder cannot be used.
        """
        token = would_say.set(_say) if self.options.dry_run else None
        try:
            with self.keep:
                try:
                    await self._start_or_stop()
                    await self._stopping.wait()
                except asyncio.CancelledError:
                    self._hurry.set()
                    await self._shut_down()
                    raise
                await self._shut_down()
        finally:
            if token is not None:
                would_say.reset(token)
        return self.stats

    # -- starting ------------------------------------------------------------------------------

    async def _start_or_stop(self) -> None:
        """Start, unless that is given up: the journal may hold the work of hours."""
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            starting.cancel()
            await asyncio.wait({starting, stopping})
        if not starting.cancelled() and (error := starting.exception()) is not None:
            self._hurry.set()
            await self._shut_down()
            raise error

    async def _start(self) -> None:
        if self.health is not None:
            await self.health.start()
            _LOG.info("health and metrics at port %d", self.health.port)
        self._set_lanes(self.parts)
        self._dispatcher = asyncio.create_task(self._dispatch(), name="dispatch")
        if self.entries is not None:
            await self._feed(self.entries)
        else:
            await self._feed(await asyncio.to_thread(self.keep.load))
            for one in self.parts.inputs():
                self._start_input(one)
        self.state = "running"
        self.ready.set()
        _LOG.info("running: %d inputs, %d behaviours", len(self.supervisor.inputs), len(self.lanes))
        self._look_for_end()

    def _make_sender(self, parts: Parts) -> Sender:
        patience = Patience(self.options.attempts, self.options.backoff, self.options.backoff_max)
        return Sender(
            parts.outputs(),
            patience=patience,
            timeout=self.options.output_timeout,
            stats=self.stats,
        )

    def _set_lanes(self, parts: Parts) -> None:
        self.lanes = [
            Lane(
                behaviour,
                ident,
                label_of(behaviour, ident),
                bound=self.options.lane,
                workers=workers_of(behaviour),
            )
            for behaviour, ident in parts.active()
        ]
        self._routes.clear()
        for lane in self.lanes:
            self._processes[lane] = self._make_process(lane)
            self._workers[lane] = [
                asyncio.create_task(self._work(lane), name=f"behaviour {lane.name}")
                for _ in range(lane.workers)
            ]

    def _start_input(self, one: InputInterface) -> None:
        if isinstance(one, FileSystemInput):
            one.read_only = self.options.dry_run
        self.supervisor.start(one)

    async def _feed(self, entries: Sequence[Entry]) -> None:
        """Hand out what the last stop has left, before anything new."""
        for entry in entries:
            lane = next((one for one in self.lanes if one.ident == entry.behaviour), None)
            if lane is None:
                _LOG.error(
                    "the behaviour %s, for which an event was kept, is not there any more; it "
                    "becomes a dead letter",
                    entry.behaviour,
                )
                await self._bury_orphan(entry.event, entry.behaviour)
                self.keep.done(entry.ident)
                continue
            if lane.is_full:
                await lane.room()
            self.stats.replayed += 1
            job = lane.add(Delivery(entry.event, 1, self._entry_done, entry.ident))
            self._processes[lane].go_on(job, entry.place)

    async def _bury_orphan(self, event: InputEvent, behaviour: str) -> None:
        gone = LookupError("the behaviour is not there any more")
        await self.keep.bury(event, behaviour, "", "journal", 0, gone)

    def _entry_done(self, delivery: Delivery) -> None:
        if delivery.entry is not None:
            self.keep.done(delivery.entry)

    # -- running -------------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        """Hand each event to the lanes of those that are interested, in order."""
        queue, extra = self.queue, self._extra
        begun = time.monotonic()
        while True:
            if queue.empty():
                if extra:
                    event = extra.popleft()
                else:
                    self._look_for_end()
                    event = await queue.get()
                    begun = time.monotonic()
            else:
                event = queue.get_nowait()
            lanes = self._routes.get(type(event))
            if lanes is None:
                lanes = self._route(event)
            self.stats.events += 1
            self.stats.last_event = time.time()
            delivery = Delivery(event, len(lanes))
            if not lanes:
                self.stats.ignored += 1
                delivery.settle()
            for at, lane in enumerate(lanes):
                if lane.is_full:
                    self._in_hand = (delivery, list(lanes[at:]))
                    await lane.room()
                    self._in_hand = None
                    begun = time.monotonic()
                lane.add(delivery)
            if (now := time.monotonic()) - begun > _SLICE_S:
                await asyncio.sleep(0)
                begun = now

    def _route(self, event: InputEvent) -> tuple[Lane, ...]:
        lanes = tuple(lane for lane in self.lanes if lane.wants(event))
        self._routes[type(event)] = lanes
        if not lanes:
            _LOG.info("no behaviour is interested in %s", type(event).__name__)
        return lanes

    async def _work(self, lane: Lane) -> None:
        """Do the jobs of one lane, one after another, for ever."""
        attempts, backoff = patience_of(lane.behaviour, self.options)
        patience = Patience(attempts, backoff, self.options.backoff_max)
        process = self._processes[lane]
        begun = time.monotonic()
        while True:
            job = await lane.take()
            try:
                await process.advance(job)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                await self._struggle(job, process, patience, error)
            self.stats.done += 1
            lane.finish(job)
            job.delivery.done()
            if (now := time.monotonic()) - begun > _SLICE_S:
                await asyncio.sleep(0)
                begun = now
            if self._stopping.is_set() or self.options.until_done:
                self._look_for_end()

    def _make_process(self, lane: Lane) -> Process:
        process = Process(lane.behaviour, self._send, self.stats)
        timeout = getattr(lane.behaviour, "timeout", None)
        process.timeout = self.options.timeout if timeout is None else timeout
        return process

    async def _send(self, output: object) -> None:
        await self.sender.send(output)  # type: ignore[arg-type]  # an action yields what it yields

    async def _struggle(
        self, job: Job, process: Process, patience: Patience, error: Exception
    ) -> None:
        """A step failed: try it again, and give up into a dead letter."""
        while True:
            step = process.step_name(job)
            if job.attempt >= patience.attempts or not helps(error):
                await self._give_up(job, process, step, error)
                return
            known = isinstance(error, OSError | TimeoutError | RuntimeError)
            _LOG.warning(
                "behaviour %s, %s, failed (try %d): %s",
                job.lane.name,
                step,
                job.attempt,
                error,
                exc_info=None if known else error,
            )
            self.stats.retries += 1
            await asyncio.sleep(patience.wait(job.attempt))
            job.attempt += 1
            at = job.step
            try:
                await process.advance(job)
            except Exception as again:  # noqa: BLE001 - as above
                error = again
                if job.step != at:
                    job.attempt = 1
            else:
                return

    async def _give_up(self, job: Job, process: Process, step: str, error: Exception) -> None:
        self.stats.failed += 1
        output, attempts, cause = None, job.attempt, error
        if isinstance(error, GaveUpError) and isinstance(error.__cause__, Exception):
            output, attempts, cause = error.output, error.attempts, error.__cause__
        _LOG.error(
            "behaviour %s, %s, failed for good after %d tries: %s",
            job.lane.name,
            step,
            attempts,
            cause,
        )
        job.is_buried = True
        await self.keep.bury(
            job.event, job.lane.ident, job.lane.name, step, attempts, cause, output
        )
        await process.clean_up(job, cause)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is worked on."""
        return (
            self.queue.empty()
            and not self._extra
            and self._in_hand is None
            and all(lane.is_idle for lane in self.lanes)
        )

    def _look_for_end(self) -> None:
        if not self.is_idle:
            return
        self._idle.set()
        if self.options.until_done and self.ready.is_set() and self.supervisor.all_ended:
            self._stopping.set()

    # -- other parts ---------------------------------------------------------------------------

    async def reload(self, bot: BotLike) -> None:
        """Swap another bot in, or the same one changed; nothing that is queued is lost.

        What is worked on is finished, for as long as ``drain``; then it begins anew with the
        behaviour of the same uuid. Inputs that are in both go on.

        Raises:
            UsageError: It is wrong; the bot goes on as it is.
        """
        new = adopt(self.parts, await asyncio.to_thread(parts_of, bot))
        if self.state != "running":
            return
        self.state = "reloading"
        old_lanes, old_sender = self.lanes, self.sender
        staying = new.inputs()
        leaving = [one for one in self.supervisor.inputs if all(one is not two for two in staying)]
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            await asyncio.wait({self._dispatcher})
        in_hand, self._in_hand = self._in_hand, None
        await self._lanes_idle(self.options.drain)
        await self._end_workers()
        await self.supervisor.stop(leaving, 5.0)
        old_processes, self._processes = self._processes, {}
        self.parts, self.sender = new, self._make_sender(new)
        self._set_lanes(new)
        for lane in old_lanes:
            for job in lane.left():
                if not job.is_buried:
                    await self._hand_over(job.delivery, lane, old_processes[lane].place(job))
                else:
                    job.delivery.done()
        for lane in in_hand[1] if in_hand is not None else ():
            assert in_hand is not None  # noqa: S101 - see above
            await self._hand_over(in_hand[0], lane, None)
        self._dispatcher = asyncio.create_task(self._dispatch(), name="dispatch")
        for output in old_sender.outputs:
            if all(output is not other for other in self.sender.outputs):
                await close(output)
        for lane in old_lanes:
            await _close_actions(lane)
        for one in staying:
            if all(one is not two for two in self.supervisor.inputs):
                self._start_input(one)
        self.state = "running"
        self.stats.reloads += 1

    async def _hand_over(self, delivery: Delivery, old: Lane, place: Place | None) -> None:
        """Give what an old lane had to the new one of the same behaviour."""
        new = next((lane for lane in self.lanes if lane.ident == old.ident), None)
        if new is None:
            await self._bury_orphan(delivery.event, old.ident)
            delivery.done()
            return
        self._processes[new].go_on(new.add(delivery), place)

    async def _lanes_idle(self, patience: float) -> None:
        end = time.monotonic() + patience
        while time.monotonic() < end and not all(lane.is_idle for lane in self.lanes):
            if self._stopping.is_set():
                return
            await asyncio.sleep(0.01)

    # -- stopping ------------------------------------------------------------------------------

    async def _shut_down(self) -> None:
        """Do what is queued while there is time, keep the rest, and close everything."""
        self.state = "draining"
        begun = time.monotonic()
        ours = [one for one in self.supervisor.inputs if isinstance(one, FileSystemInput)]
        others = [one for one in self.supervisor.inputs if one not in ours]
        self.supervisor.quiesce()
        # Theirs may still put what they have in hand while they clean up.
        await self.supervisor.stop(others, 0.0 if self._hurry.is_set() else 2.0)
        await self._take_leftovers(ours)
        self.queue.close()
        await self._drain(self.options.drain - (time.monotonic() - begun))
        await self._end_workers()
        left = self._left()
        await self.keep.settled()
        await asyncio.to_thread(self._keep_left, left)
        await self.supervisor.stop(list(ours), 10.0)
        await self.sender.close()
        for lane in self.lanes:
            await _close_actions(lane)
        if self.health is not None:
            await self.health.stop()
        self.state = "stopped"
        _LOG.info("stopped after %.1f s", time.monotonic() - begun)

    async def _take_leftovers(self, ours: list[FileSystemInput]) -> None:
        for one in ours:
            try:
                async with asyncio.timeout(2.0):
                    self._extra += await one.leftovers()
            except Exception:  # noqa: BLE001 - whatever it is, the rest is kept
                _LOG.exception("what %s had found and not told is lost", one)
        if self._extra and self._dispatcher is not None and self.queue.empty():
            with contextlib.suppress(asyncio.QueueFull):
                self.queue.put_nowait(self._extra.popleft())

    async def _drain(self, patience: float) -> None:
        self._idle.clear()
        if self.is_idle or self._hurry.is_set() or patience <= 0:
            return
        _LOG.info("stopping: doing what is queued, for at most %.1f s", patience)
        waits = [
            asyncio.create_task(self._idle.wait()),
            asyncio.create_task(self._hurry.wait()),
        ]
        try:
            await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _end_workers(self) -> None:
        """Break off what is not done; a second time, if it will not end."""
        tasks = [task for workers in self._workers.values() for task in workers]
        if self._dispatcher is not None:
            tasks.append(self._dispatcher)
        patience = 0.5 if self._hurry.is_set() else _CLEAN_UP_S
        for _ in range(2):
            pending = [task for task in tasks if not task.done()]
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending, timeout=patience)
            patience = 0.5
        self._workers.clear()
        self._dispatcher = None

    def _left(self) -> list[tuple[Delivery, Left]]:
        """Give all that is not done, oldest first."""
        left: list[tuple[Delivery, Left]] = []

        def add(delivery: Delivery, lane: Lane, place: Place | None = None) -> None:
            left.append((delivery, Left(delivery.entry, lane.ident, delivery.event, place)))

        for lane in self.lanes:
            for job in lane.left():
                if job.is_buried:
                    job.delivery.done()
                else:
                    add(job.delivery, lane, self._processes[lane].place(job))
        if self._in_hand is not None:
            for lane in self._in_hand[1]:
                add(self._in_hand[0], lane)
        waiting = [*self._extra]
        queued = []
        while not self.queue.empty():
            queued.append(self.queue.get_nowait())
        for event in [*queued, *waiting]:
            lanes = list(self._routes.get(type(event)) or self._route(event))
            delivery = Delivery(event, len(lanes))
            if not lanes:
                delivery.settle()
            for lane in lanes:
                add(delivery, lane)
        return left

    def _keep_left(self, left: list[tuple[Delivery, Left]]) -> None:
        """Put what is not done into the journal; then nobody need tell it again."""
        if self.options.dry_run:
            return
        if self.keep.write([what for one, what in left if not one.is_told_again]):
            for one, _ in left:
                if one.entry is None:
                    one.done()


async def _close_actions(lane: Lane) -> None:
    for action in getattr(lane.behaviour, "actions", ()):
        await close(action)


def _say(line: str) -> None:
    logging.getLogger("limpet.bot.dry").info("%s", line)
