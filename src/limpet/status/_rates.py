"""How often something came in the last minute, from totals that are read now and then."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

_WINDOW_S: Final = 60.0
_LEAST_S: Final = 0.9
"""Totals that were read closer together replace each other."""


class Rate:
    """The growth of one total; counting it costs nothing between two readings."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._wall = clock, wall
        self._points: deque[tuple[float, int]] = deque()
        self.last: float | None = None
        """When it was found to have grown last, in Unix seconds."""

    def read(self, total: int) -> float:
        """Take the present total, and return how much it has grown in a minute.

        The first reading is counted from the first second on; a shorter time than a minute is
        extrapolated.
        """
        now, points = self._clock(), self._points
        if total > (points[-1][1] if points else 0):
            self.last = self._wall()
        if len(points) > 1 and now - points[-2][0] < _LEAST_S:
            points[-1] = (points[-1][0], total)
        else:
            points.append((now, total))
        while len(points) > 2 and points[1][0] <= now - _WINDOW_S:
            points.popleft()
        begun, before = points[0]
        grown = max(0, total - before)
        return grown * 60.0 / max(now - begun, 1.0) if grown else 0.0


class Rates:
    """The rates of several totals by name; those that nobody reads any more are forgotten."""

    def __init__(self) -> None:
        self._rates: dict[str, Rate] = {}

    def read(self, name: str, total: int) -> tuple[float, float | None]:
        """Return the growth in a minute, and when it has grown last."""
        rate = self._rates.get(name)
        if rate is None:
            if len(self._rates) > 10_000:
                self._rates.clear()
            rate = self._rates[name] = Rate()
        return round(rate.read(total), 3), rate.last
