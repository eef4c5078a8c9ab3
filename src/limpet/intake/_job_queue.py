"""The names that wait to become jobs, by the time at which each is due. Pure: no disk, no clock.

It has at most one entry for each file in the inbox, which is its bound.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """One name and what is known of it."""

    name: str
    """Path below the inbox."""
    due: float
    """Monotonic seconds."""
    is_held: bool = False
    """Nobody has seen yet that it is complete: it was there when the inbox was opened."""


class JobQueue:
    """Names in the order in which they are due; a name is in it once."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, Waiting]] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: str, due: float, *, is_held: bool = False) -> None:
        """Add a name, or change when it is due."""
        self._count += 1
        self._entries[name] = (self._count, Waiting(name, due, is_held))
        heapq.heappush(self._heap, (due, self._count, name))

    def discard(self, name: str) -> None:
        """Remove a name, if it is there."""
        self._entries.pop(name, None)

    def rename(self, source: str, target: str, due: float) -> None:
        """Move the names at and below a directory that was renamed."""
        for name in [n for n in self._entries if n == source or n.startswith(source + "/")]:
            self.discard(name)
            self.add(target + name[len(source) :], due)

    def clear(self) -> None:
        """Remove all."""
        self._entries.clear()
        self._heap.clear()

    def take(self, now: float) -> Waiting | None:
        """Remove and return the first that is due, or return ``None``."""
        due = self.next_due()
        if due is None or due > now:
            return None
        _, _, name = heapq.heappop(self._heap)
        return self._entries.pop(name)[1]

    def next_due(self) -> float | None:
        """Return when the first one is due; ``None`` if there is none."""
        while self._heap:
            due, number, name = self._heap[0]
            entry = self._entries.get(name)
            if entry is not None and entry[0] == number:
                return due
            heapq.heappop(self._heap)
        return None
