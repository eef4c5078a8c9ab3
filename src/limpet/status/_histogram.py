"""Counts values in buckets: how old events were, and the like."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from limpet.status._model import Histogram

AGE_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
"""Seconds."""


class HistogramCounter:
    """Counts values; one thread adds."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...] = AGE_BOUNDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        """Count a value; one below zero, of a clock that was set, is zero."""
        if value < 0:
            value = 0.0
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def snapshot(self) -> Histogram:
        """Return what was counted."""
        return Histogram(bounds=self._bounds, counts=tuple(self._counts), total=self._total)
