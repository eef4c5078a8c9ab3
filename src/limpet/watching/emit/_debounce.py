"""Debounce: holds created and updated files until their writer is done.

A held file is known by directory node and name, so a renamed directory carries it along. A file
that is held as created is not yet part of the stream: if it is deleted again, no event is emitted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limpet.events import Change
    from limpet.watching.emit._event_factory import Record


@dataclass(slots=True, eq=False, repr=False)
class PendingFile:
    """One file that is held."""

    first: float
    """When it was first held, monotonic seconds."""
    last: float
    """When it last changed."""
    created: bool
    """No event of it was emitted yet."""
    previous: Record | None = None
    """Its record as of its last event, for an update."""
    changes: set[Change] = field(default_factory=set)
    foreign: bool = False
    closed: bool = False
    """Its writer closed it: its event is due."""


class Debouncer:
    """The held files of one watch, by any hashable key."""

    def __init__(self, quiet: float, limit: float, *, ends_at_close: bool = True) -> None:
        """Hold for ``quiet`` seconds without a change, at most for ``limit``; 0 holds nothing.

        With ``ends_at_close`` a file is released as soon as its writer closed it.
        """
        self.quiet = quiet
        self.ends_at_close = ends_at_close
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
        """Hold a file, or record that a held one changed again."""
        held = self.held.get(ref)
        if held is None:
            held = self.held[ref] = PendingFile(now, now, created, previous)
        held.last = now
        held.changes |= changes or set()
        held.foreign |= foreign
        held.closed = closed and self.ends_at_close

    def close(self, ref: tuple[object, str]) -> None:
        """Record that the writer of a held file closed it."""
        held = self.held.get(ref)
        if held is not None:
            held.closed = self.ends_at_close

    def take(self, ref: tuple[object, str]) -> PendingFile | None:
        """Return a held file and stop holding it: its event is emitted, or what became of it is."""
        return self.held.pop(ref, None)

    def move(self, source: tuple[object, str], target: tuple[object, str]) -> PendingFile | None:
        """Carry a held file over to its new name."""
        held = self.held.pop(source, None)
        if held is not None:
            self.held[target] = held
        return held

    def due(self, now: float) -> list[tuple[object, str]]:
        """Return the files whose time has come, in the order they were held."""
        return [
            ref
            for ref, held in self.held.items()
            if held.closed or now >= held.last + self.quiet or now >= held.first + self.limit
        ]

    def deadline(self) -> float | None:
        """Return when the next one is due, monotonic seconds."""
        return min(
            (min(held.last + self.quiet, held.first + self.limit) for held in self.held.values()),
            default=None,
        )
