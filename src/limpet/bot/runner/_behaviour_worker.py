"""Works on the jobs of one lane: tries again what may go well, and gives up into a dead letter."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from limpet.bot.runner._behaviour_pipeline import Process
from limpet.bot.runner._behaviour_queue import Job, Lane
from limpet.bot.runner._retry import GaveUpError, Patience, helps
from limpet.bot.runner._state_dir import Keep
from limpet.bot.runner._stats import Stats

__all__ = ["SLICE_S", "Worker"]

SLICE_S: Final = 0.005
"""Who never waits lets others run after so long: a loop's other callbacks see that as latency."""

_LOG: Final = logging.getLogger("limpet.bot.runner")


class Worker:
    """One behaviour's jobs, done by as many tasks as the lane has workers."""

    def __init__(
        self, lane: Lane, process: Process, patience: Patience, keep: Keep, stats: Stats
    ) -> None:
        """Know whose work it is, and where what fails goes."""
        self.lane = lane
        self.process = process
        self._patience = patience
        self._keep = keep
        self._stats = stats
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, on_idle: Callable[[], None]) -> None:
        """Begin; ``on_idle`` is called when the lane has nothing to do any more."""
        name = f"behaviour {self.lane.name}"
        self._tasks = [
            asyncio.create_task(self._work(on_idle), name=name) for _ in range(self.lane.workers)
        ]

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The tasks that work; cancelled, they leave what they work on to the lane."""
        return self._tasks

    async def _work(self, on_idle: Callable[[], None]) -> None:
        lane, process, stats = self.lane, self.process, self._stats
        begun = time.monotonic()
        while True:
            job = await lane.take()
            try:
                await process.advance(job)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                await self._struggle(job, error)
            stats.done += 1
            lane.finish(job)
            job.delivery.done()
            if lane.is_idle:
                on_idle()
            if (now := time.monotonic()) - begun > SLICE_S:
                await asyncio.sleep(0)
                begun = now

    async def _struggle(self, job: Job, error: Exception) -> None:
        """A step failed: try it again, and give up in the end."""
        patience, process = self._patience, self.process
        while True:
            step = process.step_name(job)
            if job.attempt >= patience.attempts or not helps(error):
                await self._give_up(job, step, error)
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
            self._stats.retries += 1
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

    async def _give_up(self, job: Job, step: str, error: Exception) -> None:
        self._stats.failed += 1
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
        await self._keep.bury(
            job.event, job.lane.ident, job.lane.name, step, attempts, cause, output
        )
        await self.process.clean_up(job, cause)
