"""Polling as a source: no hints, but a time at which its directories are to be examined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet.backends._base import Capabilities

if TYPE_CHECKING:
    from collections.abc import Hashable

POLL: Final = Capabilities(kind="timer")


class Timer:
    """A time that comes again after each interval, for as long as it is needed."""

    __slots__ = ("interval", "next")

    def __init__(self, interval: float | None) -> None:
        """Start stopped; with ``None`` it never runs."""
        self.interval = interval
        """Seconds."""
        self.next: float | None = None
        """When it is due, monotonic seconds; ``None`` while it is stopped."""

    def is_due(self, now: float) -> bool:
        """Return whether its time has come."""
        return self.next is not None and now >= self.next

    def schedule(self, now: float, *, needed: bool = True) -> None:
        """Start the next interval if the last has passed, or stop while it is not needed."""
        if not needed or self.interval is None:
            self.next = None
        elif self.next is None or now >= self.next:
            self.next = now + self.interval


class PollSource(Timer):
    """The directories of one watch that nothing reports, and when they are to be examined."""

    __slots__ = ("directories",)

    name = "poll"
    capabilities = POLL

    def __init__(self, interval: float) -> None:
        super().__init__(interval)
        self.directories: set[Hashable] = set()

    def close(self) -> None:
        """Forget every directory."""
        self.directories.clear()
        self.next = None
