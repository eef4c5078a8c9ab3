"""An event on its way through the behaviours that are interested in it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mewbot.core import InputEvent

from limpet.bot._events import DirInputEvent, FileSystemInputEvent
from limpet.bot._outcome import Work

if TYPE_CHECKING:
    from limpet.bot.runner._lane import Lane

__all__ = ["Delivery", "Job", "keys_of"]

_EVERYTHING = ("",)
_ALONE: tuple[str, ...] = ("\0",)
"""Key of events that are about no path: they are kept in order among themselves."""


class Delivery:
    """One event, and how many behaviours have still to be done with it."""

    __slots__ = ("entry", "event", "left", "on_done")

    def __init__(
        self,
        event: InputEvent,
        left: int,
        on_done: Callable[[Delivery], None] | None = None,
        entry: str | None = None,
    ) -> None:
        """Begin with so many behaviours.

        Args:
            event: The event.
            left: Behaviours that will be done with it.
            on_done: Called once all are; without it the input that told it is told.
            entry: Its entry in the journal, if it comes from there.
        """
        self.event = event
        self.left = left
        self.on_done = on_done
        self.entry = entry

    def done(self) -> None:
        """One more behaviour is done with it, or its work is kept elsewhere."""
        self.left -= 1
        if self.left == 0:
            self.settle()

    def settle(self) -> None:
        """Nobody need tell this event again."""
        if self.on_done is not None:
            self.on_done(self)
            return
        teller = getattr(self.event, "_teller", None)
        if teller is not None:
            teller.settle(self.event)

    @property
    def is_told_again(self) -> bool:
        """Whether the next start tells it without anybody keeping it."""
        teller = getattr(self.event, "_teller", None)
        return self.entry is None and teller is not None and teller.tells_again(self.event)


class Job:
    """One event for one behaviour, and how far that is."""

    __slots__ = (
        "attempt", "before", "behind", "delivery", "is_buried", "keys", "lane", "state", "step",
    )  # fmt: skip

    def __init__(self, delivery: Delivery, lane: Lane) -> None:
        """Begin at the triggers."""
        self.delivery = delivery
        self.lane = lane
        self.step = 0
        """0: triggers and conditions; n: the n-th action."""
        self.attempt = 1
        self.is_buried = False
        """Whether it has its dead letter, or gets it now."""
        self.state: Work | None = None
        self.keys: Collection[str] = ()
        self.before = 0
        """Jobs that must be over before this one begins."""
        self.behind: list[Job] | None = None
        """Jobs that wait for this one."""

    @property
    def event(self) -> InputEvent:
        """The event."""
        return self.delivery.event


def keys_of(event: InputEvent) -> Collection[str]:
    """Give the paths an event is about; ``("",)`` of one that is about many: a folder's.

    Two events that share a path are worked on in their order. An event about a folder goes after
    all before it and before all after it.
    """
    if isinstance(event, FileSystemInputEvent):
        if isinstance(event, DirInputEvent) or event.is_target:
            return _EVERYTHING
        source: Any = getattr(event.event, "source", None)
        path = str(event.path)
        return (path,) if source is None else (path, str(source))
    path_of = getattr(event, "path", None)
    return (str(path_of),) if isinstance(path_of, str | Path) else _ALONE
