"""Notice loops between processes: somebody answers an event by a write that causes the next one.

limpet leaves out what its own process writes. It cannot know that another bot, or a program that it
runs, answers each of its writes; but then events about one path, or new files in one folder, come
faster and longer than people and most programs cause them. Pure: the moments come in as arguments.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 60.0
"""The span in which events about one path are counted."""

WARN_ABOVE: Final = 60
"""Events about one path in a window: loops of two bots have some 1,000, of a command up to 3,600; a
file that is written for minutes reaches it too, and is better held by ``settle``."""

_SLOT_S: Final = 10.0
_SLOTS: Final = 6
_SLOT_EVENTS: Final = 50
"""New files of one folder in each of six slots: a folder that is moved in comes at once instead."""

_AGAIN_S: Final = 3600.0
"""A path or folder is warned of once in this time."""

_MOST: Final = 1000
"""Paths and folders that are counted, the least recently used one is dropped first."""


@dataclass(slots=True)
class _Count:
    begun: float
    events: int = 0
    full_slots: int = 0
    warned: float = float("-inf")


class LoopGuard:
    """Counts the events that one behaviour, or one command, acts on."""

    def __init__(self, limit: int | None = None) -> None:
        """Create a guard; ``limit`` is the most events about one path in a minute."""
        self.limit = limit
        self._paths: OrderedDict[str, _Count] = OrderedDict()
        self._folders: OrderedDict[str, _Count] = OrderedDict()
        self._limited: OrderedDict[str, _Count] = OrderedDict()

    def count(self, path: str, when: float) -> int:
        """Count an event about a path that was noticed at ``when``, in seconds of any clock.

        Returns:
            How many came within a minute if that is worth a warning now, else 0.
        """
        found = _count_of(self._paths, path, when)
        if not 0 <= when - found.begun < WINDOW_S:
            found.begun, found.events = when, 0
        found.events += 1
        return found.events if found.events > WARN_ABOVE and _is_due(found, when) else 0

    def count_new(self, folder: str, when: float) -> int:
        """Count a new file of a folder; for the rest see ``count``."""
        found = _count_of(self._folders, folder, when)
        if not 0 <= when - found.begun < _SLOT_S:
            goes_on = 0 <= when - found.begun < 2 * _SLOT_S and found.events >= _SLOT_EVENTS
            found.full_slots = found.full_slots + 1 if goes_on else 0
            found.begun = found.begun + _SLOT_S if goes_on else when
            found.events = 0
        found.events += 1
        steady = found.full_slots >= _SLOTS - 1 and found.events >= _SLOT_EVENTS
        return _SLOTS * _SLOT_EVENTS if steady and _is_due(found, when) else 0

    def delay(self, path: str, now: float) -> float:
        """Return how long to wait before acting on a path; if that is 0, it counts as acted on."""
        if self.limit is None:
            return 0.0
        found = _count_of(self._limited, path, now)
        rest = found.begun + WINDOW_S - now
        if not 0 < rest <= WINDOW_S:
            found.begun, found.events, rest = now, 0, WINDOW_S
        if found.events >= self.limit:
            return rest
        found.events += 1
        return 0.0


def loop_text(who: str, count: int, what: str) -> str:
    """Return the warning: who acted how often on what, and what to do about it."""
    return (
        f"{who} acted on {count} events of {what} within a minute: if nobody else writes there so "
        "often, it is a loop (its own writes, or those of another bot that answers them, cause its "
        "next event); exclude what it writes, write elsewhere, or let settle wait for whole files"
    )


def _count_of(counts: OrderedDict[str, _Count], key: str, when: float) -> _Count:
    found = counts.get(key)
    if found is None:
        found = counts[key] = _Count(when)
        if len(counts) > _MOST:
            counts.popitem(last=False)
    counts.move_to_end(key)
    return found


def _is_due(found: _Count, when: float) -> bool:
    if abs(when - found.warned) < _AGAIN_S:
        return False
    found.warned = when
    return True
