"""Which events of a watch its consumer gets, and how they are numbered.

It is applied before content is read: what is left out costs no reading. The numbers of what is
handed out have no gaps, so an event that was made with another number is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from limpet.errors import UsageError
from limpet.events import Event, TargetEvent
from limpet.watching.emit._event_factory import with_number

Only = Callable[[Event], object]


class Failed(NamedTuple):
    """Takes the place of an event of which ``only`` failed to say whether it is wanted."""

    error: BaseException


class Selection:
    """What a consumer asked for, by ``types`` and ``only``."""

    def __init__(self, types: tuple[type, ...] = (), only: Only | None = None) -> None:
        """Keep what was asked for, as ``selection`` has checked it."""
        self.types: Final = types
        self.only: Final = only
        self._seq = 0
        self._time = 0.0

    def restarted(self) -> Selection:
        """Return the same for another run, whose numbers start at 1."""
        return Selection(self.types, self.only)

    def select(self, events: Iterable[Event]) -> list[Event | Failed]:
        """Return what is wanted of the events, numbered in this order."""
        found: list[Event | Failed] = []
        for event in events:
            chosen = self.choose(event)
            if chosen is not None:
                found.append(chosen)
        return found

    def choose(self, event: Event) -> Event | Failed | None:
        """Return the event with its number if it is wanted."""
        if self.types and not isinstance(event, self.types):
            return None
        time = max(self._time, event.time)
        event = with_number(event, self._seq + 1, time)
        if self.only is not None:
            try:
                wanted = self.only(event)
            except Exception as error:  # noqa: BLE001 (raised where the event is asked for)
                return Failed(error)
            if not wanted:
                return None
        self._seq, self._time = self._seq + 1, time
        return event

    def take_back(self, events: Iterable[Event | Failed]) -> None:
        """Take back the numbers of the last events, which are numbered again or left out."""
        taken = [event for event in events if not isinstance(event, Failed)]
        if taken:
            self._seq, self._time = taken[0].seq - 1, taken[0].time

    def again(self, event: Event | Failed) -> Event | Failed:
        """Return an event that was chosen before, with the next number."""
        if isinstance(event, Failed):
            return event
        self._seq, self._time = self._seq + 1, max(self._time, event.time)
        return with_number(event, self._seq, self._time)


def selection(types: object, only: object) -> Selection | None:
    """Return what the arguments ask for; ``None`` if that is everything.

    Raises:
        UsageError: ``types`` has something else than classes of events, or ``only`` cannot be
            called.
    """
    if types is None and only is None:
        return None
    if only is not None and not callable(only):
        message = f"only must be a function of an event, not {only!r}"
        raise UsageError(message)
    wanted: tuple[object, ...] = ()
    if types is not None:
        wanted = (
            (types,) if isinstance(types, type) or not isinstance(types, Iterable) else tuple(types)
        )
        if not wanted:
            message = "types must name one class of events at least; leave it out for all of them"
            raise UsageError(message)
    classes = tuple(_event_class(one) for one in wanted)
    return Selection(classes, only)


def _event_class(value: object) -> type:
    if isinstance(value, type) and issubclass(value, Event | TargetEvent):
        return value
    message = f"types must be classes of events, such as limpet.FileCreated, not {value!r}"
    raise UsageError(message)
