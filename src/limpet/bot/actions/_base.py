"""The base of limpet's actions: a failure ends the bot under neither runner."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from mewbot.api.v1 import Action, InputEvent, OutputEvent

from limpet.bot.compat._mewbot_failures import contained_steps
from limpet.bot.events._action_result import ActionState, Outcome, outcome_of
from limpet.bot.settings._setting import Configured
from limpet.bot.settings._template_fields import Fields


class LimpetAction(Configured, Action):
    """An action that raises under limpet's runner; under mewbot's own, it logs the failure.

    There an exception would end the bot. So it is noted in the outcome that the actions of one
    event share, and limpet's later actions do nothing, except for those with ``after_failure``.
    """

    after_failure: ClassVar[bool] = False
    """Whether it acts even though an earlier action has failed."""

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Accept any event."""
        return {InputEvent}

    @staticmethod
    def produces_outputs() -> set[type[OutputEvent]]:
        return set()

    async def act(
        self, event: InputEvent, state: dict[str, Any]
    ) -> AsyncIterator[OutputEvent | None]:
        """Do the work."""
        outcome = outcome_of(state)
        if outcome.error is not None and not self.after_failure:
            return
        steps = self.steps(event, state, outcome)
        if not isinstance(state, ActionState):  # mewbot's own runner
            steps = contained_steps(steps, type(self).__name__, event, outcome)
        async for output in steps:
            yield output

    @abstractmethod
    def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        """Do the work, and yield the outputs it requests."""

    def fields(self, event: InputEvent, state: dict[str, Any]) -> Fields:
        """Return the values that its templates may use."""
        return Fields(event, state)
