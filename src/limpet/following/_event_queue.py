"""Events that wait to be consumed: bounded, without a loss that nobody hears of."""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Final

from limpet.following._follow_events import (
    Accessible,
    Appeared,
    FollowEvent,
    Gap,
    Gone,
    Inaccessible,
    Replaced,
    Retired,
    Rotated,
    Truncated,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

MAX_EVENTS: Final = 1000
"""Events about files that wait while nobody consumes them. Beyond that, the oldest informing ones
are dropped and losses of one file are added up."""

_INFORMING: Final = (Appeared, Rotated, Replaced, Retired, Gone, Inaccessible, Accessible)


class EventQueue:
    """Events in order; each step takes the same time however many wait."""

    def __init__(self) -> None:
        self.dropped = 0
        """Informing events that were dropped."""
        self._events: OrderedDict[int, FollowEvent] = OrderedDict()
        self._informing: OrderedDict[int, None] = OrderedDict()
        self._losses: dict[Hashable, int] = {}
        """The last loss of each kind and path -> its number."""
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[FollowEvent]:
        return iter(self._events.values())

    def append(self, event: FollowEvent) -> None:
        """Add an event; if there are too many, drop one that informs, or add up two losses."""
        informing = isinstance(event, _INFORMING)
        loss = _loss_of(event)
        if len(self._events) >= MAX_EVENTS:
            if self._informing:
                number, _ = self._informing.popitem(last=False)
                del self._events[number]
                self.dropped += 1
            elif informing:
                self.dropped += 1
                return
            elif loss is not None and (number := self._losses.pop(loss, -1)) in self._events:
                _add_up(self._events.pop(number), event)
        number = next(self._numbers)
        self._events[number] = event
        if informing:
            self._informing[number] = None
        elif loss is not None:
            self._losses[loss] = number

    def take_all(self) -> list[FollowEvent]:
        """Return all events and remove them."""
        events = list(self._events.values())
        self._events.clear()
        self._informing.clear()
        self._losses.clear()
        return events


def _loss_of(event: FollowEvent) -> Hashable | None:
    if isinstance(event, Gap):
        return (event.path, event.kind)
    return (event.path,) if isinstance(event, Truncated) else None


def _add_up(old: FollowEvent, event: FollowEvent) -> None:
    """Add the loss of an event that was not delivered yet to a later one."""
    if isinstance(event, Gap) and isinstance(old, Gap):
        object.__setattr__(event, "bytes", event.bytes + old.bytes)
        object.__setattr__(event, "size_known", event.size_known and old.size_known)
    elif isinstance(event, Truncated) and isinstance(old, Truncated):
        object.__setattr__(event, "lost", event.lost + old.lost)
