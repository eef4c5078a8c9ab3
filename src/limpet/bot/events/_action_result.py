"""How far the work on one event has come: shared by its actions and by the outputs they ask for."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["Outcome", "Work", "outcome_of"]

_KEY: Final = "limpet.outcome"


class Outcome:
    """Whether all went well so far. The first failure stays."""

    __slots__ = ("error", "open")

    def __init__(self) -> None:
        """Nothing has failed yet."""
        self.error: BaseException | None = None
        self.open = 0
        """Outputs that were asked for and are not done; counted in mewbot's own runner alone."""

    def fail(self, error: BaseException) -> None:
        """Something failed."""
        if self.error is None:
            self.error = error


class Work(dict[str, Any]):
    """The ``state`` that limpet's runner hands to actions: what fails may be raised there.

    mewbot's own runner hands a plain dict and would end the bot at the first exception.
    """

    __slots__ = ()


def outcome_of(state: dict[str, Any]) -> Outcome:
    """Give the outcome that the actions of one event share."""
    found = state.get(_KEY)
    if not isinstance(found, Outcome):
        found = state[_KEY] = Outcome()
    return found
