"""Keep inputs running: one that fails is restarted after a growing delay, and logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from mewbot.core import InputInterface

from limpet._error_text import error_text
from limpet.bot._restart import FIRST_S, run_again
from limpet.bot.io._event_queue import EventQueue
from limpet.bot.io._filesystem_input import FileSystemInput
from limpet.bot.io._limpet_input import LimpetInput
from limpet.bot.runner._stats import Stats
from limpet.errors import LimpetError

_LOG: Final = logging.getLogger("limpet.bot.runner")


class InputSupervisor:
    """The inputs of a bot, each in a task of its own."""

    def __init__(
        self, queue: EventQueue, stats: Stats, *, on_end: Callable[[], None], first: float = FIRST_S
    ) -> None:
        self._queue = queue
        self._stats = stats
        self._on_end = on_end
        self._first = first
        self._tasks: dict[InputInterface, asyncio.Task[None]] = {}
        self._is_quiet = False
        self.down: dict[str, str] = {}
        """Inputs that failed and wait for their restart -> the reason."""

    @property
    def inputs(self) -> list[InputInterface]:
        return list(self._tasks)

    @property
    def all_ended(self) -> bool:
        """Return whether every input has ended by itself, or is idle."""
        return all(
            task.done() or (isinstance(one, FileSystemInput) and one.is_idle)
            for one, task in self._tasks.items()
        )

    def start(self, one: InputInterface) -> None:
        task = asyncio.create_task(self._run(one), name=f"input {type(one).__name__}")
        task.add_done_callback(lambda _: self._on_end())
        self._tasks[one] = task

    def quiesce(self) -> None:
        """Let limpet's own inputs deliver no more, though they still notice changes."""
        self._is_quiet = True
        for one in self._tasks:
            if isinstance(one, LimpetInput):
                one.quiesce()

    async def stop(self, inputs: list[InputInterface], timeout: float) -> None:
        """End inputs, and wait at most ``timeout`` seconds for their clean-up."""
        tasks = {one: self._tasks.pop(one) for one in inputs if one in self._tasks}
        for task in tasks.values():
            task.cancel()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks.values(), timeout=timeout)
        for one, task in tasks.items():
            if task in late:
                _LOG.warning("%s did not end within %g s; not waiting", type(one).__name__, timeout)

    async def _run(self, one: InputInterface) -> None:
        name = one.label if isinstance(one, LimpetInput) else type(one).__name__
        is_bound = False

        async def run() -> None:
            nonlocal is_bound
            if self._is_quiet and isinstance(one, LimpetInput):
                return  # it failed while the bot stops: nothing more is delivered
            if not is_bound:
                one.bind(self._queue)
                is_bound = True
            self.down.pop(name, None)
            await one.run()

        def report(error: BaseException, delay: float) -> None:
            self._stats.restarts += 1
            self.down[name] = f"{type(error).__name__}: {error_text(error)}"
            known = isinstance(one, LimpetInput) and isinstance(error, LimpetError | OSError)
            message = "the input %s failed and restarts in %.1f s: %s"
            exc_info = None if known else error
            _LOG.error(message, name, delay, error_text(error), exc_info=exc_info)

        try:
            await run_again(run, report, first=self._first)
            _LOG.info("the input %s has ended; its events are still being processed", name)
        finally:
            if isinstance(one, FileSystemInput):
                one.handover.clean()
