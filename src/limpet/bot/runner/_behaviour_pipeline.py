"""What one behaviour does with one event: triggers and conditions, then its actions.

A behaviour of mewbot's API v1 runs step by step, so that a failing action repeats nothing before
it. A behaviour with a ``process`` of its own is a single step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mewbot.api import v1
from mewbot.core import BehaviourInterface, InputEvent, OutputEvent

from limpet._error_text import error_text
from limpet.bot._containment import ends_task
from limpet.bot._dry_run import dry_run_report, report_dry_run
from limpet.bot.events._action_result import ActionState, outcome_of
from limpet.bot.events._event_codec import public_name
from limpet.bot.runner._behaviour_queue import Task
from limpet.bot.runner._event_rate import EventRate
from limpet.bot.runner._retry import GaveUpError
from limpet.bot.runner._stats import Stats
from limpet.bot.runner._work_journal import Progress

_LOG: Final = logging.getLogger("limpet.bot.runner")

Send = Callable[[OutputEvent], Awaitable[None]]


def is_stepwise(behaviour: BehaviourInterface) -> bool:
    """Return whether a behaviour does what mewbot's own does, and so can run step by step."""
    return isinstance(behaviour, v1.Behaviour) and type(behaviour).process is v1.Behaviour.process


class BehaviourPipeline:
    """Triggers, conditions and actions of one behaviour."""

    def __init__(
        self,
        behaviour: BehaviourInterface,
        send: Send,
        stats: Stats,
        *,
        label: str,
        timeout: float | None,
        loop_limit: int | None,
    ) -> None:
        self._behaviour = behaviour
        self._send = send
        self._stats = stats
        self._timeout = timeout
        self._loops = EventRate(label, loop_limit, stats)
        self._v1 = behaviour if isinstance(behaviour, v1.Behaviour) else None
        self._stepwise = is_stepwise(behaviour)
        self.is_ending = False
        """Set when the bot stops: no further step is begun, even if an action has swallowed its
        cancellation, because the step is stored for the next start."""

    async def advance(self, task: Task) -> bool:
        """Run a task from its current step to its end.

        Returns:
            Whether its actions ran; False if no trigger matched, or a condition did not pass.

        Raises:
            BaseException: A step failed with whatever it raised; ``task`` is at that step.
        """
        behaviour = self._v1
        if behaviour is None or not self._stepwise:
            await self._run_whole(task)
            return True
        event = task.event
        if task.step == 0:
            for trigger in behaviour.triggers:
                if trigger.matches(event):
                    break
            else:
                return False
            for condition in behaviour.conditions:
                if getattr(condition, "waits", False):
                    allowed = await asyncio.to_thread(_allows, condition, event)
                else:
                    allowed = condition.allows(event)
                if not allowed:
                    return False
            await self._loops.admit(event)
            task.step = 1
            task.state = ActionState()
            self._stats.acted += 1
        state = task.state
        assert state is not None  # noqa: S101 - set with the first step
        actions = behaviour.actions
        while task.step <= len(actions):
            if self.is_ending:
                raise asyncio.CancelledError
            action = actions[task.step - 1]
            if dry_run_report.get() is not None and not _is_ours(action):
                report_dry_run(f"run the action {_name(action)}, which is not limpet's")
            elif self._timeout is None:
                await self._act(action.act(event, state), action)
            else:
                async with asyncio.timeout(self._timeout):
                    await self._act(action.act(event, state), action)
            task.step += 1
        return True

    def progress(self, task: Task) -> Progress | None:
        """Return the progress of a task for the journal; ``None`` is at the beginning."""
        if self._v1 is None or not self._stepwise or task.step == 0:
            return None
        state = {key: one for key, one in (task.state or {}).items() if key != "limpet.outcome"}
        return Progress(task.step, self._action_names(), state)

    def resume(self, task: Task, progress: Progress | None) -> None:
        """Set a task to its progress at the last stop, if the behaviour is still the same."""
        if progress is None:
            return
        is_same = self._stepwise and progress.actions == self._action_names()
        if is_same and 1 <= progress.step <= len(progress.actions):
            task.step, task.state = progress.step, ActionState(progress.state)
        else:
            _LOG.warning("the actions of a stored event are others now: it starts at the first")

    async def clean_up(self, task: Task, error: BaseException) -> None:
        """Run the later actions that are meant for failures, after a task failed for good."""
        if self._v1 is None or not self._stepwise or task.step == 0:
            return
        state = task.state
        assert state is not None  # noqa: S101 - set with the first step
        outcome_of(state).fail(error)
        for action in self._v1.actions[task.step :]:
            if not getattr(action, "after_failure", False):
                continue
            try:
                await self._act(action.act(task.event, state), action)
            except BaseException as second:
                if ends_task(second):
                    raise
                cause = second.__cause__ if isinstance(second, GaveUpError) else second
                text = error_text(cause if cause is not None else second)
                _LOG.error("after the failure, %s failed too: %s", _name(action), text)

    def step_name(self, task: Task) -> str:
        """Return the name of a task's current step, for messages."""
        if self._v1 is None or not self._stepwise:
            return "process"
        if not 1 <= task.step <= len(self._v1.actions):
            return "triggers and conditions"
        return f"action {task.step} ({_name(self._v1.actions[task.step - 1])})"

    def _action_names(self) -> tuple[str, ...]:
        assert self._v1 is not None  # noqa: S101 - stepwise
        return tuple(public_name(type(action)) for action in self._v1.actions)

    async def _run_whole(self, task: Task) -> None:
        if report_dry_run(f"run the behaviour {_name(self._behaviour)}, which is not limpet's"):
            return
        await self._loops.admit(task.event)
        self._stats.acted += 1
        async with asyncio.timeout(self._timeout):
            await self._act(self._behaviour.process(task.event), self._behaviour)

    async def _act(self, outputs: Any, action: object) -> None:  # noqa: ANN401 - mewbot's types
        """Send each output of an action as soon as it is yielded."""
        del action  # for who makes spans
        try:
            async for output in outputs:
                if output:
                    await self._send(output)
        except BaseException:
            closing = getattr(outputs, "aclose", None)
            if closing is not None:
                await closing()
            raise


def _allows(condition: Any, event: InputEvent) -> bool:  # noqa: ANN401 - any condition
    """Ask a condition, in a thread.

    A future cannot hold ``StopIteration``: Python 3.11 would wait for this one for ever. And a
    coroutine into which a future throws ``GeneratorExit`` is closed.
    """
    try:
        return bool(condition.allows(event))
    except (StopIteration, GeneratorExit) as error:
        message = f"{_name(condition)} raised {type(error).__name__}"
        raise RuntimeError(message) from error


def _is_ours(component: object) -> bool:
    return type(component).__module__.startswith("limpet.bot.")


def _name(component: object) -> str:
    return public_name(type(component)).replace(":", ".")
