"""Run the tasks of one behaviour: retry what may succeed, and give up into a dead letter.

Whatever a component raises is the failure of one step of one event (see ``_containment``). A worker
that ends nevertheless, because somebody cancelled it, is started again; for the event in its hands
that was one try, so that one event cannot end the workers for ever.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from mewbot.core import InputEvent

from limpet._backoff import Backoff
from limpet._dead_letter import MOST_TRIES, failed_try
from limpet._error_text import error_text
from limpet.bot._containment import ends_task
from limpet.bot._delivery import Earlier, Fate
from limpet.bot._restart import FIRST_S, LONGEST_S
from limpet.bot.events._action_result import outcome_of
from limpet.bot.events._input_events import FileSystemInputEvent
from limpet.bot.runner._activity import Activity
from limpet.bot.runner._behaviour_pipeline import BehaviourPipeline
from limpet.bot.runner._behaviour_queue import BehaviourQueue, Task
from limpet.bot.runner._dead_letters import dead_letter_line
from limpet.bot.runner._retry import GaveUpError, RetryPolicy, is_worth_retrying
from limpet.bot.runner._state_dir import StateDir
from limpet.bot.runner._stats import Stats

SLICE_S: Final = 0.005
"""A worker that never waits yields to the loop after this time: it is the latency of others."""

_LOG: Final = logging.getLogger("limpet.bot.runner")


class Finisher(Protocol):
    """What ends the span of a task."""

    def finish(self, task: Task, fate: Fate | None) -> None:
        """End it with what became of the task."""


class WorkerEndedError(RuntimeError):
    """A worker has ended with an event in its hands: somebody cancelled it, or it has a fault."""


class BehaviourWorker:
    """Runs one behaviour's tasks, as many at once as its queue allows."""

    def __init__(
        self,
        queue: BehaviourQueue,
        pipeline: BehaviourPipeline,
        retry: RetryPolicy,
        state_dir: StateDir,
        stats: Stats,
        *,
        activity: Activity | None = None,
        first: float = FIRST_S,
    ) -> None:
        self.queue = queue
        self._activity = activity
        self.pipeline = pipeline
        self._retry = retry
        self._state_dir = state_dir
        self._stats = stats
        self._on_idle: Callable[[], None] = lambda: None
        self._backoff = Backoff(first, LONGEST_S)
        self.traced: Finisher | None = None
        """Gets what became of each task, for its span."""
        self.loops: set[asyncio.Task[None]] = set()
        """What runs the tasks; cancelled, it leaves the tasks it works on in the queue."""
        self._done_before = 0
        """Events that were done when a worker ended last: none since means that nothing works."""
        self.down: str | None = None
        """Why a worker has ended that is not started again yet."""

    def start(self, on_idle: Callable[[], None]) -> None:
        """Start to work; ``on_idle`` is called whenever the queue becomes idle."""
        self._on_idle = on_idle
        for _ in range(self.queue.workers):
            self._start(self._work())

    def end(self) -> None:
        """Cancel what runs; the steps in progress are the last."""
        self.pipeline.is_ending = True
        for loop in self.loops:
            loop.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"behaviour {self.queue.name}")
        self.loops.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, loop: asyncio.Task[None]) -> None:
        """Start a worker again that has ended though the bot goes on."""
        self.loops.discard(loop)
        task = next((one for one in self.queue.active if one.worker is loop), None)
        error = None if loop.cancelled() else loop.exception()
        if self.pipeline.is_ending:
            return
        reason = "it was cancelled" if error is None else f"{type(error).__name__}: "
        reason += "" if error is None else error_text(error)
        if self._stats.done > self._done_before:
            self._backoff.reset()
        self._done_before = self._stats.done
        delay = self._backoff.next()
        self._stats.worker_restarts += 1
        self.down = reason
        message = "a worker of the behaviour %s has ended and restarts in %.1f s: %s"
        _LOG.error(message, self.queue.name, delay, reason, exc_info=error)
        self._start(self._work(delay, task, WorkerEndedError(f"its worker has ended: {reason}")))

    async def _work(
        self, delay: float = 0.0, first: Task | None = None, ended: Exception | None = None
    ) -> None:
        """Run tasks; first, after a delay, the one at which the worker before this has ended."""
        queue, pipeline = self.queue, self.pipeline
        this = asyncio.current_task()
        assert this is not None  # noqa: S101 - a task runs this
        if first is not None:
            first.worker = this
        await asyncio.sleep(delay)
        if ended is not None:
            self.down = None
            if first is not None:
                fate = Fate.FAILED if first.is_dead else await self._retry_step(first, ended)
                self._finish(first, fate)
        failure: BaseException | None = None
        fate = Fate.FAILED
        begun = now = time.monotonic()
        while not pipeline.is_ending:  # an action may have swallowed the cancellation
            waits = not queue.ready
            task = await queue.get()
            if waits:  # else the time is that of the task before
                now = time.monotonic()
            task.worker, taken = this, now
            try:
                fate = Fate.DONE if await pipeline.advance(task) else Fate.SKIPPED
            except BaseException as error:
                # What fails while the bot stops was interrupted, whatever it makes of that.
                if pipeline.is_ending or ends_task(error):
                    raise
                failure = error
            if failure is not None:  # not above: a later failure would have it as its context
                fate, failure = await self._retry_step(task, failure), None
            self._finish(task, fate)
            now = time.monotonic()
            if now - taken > queue.slowest:  # noqa: PLR1730 - a call of max() for each event
                queue.slowest = now - taken
            if now - begun > SLICE_S:
                await asyncio.sleep(0)
                begun = now

    def _finish(self, task: Task, fate: Fate) -> None:
        queue, delivery = self.queue, task.delivery
        if fate is Fate.DONE:
            self._stats.done += 1
            queue.done += 1
        elif fate is Fate.SKIPPED:
            self._stats.skipped += 1
            queue.skipped += 1
        if self._activity is not None:
            self._activity.finished(queue.name, delivery, fate)
        if self.traced is not None:
            self.traced.finish(task, fate)
        queue.finish(task)
        delivery.fate = fate
        delivery.finish()
        if queue.is_idle:
            self._on_idle()

    async def _retry_step(self, task: Task, error: BaseException) -> Fate:
        """Retry a failed step and those after it, and give up in the end."""
        retry, pipeline = self._retry, self.pipeline
        while True:
            step = pipeline.step_name(task)
            tries = error.tries if isinstance(error, GaveUpError) else [failed_try(step, error)]
            task.tries = [*(task.tries or ()), *tries][-MOST_TRIES:]
            if task.attempt >= retry.attempts or not is_worth_retrying(error):
                await self._give_up(task, step, error)
                return Fate.FAILED
            known = isinstance(error, OSError | TimeoutError | RuntimeError)
            _LOG.warning(
                "behaviour %s, %s, failed (try %d): %s",
                self.queue.name,
                step,
                task.attempt,
                error_text(error),
                exc_info=None if known else error,
            )
            self._stats.retries += 1
            self.queue.retried += 1
            if self._activity is not None:
                tried = f"{step}, try {task.attempt}: {error_text(error)}"
                self._activity.retried(self.queue.name, task.delivery, tried)
            await asyncio.sleep(retry.delay_after(task.attempt))
            task.attempt += 1
            failed_step = task.step
            try:
                return Fate.DONE if await pipeline.advance(task) else Fate.SKIPPED
            except BaseException as again:
                if pipeline.is_ending or ends_task(again):
                    raise
                error = again
                if task.step != failed_step:
                    task.attempt = 1

    async def _give_up(self, task: Task, step: str, error: BaseException) -> None:
        self._stats.failed += 1
        self.queue.failed += 1
        output, attempts, cause = None, task.attempt, error
        if isinstance(error, GaveUpError) and error.__cause__ is not None:
            output, attempts, cause = error.output, len(error.tries), error.__cause__
        name = self.queue.name
        text = error_text(cause)
        tries = f"{attempts} {'try' if attempts == 1 else 'tries'}"
        _LOG.error("behaviour %s, %s, gave up after %s: %s", name, step, tries, text)
        task.is_dead = True
        if self._activity is not None:
            reason = f"{step}, after {tries}: {text}"
            self._activity.gave_up(name, task.delivery, reason)
        before = task.delivery.dead_letter or Earlier(os.urandom(8).hex(), ())
        progress = self.pipeline.progress(task)

        def line(event: InputEvent) -> str:
            return dead_letter_line(
                event, behaviour=self.queue.ident, name=name, step=step, attempts=attempts,
                error=cause, output=output, progress=progress, ident=before.ident,
                tries=[*before.tries, *(task.tries or ())],
            )  # fmt: skip

        written = line(task.event)
        await self._state_dir.write_dead_letter(written)
        await self.pipeline.clean_up(task, cause)
        moved = None if task.state is None else outcome_of(task.state).moved
        if moved is not None and isinstance(task.event, FileSystemInputEvent):
            # The same dead letter, which now knows where the file is.
            await self._state_dir.write_dead_letter(line(task.event.at(moved)), replaces=written)
