"""Events that were handed out and are not dealt with yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limpet.events import Event

__all__ = ["Unacknowledged"]


class Unacknowledged:
    """What a consumer took and has not done: goes into the state file as if not handed out.

    ``watch.track(pending)`` has a watch fill it; ``done`` empties it. It may be handed from one
    watch to the next. Safe to use from any thread.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._events: dict[int, Event] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._events)

    def add(self, event: Event) -> None:
        """It is being handed out."""
        self._events[id(event)] = event

    def done(self, event: Event) -> None:
        """It was dealt with; one that is not here is no matter."""
        self._events.pop(id(event), None)

    def events(self) -> list[Event]:
        """Give them, in the order in which they were handed out."""
        return list(self._events.values())  # in one step: other threads add and remove
