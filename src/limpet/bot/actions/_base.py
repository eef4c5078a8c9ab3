"""What limpet's actions have in common: one failure is no end, in whichever runner."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from mewbot.api.v1 import Action, InputEvent, OutputEvent

from limpet.bot.events._action_result import Outcome, Work, outcome_of
from limpet.bot.events._output_events import FileSystemOutputEvent
from limpet.bot.settings._setting import Configured
from limpet.bot.settings._template_fields import Fields
from limpet.errors import LimpetError

__all__ = ["LimpetAction"]

_LOG = logging.getLogger("limpet.bot.action")


class LimpetAction(Configured, Action):
    """An action that raises in limpet's runner, and says so and stands down in mewbot's own.

    There an exception would end the bot; so it is logged, noted in what the actions of one event
    share, and the later actions of limpet's leave off, except for the one that puts failures away.
    """

    after_failure: ClassVar[bool] = False
    """Whether it acts though one before it has failed."""

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Act on any event."""
        return {InputEvent}

    @staticmethod
    def produces_outputs() -> set[type[OutputEvent]]:
        """Ask for no output."""
        return set()

    async def act(
        self, event: InputEvent, state: dict[str, Any]
    ) -> AsyncIterator[OutputEvent | None]:
        """Do the work."""
        outcome = outcome_of(state)
        if outcome.error is not None and not self.after_failure:
            return
        if isinstance(state, Work):
            async for output in self.steps(event, state, outcome):
                yield output
            return
        try:
            async for output in self.steps(event, state, outcome):
                if isinstance(output, FileSystemOutputEvent) and output.outcome is outcome:
                    # mewbot puts it into a queue: until it is done, the event is not.
                    outcome.open += 1
                    event.__dict__.setdefault("_outcomes", []).append(outcome)
                yield output
        except Exception as error:  # noqa: BLE001 - mewbot's runner would end the bot
            outcome.fail(error)
            known = isinstance(error, LimpetError | OSError)
            _LOG.error(
                "%s failed: %s", type(self).__name__, error, exc_info=None if known else error
            )

    @abstractmethod
    def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        """Do the work; gives the outputs it asks for."""

    def fields(self, event: InputEvent, state: dict[str, Any]) -> Fields:
        """Give the values its templates may use."""
        return Fields(event, state)
