"""The runner: starts the components of a bot, reloads changed ones, and stops them cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Self

from mewbot.core import InputEvent, InputInterface

from limpet.bot._components import Components
from limpet.bot._delivery import Delivery
from limpet.bot._dry_run import dry_run_report
from limpet.bot._hurry import is_hurried
from limpet.bot.io._event_queue import EventQueue
from limpet.bot.io._filesystem_input import FileSystemInput
from limpet.bot.io._limpet_input import HasLeftovers, LimpetInput
from limpet.bot.runner._activity import Activity
from limpet.bot.runner._bot_status import BotStatus
from limpet.bot.runner._dead_letters import DeadLetter
from limpet.bot.runner._event_dispatcher import Dispatcher
from limpet.bot.runner._hot_reload import adopt
from limpet.bot.runner._input_supervisor import InputSupervisor
from limpet.bot.runner._live_retry import LiveRetry
from limpet.bot.runner._load_components import BotLike, components_of, name_of
from limpet.bot.runner._replay import Replay, ReplayReport
from limpet.bot.runner._run_options import RunOptions
from limpet.bot.runner._state_dir import StateDir
from limpet.bot.runner._stats import Stats
from limpet.bot.runner._work_journal import Progress, Unfinished
from limpet.errors import UsageError
from limpet.status import State, Status

if TYPE_CHECKING:
    from limpet.web import Listening

_CLEAN_UP_S: Final = 6.0
"""What work that a reload cancels gets for its clean-up: a command's five seconds and one more."""

_LEAST_S: Final = 1.0
"""What work that a stop cancels gets at least. It is part of ``drain``: up to a quarter of it."""

_CLOSE_S: Final = 2.0
"""How long a stop waits at least for inputs to save their checkpoints, and then for components to
close."""

_LOG: Final = logging.getLogger("limpet.bot.runner")


