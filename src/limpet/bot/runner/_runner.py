"""The runner: starts a bot's parts in order, swaps changed ones in, and ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Final

from mewbot.core import InputInterface

from limpet.bot._components import Parts
from limpet.bot._dry_run import would_say
from limpet.bot.io._event_queue import EventQueue
from limpet.bot.io._filesystem_input import FileSystemInput
from limpet.bot.io._limpet_input import OwnInput
from limpet.bot.runner._behaviour_queue import Delivery, Lane
from limpet.bot.runner._event_dispatcher import Crew
from limpet.bot.runner._health import HealthServer
from limpet.bot.runner._hot_reload import adopt
from limpet.bot.runner._input_supervisor import Supervisor
from limpet.bot.runner._load_components import BotLike, parts_of
from limpet.bot.runner._run_options import RunOptions
from limpet.bot.runner._state_dir import Keep
from limpet.bot.runner._stats import Stats
from limpet.bot.runner._work_journal import Entry, Left

__all__ = ["Runner"]

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
        self.state = "starting"
        """``starting``, ``running``, ``reloading``, ``draining`` or ``stopped``."""
        self.queue = EventQueue(self.options.queue)
        self.keep = Keep(self.options.state_dir, dry=self.options.dry_run)
        self.supervisor = Supervisor(self.queue, self.stats, on_end=self._look_for_end)
        self.ready = asyncio.Event()
        """Set once all inputs were started."""
        self._crew = self._make_crew(self.parts)
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._turn = asyncio.Lock()
        """Held while parts are swapped, and while all is ended."""

    @property
    def lanes(self) -> list[Lane]:
        """What waits for each behaviour, in the order of the file."""
        return self._crew.lanes

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is worked on."""
        return self._crew.is_idle

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

    async def reload(self, bot: BotLike) -> None:
        """Swap another bot in, or the same one changed; nothing that is queued is lost.

        What is worked on is finished, for as long as ``drain``; then it is gone on with by the new
        behaviour of the same uuid. Inputs that are in both go on.

        Raises:
            UsageError: It is wrong; the bot goes on as it is.
        """
        parts = await asyncio.to_thread(parts_of, bot)
        async with self._turn:
            if self.state == "running":
                await self._swap(parts)

    async def _swap(self, parts: Parts) -> None:
        self.state = "reloading"
        new, old = adopt(self.parts, parts), self._crew
        staying = new.inputs()
        leaving = [one for one in self.supervisor.inputs if not _is_in(one, staying)]
        await old.pause()
        await self._wait_for_lanes(old)
        await old.end(_CLEAN_UP_S)
        await self.supervisor.stop(leaving, 5.0)
        self.parts, self._crew = new, self._make_crew(new)
        self._crew.start()
        for delivery, left in old.left():
            lane = self._crew.lane_of(left.behaviour)
            if lane is not None:
                self._crew.take_over(delivery, lane, left.place)
            else:
                await self._crew.bury_orphan(left.event, left.behaviour)
                delivery.done()
        self._crew.dispatch()
        await old.close(but=self._crew.sender.outputs)
        for one in staying:
            if not _is_in(one, self.supervisor.inputs):
                self._start_input(one)
        self.state = "running"
        self.stats.reloads += 1

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
        self._crew.start()
        self._crew.dispatch()
        if self.entries is not None:
            await self._crew.feed(self.entries)
        else:
            # What the last stop has left, before anything new.
            await self._crew.feed(await asyncio.to_thread(self.keep.load))
            for one in self.parts.inputs():
                self._start_input(one)
        self.state = "running"
        self.ready.set()
        _LOG.info("running: %d inputs, %d behaviours", len(self.supervisor.inputs), len(self.lanes))
        self._look_for_end()

    def _start_input(self, one: InputInterface) -> None:
        if isinstance(one, FileSystemInput):
            one.opening.read_only = self.options.dry_run
        self.supervisor.start(one)

    def _make_crew(self, parts: Parts) -> Crew:
        return Crew(
            parts, self.options, self.queue, self.keep, self.stats, on_idle=self._look_for_end
        )

    def _look_for_end(self) -> None:
        if not self._crew.is_idle:
            return
        self._idle.set()
        if self.options.until_done and self.ready.is_set() and self.supervisor.all_ended:
            self._stopping.set()

    async def _wait_for_lanes(self, crew: Crew) -> None:
        end = time.monotonic() + self.options.drain
        while time.monotonic() < end and not crew.are_lanes_idle:
            if self._stopping.is_set():
                return
            await asyncio.sleep(0.01)

    # -- stopping ------------------------------------------------------------------------------

    async def _shut_down(self) -> None:
        """Do what is queued while there is time, keep the rest, and close everything."""
        async with self._turn:
            await self._end_in_order()

    async def _end_in_order(self) -> None:
        self.state = "draining"
        begun = time.monotonic()
        ours = [one for one in self.supervisor.inputs if isinstance(one, FileSystemInput)]
        late = [one for one in self.supervisor.inputs if isinstance(one, OwnInput)]
        others = [one for one in self.supervisor.inputs if not _is_in(one, late)]
        self.supervisor.quiesce()
        # Theirs may still put what they have in hand while they clean up.
        await self.supervisor.stop(others, 0.0 if self._hurry.is_set() else 2.0)
        await self._take_leftovers(ours)
        self.queue.close()
        await self._drain(self.options.drain - (time.monotonic() - begun))
        await self._crew.end(0.5 if self._hurry.is_set() else _CLEAN_UP_S)
        left = [*self._crew.left(), *self._crew.queued()]
        await self.keep.settled()
        await asyncio.to_thread(self._keep_left, left)
        await self.supervisor.stop(list(late), 10.0)
        await self._crew.close()
        if self.health is not None:
            await self.health.stop()
        self.state = "stopped"
        _LOG.info("stopped after %.1f s", time.monotonic() - begun)

    async def _take_leftovers(self, ours: list[FileSystemInput]) -> None:
        """Queue what our inputs have found and not told, where no state file keeps it."""
        extra = self._crew.extra
        for one in ours:
            try:
                async with asyncio.timeout(2.0):
                    extra += await one.leftovers()
            except Exception:  # noqa: BLE001 - whatever it is, the rest is kept
                _LOG.exception("what %s had found and not told is lost", one.label)
        if extra and self.queue.empty():  # the dispatcher may wait there
            with contextlib.suppress(asyncio.QueueFull):
                self.queue.put_nowait(extra.popleft())

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

    def _keep_left(self, left: list[tuple[Delivery, Left]]) -> None:
        """Put what is not done into the journal; then nobody need tell it again."""
        if self.options.dry_run:
            return
        if self.keep.write([what for one, what in left if not one.is_told_again]):
            for one, _ in left:
                if one.entry is None:
                    one.done()


def _is_in(one: object, others: Sequence[object]) -> bool:
    return any(one is other for other in others)


def _say(line: str) -> None:
    logging.getLogger("limpet.bot.dry").info("%s", line)
