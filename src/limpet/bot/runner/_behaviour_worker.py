"""Run the tasks of one behaviour: retry what may succeed, and give up into a dead letter."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from limpet.bot.runner._behaviour_pipeline import BehaviourPipeline
from limpet.bot.runner._behaviour_queue import BehaviourQueue, Task
from limpet.bot.runner._dead_letters import dead_letter_line
from limpet.bot.runner._retry import GaveUpError, RetryPolicy, is_worth_retrying
from limpet.bot.runner._state_dir import StateDir
from limpet.bot.runner._stats import Stats

SLICE_S: Final = 0.005
"""A worker that never waits yields to the loop after this time: it is the latency of others."""

_LOG: Final = logging.getLogger("limpet.bot.runner")


class BehaviourWorker:
    """Runs one behaviour's tasks, as many at once as its queue allows."""

    def __init__(
        self,
        queue: BehaviourQueue,
        pipeline: BehaviourPipeline,
        retry: RetryPolicy,
        state_dir: StateDir,
        stats: Stats,
    ) -> None:
        self.queue = queue
        self.pipeline = pipeline
        self._retry = retry
        self._state_dir = state_dir
        self._stats = stats
        self.loops: list[asyncio.Task[None]] = []
        """What runs the tasks; cancelled, it leaves the tasks it works on in the queue."""

    def start(self, on_idle: Callable[[], None]) -> None:
        """Start to work; ``on_idle`` is called whenever the queue becomes idle."""
        name = f"behaviour {self.queue.name}"
        self.loops = [
            asyncio.create_task(self._work(on_idle), name=name) for _ in range(self.queue.workers)
        ]

    async def _work(self, on_idle: Callable[[], None]) -> None:
        queue, pipeline, stats = self.queue, self.pipeline, self._stats
        begun = time.monotonic()
        while True:
            task = await queue.get()
            try:
                await pipeline.advance(task)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other tasks go on
                await self._retry_step(task, error)
            stats.done += 1
            queue.finish(task)
            task.delivery.finish()
            if queue.is_idle:
                on_idle()
            if (now := time.monotonic()) - begun > SLICE_S:
                await asyncio.sleep(0)
                begun = now

    async def _retry_step(self, task: Task, error: Exception) -> None:
        """Retry a failed step and those after it, and give up in the end."""
        retry, pipeline = self._retry, self.pipeline
        while True:
            step = pipeline.step_name(task)
            if task.attempt >= retry.attempts or not is_worth_retrying(error):
                await self._give_up(task, step, error)
                return
            known = isinstance(error, OSError | TimeoutError | RuntimeError)
            _LOG.warning(
                "behaviour %s, %s, failed (try %d): %s",
                self.queue.name,
                step,
                task.attempt,
                error,
                exc_info=None if known else error,
            )
            self._stats.retries += 1
            await asyncio.sleep(retry.delay_after(task.attempt))
            task.attempt += 1
            failed_step = task.step
            try:
                await pipeline.advance(task)
            except Exception as again:  # noqa: BLE001 - as above
                error = again
                if task.step != failed_step:
                    task.attempt = 1
            else:
                return

    async def _give_up(self, task: Task, step: str, error: Exception) -> None:
        self._stats.failed += 1
        output, attempts, cause = None, task.attempt, error
        if isinstance(error, GaveUpError) and isinstance(error.__cause__, Exception):
            output, attempts, cause = error.output, error.attempts, error.__cause__
        name = self.queue.name
        _LOG.error("behaviour %s, %s, gave up after %d tries: %s", name, step, attempts, cause)
        task.is_dead = True
        line = dead_letter_line(
            task.event, behaviour=self.queue.ident, name=name, step=step, attempts=attempts,
            error=cause, output=output,
        )  # fmt: skip
        await self._state_dir.write_dead_letter(line)
        await self.pipeline.clean_up(task, cause)
