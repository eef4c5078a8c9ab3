"""The delivered events of each session, as ranges of numbers.

The highest number alone would not do: in work mode repeated events come after newer ones, and would
be dropped.
"""

from __future__ import annotations

import bisect
import json
from typing import Final

_SESSIONS: Final = 1_000
"""Sessions that are remembered; the one without an event for longest is removed first."""
_RANGES: Final = 10_000
"""Ranges of one session; the lowest two become one beyond that."""


class DeliveredRanges:
    """A set of (session, number) that is small when the numbers have few holes."""

    def __init__(self) -> None:
        self._ranges: dict[str, list[list[int]]] = {}

    def add(self, session: str, seq: int) -> bool:
        """Add a number; return whether it is new."""
        return self.add_range(session, seq, seq)

    def add_range(self, session: str, first: int, last: int) -> bool:
        """Add the numbers from ``first`` to ``last``; return whether any of them is new."""
        ranges = self._ranges.pop(session, None)
        if ranges is None:
            ranges = []
            while len(self._ranges) >= _SESSIONS:
                del self._ranges[next(iter(self._ranges))]
        self._ranges[session] = ranges  # the newest is the last
        at = bisect.bisect_left(ranges, [first + 1]) - 1
        if at >= 0 and ranges[at][1] >= last:
            return False
        low, high = first, last
        start = at if at >= 0 and ranges[at][1] >= first - 1 else at + 1
        end = start
        while end < len(ranges) and ranges[end][0] <= last + 1:
            low, high = min(low, ranges[end][0]), max(high, ranges[end][1])
            end += 1
        ranges[start:end] = [[low, high]]
        if len(ranges) > _RANGES:
            ranges[:2] = [[ranges[0][0], ranges[1][1]]]
        return True

    def has(self, session: str, seq: int) -> bool:
        """Return whether a number was added."""
        ranges = self._ranges.get(session, [])
        at = bisect.bisect_left(ranges, [seq + 1]) - 1
        return at >= 0 and ranges[at][1] >= seq

    def gap_before(self, session: str, seq: int) -> tuple[int, int] | None:
        """Return the missing numbers right before one, if earlier ones were added."""
        ranges = self._ranges.get(session, [])
        at = bisect.bisect_left(ranges, [seq]) - 1
        if at < 0 or ranges[at][1] >= seq - 1:
            return None
        return ranges[at][1] + 1, seq - 1

    def copy(self) -> DeliveredRanges:
        other = DeliveredRanges()
        other._ranges = {key: [list(pair) for pair in value] for key, value in self._ranges.items()}
        return other

    def dump(self) -> str:
        return json.dumps(self._ranges, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> DeliveredRanges:
        """Return the set in a text of ``dump``."""
        found = cls()
        for session, ranges in json.loads(text).items():
            found._ranges[session] = [[int(a), int(b)] for a, b in ranges]
        return found
