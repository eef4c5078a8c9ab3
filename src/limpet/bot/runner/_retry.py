"""When something that failed is tried again, and how long after."""

from __future__ import annotations

import random
from dataclasses import dataclass

from limpet.bot.io._filesystem_output import is_transient as _output_is_transient

__all__ = ["GaveUpError", "Patience", "helps"]


class GaveUpError(Exception):
    """An output failed for good; ``__cause__`` says how. The step that asked for it has failed."""

    transient = False

    def __init__(self, output: object, attempts: int) -> None:
        """Keep what was to be sent."""
        super().__init__(f"{type(output).__name__} could not be sent")
        self.output = output
        self.attempts = attempts


def helps(error: BaseException) -> bool:
    """Whether another try may go well: an error says so itself, or is known not to pass."""
    said = getattr(error, "transient", None)
    return bool(said) if said is not None else _output_is_transient(error)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and with which waits."""

    attempts: int
    first: float
    longest: float

    def wait(self, attempt: int) -> float:
        """Give the seconds after the so-manieth failure.

        Twice as long each time, and not the same for all that failed at once.
        """
        longest: float = min(self.first * 2.0 ** min(attempt - 1, 30), self.longest)
        return longest * random.uniform(0.75, 1.0)  # noqa: S311 - no secret