class Runner:
    """Runs one bot, once, in the running loop; ``limpet.bot.run`` is the short form.

    ```python
    async with Runner("bot.yaml", RunOptions(state_dir=Path("state"))) as runner:
        ...
    ```
    """

    def __init__(
        self,
        bot: BotLike,
        options: RunOptions | None = None,
        *,
        replay: Replay | None = None,
        on_event: Callable[[InputEvent], None] | None = None,
    ) -> None:
        """Load the bot; nothing runs before ``run``.

        Args:
            bot: The path of its file, its components, or mewbot's ``Bot``.
            options: How it is run.
            replay: Process these dead letters and nothing else: no input is started.
            on_event: Gets each event that the bot takes; it must neither wait nor raise.

        Raises:
            UsageError: It is not a bot, or its file is wrong; the message lists every error.
        """
        self.options = options or RunOptions()
        self.replay = replay
        self._on_event = on_event
        self.stats = Stats()
        self.components = components_of(bot)
        self._file = os.fspath(bot) if isinstance(bot, str | os.PathLike) else ""
        if self.options.listen:
            from limpet.web import check_listen

            check_listen(self.options.listen)
        self.state: State = "starting"
        self._activity = Activity() if self.options.listen else None
        self.shown = BotStatus(self, self._activity or Activity(), name_of(bot))
        """The bot for those who look at it."""
        self.listening: Listening | None = None
        """What answers them, with ``listen``."""
        self.queue = EventQueue(self.options.queue)
        self.state_dir = StateDir(self.options.state_dir, self.stats, dry=self.options.dry_run)
        self.supervisor = InputSupervisor(self.queue, self.stats, on_end=self._check_for_end)
        self.ready = asyncio.Event()
        """Set once all inputs were started."""
        self._dispatcher = self._make_dispatcher(self.components)
        self._live = LiveRetry(
            self.state_dir, self._put_again, lambda: self.components, dry=self.options.dry_run
        )
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._kill_at = math.inf
        """When the clean-up of a stop is over."""
        self._is_stored = False
        """Whether what was not processed is stored: nothing more is to be kept."""
        self._lock = asyncio.Lock()
        """Held while components are swapped, and while the bot stops."""
        self._task: asyncio.Task[Stats] | None = None
        """What ``aopen`` has started."""
        self._is_closed = False
        """Its end was waited for, or its failure was raised."""

    async def __aenter__(self) -> Self:
        """Start; see ``aopen``."""
        return await self.aopen()

    async def __aexit__(self, *_: object) -> None:
        """Stop; see ``aclose``."""
        await self.aclose()

    async def aopen(self) -> Self:
        """Start to run beside the caller; ``aclose`` is due later. Return once inputs were started.

        Raises:
            UsageError: It was started before; or another bot runs with this state directory.
            OSError: The state directory cannot be used, or the port of ``listen``.
        """
        if self._task is not None:
            message = "the bot was started already, and a Runner runs once: make another one"
            raise UsageError(message)
        self._task = asyncio.create_task(self.run(), name="limpet.bot")
        ready = asyncio.create_task(self.ready.wait())
        try:
            await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._is_closed = True
            self._task.cancel()
            await asyncio.wait({self._task})
            raise
        finally:
            ready.cancel()
        if self._task.done():  # it failed, or had nothing to do
            self._is_closed = True
            self._task.result()
        return self

    async def aclose(self) -> None:
        """Stop as ``stop`` does, and wait for the end; does nothing the second time.

        Cancellation stops it at once, and stores what was not processed.

        Raises:
            Exception: What ended the bot before, if something did.
        """
        task = self._task
        if task is None or self._is_closed:
            return
        if not self._stopping.is_set():  # a second ``stop`` would hurry it
            self.stop()
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        finally:
            self._is_closed = task.done()
        if not task.cancelled():
            task.result()

    @property
    def is_idle(self) -> bool:
        """Return whether no event waits and none is being processed."""
        return self._dispatcher.is_idle

    @property
    def is_alive(self) -> bool:
        """Return whether all its parts run, or have not started, or are being stopped."""
        return self.state != "running" or self._dispatcher.is_alive

    @property
    def dispatcher(self) -> Dispatcher:
        """The queues, workers and outputs of the present components."""
        return self._dispatcher

    @property
    def failures(self) -> dict[str, str]:
        """Inputs and workers that do not run now -> the reason."""
        inputs = [one for one in self.supervisor.inputs if isinstance(one, FileSystemInput)]
        failures = {one.label: one.failure for one in inputs if one.failure is not None}
        return self.supervisor.down | failures | self._dispatcher.down

    def status(self) -> Status:
        """Return a snapshot of everything it watches, does and waits for; waits for nothing."""
        return self.shown.status()

    def stop(self) -> None:
        """Stop cleanly: process queued events for ``drain`` seconds, store the rest.

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
                await self._shut_down_whole()
                raise
            await self._shut_down_whole()
        return self.stats

    async def reload(self, bot: BotLike) -> None:
        """Replace the running bot by another one, or by its changed self; no event is lost.

        Running tasks are finished, for at most ``drain`` seconds; those that are not go on in the
        new behaviour with the same uuid. Inputs that are in both bots go on.

        Raises:
            UsageError: The new bot is wrong, or the bot is stopping; the old one goes on.
        """
        components = await asyncio.to_thread(components_of, bot)
        await self._started_or_stopping()
        async with self._lock:
            if self.state != "running" or self.replay is not None:
                message = "the bot is stopping" if self.replay is None else "it only replays"
                message = f"nothing was reloaded: {message}"
                raise UsageError(message)
            # What foreign components raise here, they raise before anything is changed.
            components.inputs()
            self._make_dispatcher(components)
            with self._marked():  # it may be called in a context other than that of ``run``
                await self._swap(components)

    async def dead_letters(self) -> list[DeadLetter]:
        """Return all dead letters that wait now, oldest first; without a state directory, none.

        Raises:
            OSError: They cannot be read.
        """
        return await self._live.read()

    async def retry(self, idents: Sequence[str] = ()) -> ReplayReport:
        """Process dead letters again beside the other work, and return what became of them.

        Each goes on at the step that failed, and waits in the queue of its behaviour like any
        event. One that fails again, or that the bot does not reach before it stops, stays. One
        that is being processed again already is left to that call. Several tasks may call this;
        a caller that is cancelled leaves them being processed.

        Args:
            idents: The ids of the dead letters; empty for all.

        Raises:
            UsageError: There is no dead letter of an id, or the bot is stopping; none is processed.
            OSError: They cannot be read.
        """
        await self._check_is_live("retried")
        return await self._live.retry(idents)

    async def discard(self, idents: Sequence[str]) -> int:
        """Discard dead letters that nobody wants any more, and return how many that were.

        Those that are being processed again stay, until that has ended.

        Args:
            idents: The ids of the dead letters.

        Raises:
            UsageError: The bot is stopping; none is discarded.
            OSError: They are still there.
        """
        await self._check_is_live("discarded")
        return await self._live.discard(idents)

    async def _check_is_live(self, done: str) -> None:
        """Wait until the bot has started.

        Raises:
            UsageError: It is stopping, or only replays.
        """
        if self.state == "starting":
            await self._started_or_stopping()
        if self.state not in {"running", "reloading"} or self.replay is not None:
            message = "the bot is stopping" if self.replay is None else "it only replays"
            message = f"nothing was {done}: {message}"
            raise UsageError(message)

    async def _put_again(self, delivery: Delivery, ident: str, progress: Progress | None) -> bool:
        """Add the event of a dead letter to the queue of its behaviour, once there is room.

        Returns:
            False if the bot stops before.
        """
        while self.state in {"running", "reloading"}:
            if self.state == "running":
                queue = self._dispatcher.queue_of(ident)
                if queue is None:  # gone with a reload
                    await self._dispatcher.give_up_orphan(delivery, ident)
                    return True
                if not queue.is_full:
                    self._dispatcher.resume(delivery, queue, progress)
                    return True
            await asyncio.sleep(0.01)
        return False

    async def _started_or_stopping(self) -> None:
        """Wait until the bot has started, or is to stop."""
        waits = {
            asyncio.create_task(self.ready.wait()),
            asyncio.create_task(self._stopping.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _is_out_of_time(self) -> bool:
        """Return whether programs that are being ended get no more time."""
        return self._hurry.is_set() or time.monotonic() >= self._kill_at

    @contextlib.contextmanager
    def _marked(self) -> Iterator[None]:
        """Mark the tasks that are started meanwhile as those of this run."""
        hurry = is_hurried.set(self._is_out_of_time)
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
        stopping = self._stopping.is_set()
        await old.end(_LEAST_S if stopping else _CLEAN_UP_S, self._stopping)
        for one in leaving:
            if isinstance(one, LimpetInput):
                one.quiesce()
        found = await self._leftovers([one for one in leaving if isinstance(one, LimpetInput)])
        await self.supervisor.stop(leaving, 5.0)
        found += await self._leftovers([one for one in leaving if not isinstance(one, LimpetInput)])
        self.components, self._dispatcher = new, self._make_dispatcher(new)
        for one_queue in self._dispatcher.behaviour_queues:
            if (before := old.queue_of(one_queue.ident)) is not None:
                one_queue.go_on_from(before)
        self._dispatcher.extra += found
        self._dispatcher.start()
        for delivery, unfinished in old.unfinished():
            queue = self._dispatcher.queue_of(unfinished.behaviour)
            if queue is not None:
                self._dispatcher.resume(delivery, queue, unfinished.progress)
            else:
                await self._dispatcher.give_up_orphan(delivery, unfinished.behaviour)
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
            await self._shut_down_whole()
            raise error

    async def _start(self) -> None:
        if self.options.listen:
            from limpet.web import Listening

            folder = self.options.state_dir
            self.listening = Listening(
                self.shown, self.options.listen, state_dir=folder, file=self._file
            )
            await self.listening.start()
            _LOG.info("%s", self.listening.text)
        self._dispatcher.start()
        self._dispatcher.dispatch()
        if self.replay is not None:
            await self.state_dir.in_thread(self.replay.load, self.components, self.state_dir)
            await self._dispatcher.replay(self.replay.stored())
        else:
            # Stored events of the last stop go before new ones.
            await self._dispatcher.replay(await self._stored())
            for one in self.components.inputs():
                self._start_input(one)
        self.state = "running"
        self.ready.set()
        inputs, behaviours = len(self.supervisor.inputs), len(self._dispatcher.behaviour_queues)
        _LOG.info(
            "running: %d input%s, %d behaviour%s",
            inputs, "s" * (inputs != 1), behaviours, "s" * (behaviours != 1),
        )  # fmt: skip
        self._check_for_end()

    async def _stored(self) -> list[tuple[Delivery, str, Progress | None]]:
        return [
            (Delivery(one.event, self.state_dir, one.ident), one.behaviour, one.progress)
            for one in await self.state_dir.in_thread(self.state_dir.load)
        ]

    def _start_input(self, one: InputInterface) -> None:
        if isinstance(one, FileSystemInput):
            one.handover.read_only = self.options.dry_run
        self.supervisor.start(one)

    def _make_dispatcher(self, components: Components) -> Dispatcher:
        made = Dispatcher(
            components,
            self.options,
            self.queue,
            self.state_dir,
            self.stats,
            on_idle=self._check_for_end,
            activity=self._activity,
        )
        made.on_event = self._on_event
        return made

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

    async def _shut_down_whole(self) -> None:
        """Shut down to the end, though somebody cancels this: faster then."""
        ending = asyncio.create_task(self._shut_down(), name="shut down")
        while not ending.done():
            try:
                await asyncio.wait({ending})
            except asyncio.CancelledError:
                self._hurry.set()
        ending.result()

    async def _shut_down(self) -> None:
        """Process queued events while there is time, store the rest, and close everything."""
        try:
            async with self._lock:
                await self._stop_in_order()
        finally:  # whatever ended that: a component, or a second cancellation of all tasks
            self._dispatcher.abandon()
            if not self._is_stored:
                self.store_now()

    async def _stop_in_order(self) -> None:
        """Stop within ``drain`` seconds or little more; what is unprocessed then is stored first.

        A container runtime kills ten seconds after its SIGTERM: the journal must be written by
        then, whatever components do.
        """
        self.state = "draining"
        self._stopping.set()  # also if a failure or a cancellation ends the run
        begun = time.monotonic()
        deadline = begun + self.options.drain
        ours = [one for one in self.supervisor.inputs if isinstance(one, LimpetInput)]
        others = [one for one in self.supervisor.inputs if not _is_in(one, ours)]
        self.supervisor.quiesce()
        # Other inputs may still queue what they have while they clean up.
        await self.supervisor.stop(others, 0.0 if self._hurry.is_set() else _CLOSE_S)
        await self._take_leftovers([*others, *ours])
        self.queue.close()
        reserve = min(_CLOSE_S, self.options.drain / 4)
        await self._drain(deadline - reserve - time.monotonic())
        rest = max(deadline - time.monotonic(), _LEAST_S)
        self._kill_at = time.monotonic() + rest
        await self._dispatcher.end(0.5 if self._hurry.is_set() else rest, self._hurry)
        await self._store_rest()
        # A checkpoint of a million files takes seconds.
        rest = 0.0 if self._hurry.is_set() else deadline - time.monotonic()
        await self.supervisor.stop(list(ours), max(_CLOSE_S, rest))
        await self._dispatcher.close(timeout=_CLOSE_S)
        if self.listening is not None:
            await self.listening.aclose()
        self.state = "stopped"
        _LOG.info("stopped after %.1f s", time.monotonic() - begun)

    async def _take_leftovers(self, stopped: list[InputInterface]) -> None:
        """Queue what inputs have found and not queued, behind all that is queued."""
        extra = self._dispatcher.extra
        extra += await self._leftovers(stopped)
        if extra and self.queue.empty():  # the dispatcher may wait for the queue
            with contextlib.suppress(asyncio.QueueFull):
                self.queue.put_nowait(extra.popleft())

    async def _leftovers(self, inputs: list[InputInterface]) -> list[Delivery]:
        """Return what inputs have found and not queued, where no checkpoint keeps it."""
        asked = {
            one: asyncio.create_task(one.leftovers())
            for one in inputs
            if isinstance(one, HasLeftovers)
        }
        if asked:
            await asyncio.wait(asked.values(), timeout=_CLOSE_S)
        found: list[Delivery] = []
        for one, task in asked.items():
            if task.done() and not task.cancelled() and task.exception() is None:
                found += task.result()
                continue
            self.stats.lost += 1
            error = task.exception() if task.done() and not task.cancelled() else None
            task.cancel()
            message = "lost: the events, at least one, that %s had found and not queued"
            _LOG.error(message, one.label, exc_info=error)
        return found

    async def _store_rest(self) -> None:
        """Store what is not processed: in the journal, or as the dead letter that it came from."""
        if self._is_stored:
            return
        unfinished = self._unfinished()
        self._keep_dead_letters(unfinished)
        await self.state_dir.flush()
        await self.state_dir.in_thread(self._store_unfinished, unfinished)
        self._is_stored = True
        if self.replay is not None:
            await self.state_dir.in_thread(self.replay.tidy)

    def _keep_dead_letters(self, unfinished: list[tuple[Delivery, Unfinished]]) -> None:
        if self.replay is not None:
            self.replay.keep(unfinished)
        self._live.keep(unfinished)

    def _unfinished(self) -> list[tuple[Delivery, Unfinished]]:
        return [*self._dispatcher.unfinished(), *self._dispatcher.take_queued()]

    def store_now(self) -> None:
        """Store what is not processed, in the calling thread: the loop does not answer.

        The loop must not be able to go on: the process ends next. After an orderly stop has stored
        everything it does nothing.
        """
        if self._is_stored:
            return
        _LOG.error("the stop was interrupted; storing what is not processed")
        self._is_stored = True
        unfinished = self._unfinished()
        self._keep_dead_letters(unfinished)
        self.state_dir.flush_now()
        self._store_unfinished(unfinished)

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
        if self.options.dry_run or self.replay is not None:
            return
        # What its source delivers again must stay unacknowledged: that would be forgotten there.
        mine = [(found, one) for found, one in unfinished if not found.is_redelivered]
        if self.state_dir.store([one for _, one in mine]):
            for delivery, one in mine:
                if one.entry is None:
                    delivery.finish()


def _is_in(one: object, others: Sequence[object]) -> bool:
    return any(one is other for other in others)


def _log_dry_run(line: str) -> None:
    logging.getLogger("limpet.bot.dry").info("%s", line)
