"""Events that were handed out and are not acknowledged yet."""

from __future__ import annotations

from limpet.events import Event


class Unacknowledged:
    """What a consumer took and has not acknowledged: goes into the state file as if not handed out.

    ``watch.track(unacked)`` lets a watch fill it; ``done`` empties it. One watch may pass it on to
    the next. Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._events: dict[int, Event] = {}

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: Event) -> None:
        """Add an event that is being handed out."""
        self._events[id(event)] = event

    def done(self, event: Event) -> None:
        """Acknowledge an event; one that is not here is passed over."""
        self._events.pop(id(event), None)

    def events(self) -> list[Event]:
        """Return the events in the order in which they were handed out."""
        return list(self._events.values())  # in one step: other threads add and remove
