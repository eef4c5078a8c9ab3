"""The runner: starts the components of a bot, reloads changed ones, and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Final

from mewbot.core import InputInterface

from limpet.bot._components import Components
from limpet.bot._delivery import Delivery
from limpet.bot._dry_run import dry_run_report
from limpet.bot._hurry import is_hurried
from limpet.bot.io._event_queue import EventQueue
from limpet.bot.io._filesystem_input import FileSystemInput
from limpet.bot.io._limpet_input import LimpetInput
from limpet.bot.runner._event_dispatcher import Dispatcher
from limpet.bot.runner._health import HealthServer
from limpet.bot.runner._hot_reload import adopt
from limpet.bot.runner._input_supervisor import InputSupervisor
from limpet.bot.runner._load_components import BotLike, components_of
from limpet.bot.runner._metrics import health_of, metrics_of
from limpet.bot.runner._run_options import RunOptions
from limpet.bot.runner._snapshot import QueueSnapshot, RunnerSnapshot
from limpet.bot.runner._state_dir import StateDir
from limpet.bot.runner._stats import Stats
from limpet.bot.runner._work_journal import JournalEntry, Unfinished

_CLEAN_UP_S: Final = 6.0
"""What cancelled work gets for its clean-up: a command's five seconds and one more."""

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
        entries: Sequence[JournalEntry] | None = None,
    ) -> None:
        """Load the bot; nothing runs before ``run``.

        Args:
            bot: The path of its file, its components, or mewbot's ``Bot``.
            options: How it is run.
            entries: Process these and nothing else: no input is started.

        Raises:
            UsageError: It is not a bot, or its file is wrong; the message lists every error.
        """
        self.options = options or RunOptions()
        self.entries = entries
        self.stats = Stats()
        self.health = (
            HealthServer(
                self.options.listen,
                health=lambda: health_of(self.snapshot()),
                metrics=lambda: metrics_of(self.snapshot()),
            )
            if self.options.listen
            else None
        )
        self.components = components_of(bot)
        self.state = "starting"
        """``starting``, ``running``, ``reloading``, ``draining`` or ``stopped``."""
        self.queue = EventQueue(self.options.queue)
        self.state_dir = StateDir(self.options.state_dir, dry=self.options.dry_run)
        self.supervisor = InputSupervisor(self.queue, self.stats, on_end=self._check_for_end)
        self.ready = asyncio.Event()
        """Set once all inputs were started."""
        self._dispatcher = self._make_dispatcher(self.components)
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._lock = asyncio.Lock()
        """Held while components are swapped, and while the bot stops."""

    @property
    def is_idle(self) -> bool:
        """Return whether no event waits and none is being processed."""
        return self._dispatcher.is_idle

    def snapshot(self) -> RunnerSnapshot:
        """Return the current state, for health and metrics."""
        inputs = [one for one in self.supervisor.inputs if isinstance(one, FileSystemInput)]
        failures = {one.label: one.failure for one in inputs if one.failure is not None}
        return RunnerSnapshot(
            state=self.state,
            stats=self.stats,
            queued=self.queue.qsize(),
            dead_letters=self.state_dir.dead_letters,
            inputs={one.label: one.backend or None for one in inputs},
            failures=self.supervisor.down | failures,
            degraded={path: why for one in inputs for path, why in one.degraded.items()},
            queues=tuple(
                QueueSnapshot(behaviour=one.name, depth=len(one), active=len(one.active))
                for one in self._dispatcher.behaviour_queues
            ),
        )

    def stop(self) -> None:
        """Stop in order: process queued events for ``drain`` seconds, store the rest.

        A second call stops at once.
        """
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def run(self) -> Stats:
        """Run until stopped, and return the counters. Cancellation stops without draining.

        Raises:
            UsageError: Another bot runs with this state directory.
            OSError: The state directory cannot be used.
        """
        with self._marked(), self.state_dir:
            try:
                await self._start_or_stop()
                await self._stopping.wait()
            except asyncio.CancelledError:
                self._hurry.set()
                await self._shut_down()
                raise
            await self._shut_down()
        return self.stats

    async def reload(self, bot: BotLike) -> None:
        """Replace the running bot by another one, or by its changed self; no event is lost.

        Running tasks are finished, for at most ``drain`` seconds; those that are not go on in the
        new behaviour with the same uuid. Inputs that are in both bots go on.

        Raises:
            UsageError: The new bot is wrong; the old one goes on.
        """
        components = await asyncio.to_thread(components_of, bot)
        async with self._lock:
            if self.state == "running":
                with self._marked():  # it may be called in another context than ``run``
                    await self._swap(components)

    @contextlib.contextmanager
    def _marked(self) -> Iterator[None]:
        """Mark the tasks that are started meanwhile as those of this run."""
        hurry = is_hurried.set(self._hurry.is_set)
        dry = dry_run_report.set(_log_dry_run if self.options.dry_run else dry_run_report.get())
        try:
            yield
        finally:
            dry_run_report.reset(dry)
            is_hurried.reset(hurry)

    async def _swap(self, components: Components) -> None:
        self.state = "reloading"
        new, old = adopt(self.components, components), self._dispatcher
        staying = new.inputs()
        leaving = [one for one in self.supervisor.inputs if not _is_in(one, staying)]
        await old.pause()
        await self._wait_for_queues(old)
        await old.end(_CLEAN_UP_S)
        await self.supervisor.stop(leaving, 5.0)
        self.components, self._dispatcher = new, self._make_dispatcher(new)
        self._dispatcher.start()
        for delivery, unfinished in old.unfinished():
            queue = self._dispatcher.queue_of(unfinished.behaviour)
            if queue is not None:
                self._dispatcher.resume(delivery, queue, unfinished.progress)
            else:
                await self._dispatcher.give_up_orphan(unfinished.event, unfinished.behaviour)
                delivery.finish()
        self._dispatcher.dispatch()
        await old.close(but=self._dispatcher.sender.outputs)
        for one in staying:
            if not _is_in(one, self.supervisor.inputs):
                self._start_input(one)
        self.state = "running"
        self.stats.reloads += 1

    # -- starting ------------------------------------------------------------------------------

    async def _start_or_stop(self) -> None:
        """Start, unless stopped meanwhile: the journal may hold the work of hours."""
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
        self._dispatcher.start()
        self._dispatcher.dispatch()
        if self.entries is not None:
            await self._dispatcher.replay(self.entries)
        else:
            # Stored events of the last stop go before new ones.
            await self._dispatcher.replay(await asyncio.to_thread(self.state_dir.load))
            for one in self.components.inputs():
                self._start_input(one)
        self.state = "running"
        self.ready.set()
        inputs, behaviours = len(self.supervisor.inputs), len(self._dispatcher.behaviour_queues)
        _LOG.info("running: %d inputs, %d behaviours", inputs, behaviours)
        self._check_for_end()

    def _start_input(self, one: InputInterface) -> None:
        if isinstance(one, FileSystemInput):
            one.handover.read_only = self.options.dry_run
        self.supervisor.start(one)

    def _make_dispatcher(self, components: Components) -> Dispatcher:
        return Dispatcher(
            components,
            self.options,
            self.queue,
            self.state_dir,
            self.stats,
            on_idle=self._check_for_end,
        )

    def _check_for_end(self) -> None:
        if not self._dispatcher.is_idle:
            return
        self._idle.set()
        if self.options.until_done and self.ready.is_set() and self.supervisor.all_ended:
            self._stopping.set()

    async def _wait_for_queues(self, dispatcher: Dispatcher) -> None:
        end = time.monotonic() + self.options.drain
        while time.monotonic() < end and not dispatcher.are_queues_idle:
            if self._stopping.is_set():
                return
            await asyncio.sleep(0.01)

    # -- stopping ------------------------------------------------------------------------------

    async def _shut_down(self) -> None:
        """Process queued events while there is time, store the rest, and close everything."""
        async with self._lock:
            await self._stop_in_order()

    async def _stop_in_order(self) -> None:
        self.state = "draining"
        begun = time.monotonic()
        watching = [one for one in self.supervisor.inputs if isinstance(one, FileSystemInput)]
        ours = [one for one in self.supervisor.inputs if isinstance(one, LimpetInput)]
        others = [one for one in self.supervisor.inputs if not _is_in(one, ours)]
        self.supervisor.quiesce()
        # Other inputs may still queue what they have while they clean up.
        await self.supervisor.stop(others, 0.0 if self._hurry.is_set() else 2.0)
        await self._take_leftovers(watching)
        self.queue.close()
        await self._drain(self.options.drain - (time.monotonic() - begun))
        await self._dispatcher.end(0.5 if self._hurry.is_set() else _CLEAN_UP_S)
        unfinished = [*self._dispatcher.unfinished(), *self._dispatcher.take_queued()]
        await self.state_dir.flush()
        await asyncio.to_thread(self._store_unfinished, unfinished)
        await self.supervisor.stop(list(ours), 10.0)
        await self._dispatcher.close()
        if self.health is not None:
            await self.health.stop()
        self.state = "stopped"
        _LOG.info("stopped after %.1f s", time.monotonic() - begun)

    async def _take_leftovers(self, inputs: list[FileSystemInput]) -> None:
        """Queue what our inputs have found and not queued, where no checkpoint keeps it."""
        extra = self._dispatcher.extra
        for one in inputs:
            try:
                async with asyncio.timeout(2.0):
                    extra += await one.leftovers()
            except Exception:  # noqa: BLE001 - whatever it is, the other inputs go on
                _LOG.exception("events that %s had found and not queued are lost", one.label)
        if extra and self.queue.empty():  # the dispatcher may wait for the queue
            with contextlib.suppress(asyncio.QueueFull):
                self.queue.put_nowait(extra.popleft())

    async def _drain(self, timeout: float) -> None:
        self._idle.clear()
        if self.is_idle or self._hurry.is_set() or timeout <= 0:
            return
        _LOG.info("stopping: processing queued events for at most %.1f s", timeout)
        waits = [
            asyncio.create_task(self._idle.wait()),
            asyncio.create_task(self._hurry.wait()),
        ]
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _store_unfinished(self, unfinished: list[tuple[Delivery, Unfinished]]) -> None:
        """Write unprocessed events to the journal, and acknowledge them to their inputs."""
        if self.options.dry_run:
            return
        if self.state_dir.store(
            [one for delivery, one in unfinished if not delivery.is_redelivered]
        ):
            for delivery, one in unfinished:
                if one.entry is None:
                    delivery.finish()


def _is_in(one: object, others: Sequence[object]) -> bool:
    return any(one is other for other in others)


def _log_dry_run(line: str) -> None:
    logging.getLogger("limpet.bot.dry").info("%s", line)
