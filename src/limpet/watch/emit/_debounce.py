"""Holds created and updated files back until their writer is done.

What is held keeps its place by folder node and name, so a renamed folder carries it along. What is
held as created is not yet part of the stream: if it goes again, nobody hears of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limpet.events import Change
    from limpet.watch.emit._event_factory import Record

__all__ = ["Debouncer", "PendingFile"]


@dataclass(slots=True, eq=False, repr=False)
class PendingFile:
    """One file that is held back."""

    first: float
    """When it was first held, monotonic seconds."""
    last: float
    """When it last changed."""
    created: bool
    """The stream does not know it yet."""
    previous: Record | None = None
    """What the stream knows, for an update."""
    changes: set[Change] = field(default_factory=set)
    foreign: bool = False
    closed: bool = False
    """Its writer closed it: it can go."""


class Debouncer:
    """The files of one watch that are held, by place (any hashable)."""

    def __init__(self, quiet: float, limit: float) -> None:
        """Hold for ``quiet`` seconds without a change, ``limit`` at most; 0 holds nothing."""
        self.quiet = quiet
        self.limit = limit
        self.held: dict[tuple[object, str], PendingFile] = {}

    def hold(
        self,
        ref: tuple[object, str],
        now: float,
        *,
        created: bool,
        previous: Record | None = None,
        changes: set[Change] | None = None,
        foreign: bool = False,
        closed: bool = False,
    ) -> None:
        """Hold a file, or note that a held one changed again."""
        held = self.held.get(ref)
        if held is None:
            held = self.held[ref] = PendingFile(now, now, created, previous)
        held.last = now
        held.changes |= changes or set()
        held.foreign |= foreign
        held.closed = closed

    def close(self, ref: tuple[object, str]) -> None:
        """Note that the writer of a held file closed it."""
        held = self.held.get(ref)
        if held is not None:
            held.closed = True

    def take(self, ref: tuple[object, str]) -> PendingFile | None:
        """Give a held file up to somebody who knows better what became of it."""
        return self.held.pop(ref, None)

    def move(self, source: tuple[object, str], target: tuple[object, str]) -> PendingFile | None:
        """A held file was renamed."""
        held = self.held.pop(source, None)
        if held is not None:
            self.held[target] = held
        return held

    def due(self, now: float) -> list[tuple[object, str]]:
        """Give the places whose time has come, in the order they were held."""
        return [
            ref
            for ref, held in self.held.items()
            if held.closed or now >= held.last + self.quiet or now >= held.first + self.limit
        ]

    def deadline(self) -> float | None:
        """When the next one is due, monotonic seconds."""
        return min(
            (min(held.last + self.quiet, held.first + self.limit) for held in self.held.values()),
            default=None,
        )
