"""Keeps inputs running: one that dies is started again, later each time, and said loudly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from mewbot.core import InputInterface

from limpet.bot.io._event_queue import EventQueue
from limpet.bot.io._filesystem_input import FileSystemInput
from limpet.bot.io._limpet_input import OwnInput
from limpet.bot.runner._stats import Stats

__all__ = ["Supervisor"]

FIRST_S: Final = 1.0
"""Wait before an input that died is started again; twice as long each time."""

LONGEST_S: Final = 60.0
"""The longest such wait; an input that ran for as long begins with the first again."""

_LOG: Final = logging.getLogger("limpet.bot.runner")


class Supervisor:
    """The inputs of a bot, each in a task of its own."""

    def __init__(
        self, queue: EventQueue, stats: Stats, *, on_end: Callable[[], None], first: float = FIRST_S
    ) -> None:
        """Start with none."""
        self._queue = queue
        self._stats = stats
        self._on_end = on_end
        self._first = first
        self._tasks: dict[InputInterface, asyncio.Task[None]] = {}
        self.down: dict[str, str] = {}
        """Inputs that died and wait to be started again -> why."""

    @property
    def inputs(self) -> list[InputInterface]:
        """Those there are, in order."""
        return list(self._tasks)

    @property
    def all_ended(self) -> bool:
        """Whether every one has ended by itself, or has nothing to tell of."""
        return all(
            task.done() or (isinstance(one, FileSystemInput) and one.has_nothing)
            for one, task in self._tasks.items()
        )

    def start(self, one: InputInterface) -> None:
        """Start an input."""
        one.bind(self._queue)
        task = asyncio.create_task(self._run(one), name=f"input {type(one).__name__}")
        task.add_done_callback(lambda _: self._on_end())
        self._tasks[one] = task

    def quiesce(self) -> None:
        """Have limpet's own inputs hand out no more, though they go on to see what happens."""
        for one in self._tasks:
            if isinstance(one, OwnInput):
                one.quiesce()

    async def stop(self, which: list[InputInterface], patience: float) -> None:
        """End inputs, and wait so long for them to clean up after themselves."""
        tasks = {one: self._tasks.pop(one) for one in which if one in self._tasks}
        for task in tasks.values():
            task.cancel()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks.values(), timeout=patience)
        for one, task in tasks.items():
            if task in late:
                _LOG.warning("%s did not end in %g s; it is left", type(one).__name__, patience)

    async def _run(self, one: InputInterface) -> None:
        name, wait = type(one).__name__, self._first
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            try:
                self.down.pop(name, None)
                await one.run()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is started again
                wait = self._first if loop.time() - begun > LONGEST_S else wait
                self._stats.restarts += 1
                self.down[name] = f"{type(error).__name__}: {error}"
                _LOG.exception("the input %s died; it is started again in %g s", name, wait)
            else:
                _LOG.info("the input %s has ended; what it has started goes on", name)
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_S)
            one.bind(self._queue)
