"""The decision whether and when a failed step or output is retried."""

from __future__ import annotations

from collections.abc import Sequence

from limpet._backoff import Backoff
from limpet.bot.io._filesystem_output import is_transient


class GaveUpError(Exception):
    """An output failed for good, and with it the step that requested it; see ``__cause__``."""

    transient = False

    def __init__(self, output: object, tries: Sequence[dict[str, str]]) -> None:
        """Keep the output event, and the records of the tries."""
        super().__init__(f"{type(output).__name__} could not be sent")
        self.output = output
        self.tries = tries


def is_worth_retrying(error: BaseException) -> bool:
    """Return whether an error is transient, by its own ``transient`` or by its class."""
    try:
        declared = getattr(error, "transient", None)
        return bool(declared) if declared is not None else is_transient(error)
    except Exception:  # noqa: BLE001 - a property of a foreign exception
        return False


class RetryPolicy:
    """How often something is tried, and the delays between the tries."""

    __slots__ = ("_backoff", "attempts")

    def __init__(self, attempts: int, first: float, longest: float) -> None:
        """Create a policy.

        Args:
            attempts: Most tries.
            first: Seconds before the second try; the delay doubles with each further one.
            longest: The longest delay.
        """
        self.attempts = attempts
        self._backoff = Backoff(first, longest)

    def delay_after(self, attempt: int) -> float:
        """Return the delay in seconds after the given attempt, counted from 1."""
        return self._backoff.after(attempt)
