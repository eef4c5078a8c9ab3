"""What the actions of one event share: the state, and the outcome so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

_KEY: Final = "limpet.outcome"


class Outcome:
    """The success of all actions of an event so far. The first failure stays."""

    __slots__ = ("error", "moved")

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.moved: Path | None = None
        """Where the file of the event is now, if an action has moved it."""

    def fail(self, error: BaseException) -> None:
        """Note a failure."""
        if self.error is None:
            self.error = error


class ActionState(dict[str, Any]):
    """The ``state`` that limpet's runner passes to actions: it handles what they raise.

    mewbot's own runner passes a plain dict, and would end the bot at the first exception.
    """

    __slots__ = ()


def outcome_of(state: dict[str, Any]) -> Outcome:
    """Return the outcome that the actions of one event share."""
    found = state.get(_KEY)
    if not isinstance(found, Outcome):
        found = state[_KEY] = Outcome()
    return found
