"""What one behaviour does with one event, step by step.

A v1 behaviour is taken apart, so that a try begins at the step that failed and repeats nothing
before it. One with a ``process`` of its own is one step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mewbot.api import v1
from mewbot.core import BehaviourInterface, OutputEvent

from limpet.bot._dry_run import would, would_say
from limpet.bot.events._action_result import Work, outcome_of
from limpet.bot.runner._behaviour_queue import Job
from limpet.bot.runner._retry import GaveUpError
from limpet.bot.runner._stats import Stats
from limpet.bot.runner._work_journal import Place

__all__ = ["Process", "is_stepwise"]

_LOG: Final = logging.getLogger("limpet.bot.runner")

Send = Callable[[OutputEvent], Awaitable[None]]


def is_stepwise(behaviour: BehaviourInterface) -> bool:
    """Whether a behaviour does what mewbot's own does, and so can be done step by step."""
    return isinstance(behaviour, v1.Behaviour) and type(behaviour).process is v1.Behaviour.process


class Process:
    """One behaviour's way of dealing with events."""

    def __init__(self, behaviour: BehaviourInterface, send: Send, stats: Stats) -> None:
        """Look at what the behaviour has."""
        self._behaviour = behaviour
        self._send = send
        self._stats = stats
        self._parts = behaviour if isinstance(behaviour, v1.Behaviour) else None
        self._stepwise = is_stepwise(behaviour)
        self.timeout: float | None = None

    async def advance(self, job: Job) -> None:
        """Go on where the job is, to its end.

        Raises:
            Exception: A step failed; ``job`` is at that step.
        """
        parts = self._parts
        if parts is None or not self._stepwise:
            await self._whole(job)
            return
        event = job.event
        if job.step == 0:
            for trigger in parts.triggers:
                if trigger.matches(event):
                    break
            else:
                return
            for condition in parts.conditions:
                if getattr(condition, "waits", False):
                    allowed = await asyncio.to_thread(condition.allows, event)
                else:
                    allowed = condition.allows(event)
                if not allowed:
                    return
            job.step = 1
            job.state = Work()
            self._stats.acted += 1
        state = job.state
        assert state is not None  # noqa: S101 - made with the first step
        actions = parts.actions
        while job.step <= len(actions):
            action = actions[job.step - 1]
            if would_say.get() is not None and not _is_ours(action):
                would(f"run the action {_name(action)}, which is not limpet's")
            elif self.timeout is None:
                await self._act(action.act(event, state))
            else:
                async with asyncio.timeout(self.timeout):
                    await self._act(action.act(event, state))
            job.step += 1

    def place(self, job: Job) -> Place | None:
        """Say how far a job is, for the journal."""
        if self._parts is None or not self._stepwise or job.step == 0:
            return None
        state = {key: one for key, one in (job.state or {}).items() if key != "limpet.outcome"}
        return Place(job.step, self._actions(), state)

    def go_on(self, job: Job, place: Place | None) -> None:
        """Put a job where it was at the last stop, if the behaviour is still the same."""
        if place is None or not self._stepwise or place.actions != self._actions():
            return
        job.step, job.state = place.step, Work(place.state)

    def _actions(self) -> tuple[str, ...]:
        assert self._parts is not None  # noqa: S101 - stepwise
        return tuple(_name(action) for action in self._parts.actions)

    async def clean_up(self, job: Job, error: BaseException) -> None:
        """After it failed for good: run the later actions that are there for failures."""
        if self._parts is None or not self._stepwise or job.step == 0:
            return
        state = job.state
        assert state is not None  # noqa: S101 - made with the first step
        outcome_of(state).fail(error)
        for action in self._parts.actions[job.step :]:
            if not getattr(action, "after_failure", False):
                continue
            try:
                await self._act(action.act(job.event, state))
            except Exception as second:  # noqa: BLE001 - whatever it is, the next has its turn
                cause = second.__cause__ if isinstance(second, GaveUpError) else second
                _LOG.error("after the failure, %s failed too: %s", _name(action), cause)

    def step_name(self, job: Job) -> str:
        """Say at which step a job is."""
        if self._parts is None or not self._stepwise:
            return "process"
        if job.step == 0:
            return "triggers and conditions"
        return f"action {job.step} ({_name(self._parts.actions[job.step - 1])})"

    async def _whole(self, job: Job) -> None:
        if would(f"run the behaviour {_name(self._behaviour)}, which is not limpet's"):
            return
        self._stats.acted += 1
        async with asyncio.timeout(self.timeout):
            await self._act(self._behaviour.process(job.event))

    async def _act(self, outputs: Any) -> None:  # noqa: ANN401 - mewbot's types call it otherwise
        """Send what an action asks for, as it asks for it."""
        try:
            async for output in outputs:
                if output:
                    await self._send(output)
        except BaseException:
            closing = getattr(outputs, "aclose", None)
            if closing is not None:
                await closing()
            raise


def _is_ours(component: object) -> bool:
    return type(component).__module__.startswith("limpet.bot.")


def _name(component: object) -> str:
    kind = type(component)
    return f"{kind.__module__}.{kind.__qualname__}".replace("._", ".")
