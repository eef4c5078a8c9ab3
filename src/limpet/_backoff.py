"""Waiting longer after each failure, with jitter, so that many clients do not retry in step."""

from __future__ import annotations

import random
from typing import Final

_JITTER: Final = 0.25
"""Share of a delay that is left to chance: a thousand clients of a restarted server spread over a
quarter of the delay. (AWS Architecture Blog, "Exponential Backoff and Jitter".)"""


class Backoff:
    """Delays that double from ``first`` to ``longest`` seconds, each shortened by some jitter."""

    __slots__ = ("_delay", "first", "longest")

    def __init__(self, first: float, longest: float) -> None:
        self.first = first
        self.longest = longest
        self._delay = first

    def next(self) -> float:
        """Return the delay to wait now, in seconds, and double the one after it."""
        delay = min(self._delay, self.longest)
        self._delay = min(2 * self._delay, self.longest)
        return delay * random.uniform(1 - _JITTER, 1.0)  # noqa: S311 - no secret

    def reset(self) -> None:
        """Start again at the first delay: something succeeded."""
        self._delay = self.first

    def after(self, attempt: int) -> float:
        """Return the delay after failed attempt number ``attempt``, counted from 1."""
        delay = min(self.first * 2.0 ** min(attempt - 1, 30), self.longest)
        return delay * random.uniform(1 - _JITTER, 1.0)  # noqa: S311 - no secret
