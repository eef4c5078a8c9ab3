"""Takes the events of one set from a synchronous watch: those that keep coming for a while."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, Protocol

from limpet.compat.watchfiles._settings import Limits
from limpet.events import Event
from limpet.watching import SyncMultiWatch

_LONG_S: Final = 3600.0


class AbstractEvent(Protocol):
    """What may ask for the end."""

    def is_set(self) -> bool:
        """Return whether it does."""


class Taker:
    """The waiting of one call of ``watch``."""

    def __init__(
        self, running: SyncMultiWatch, limits: Limits, stop_event: AbstractEvent | None
    ) -> None:
        self._running = running
        self._limits = limits
        self._stop_event = stop_event
        self.has_taken = False
        """The last ``take`` gave events."""

    @property
    def is_stopped(self) -> bool:
        """Return whether the end is asked for."""
        return self._stop_event is not None and self._stop_event.is_set()

    def take(self) -> Iterator[list[Event]]:
        """Yield the events of one set; none if nothing came in time, or the end was asked for."""
        self.has_taken = False
        events = self._first()
        end = time.monotonic() + self._limits.debounce
        while events:
            self.has_taken = True
            yield events
            left = end - time.monotonic()
            if left <= 0 or self.is_stopped:
                return
            events = self._next(min(self._limits.step, left))

    def _first(self) -> list[Event]:
        """Wait for the first event of a set."""
        timeout = self._limits.timeout or _LONG_S
        end = time.monotonic() + timeout
        while not self.is_stopped:
            left = end - time.monotonic()
            if left <= 0:
                if self._limits.timeout:
                    break
                end = time.monotonic() + timeout
                continue
            pause = left if self._stop_event is None else min(left, self._limits.step)
            events = self._next(pause)
            if events:
                return events
        return []

    def _next(self, timeout: float) -> list[Event]:
        first = self._running.next(timeout)
        if first is None:
            return []
        events = [first]
        while (event := self._running.next(0)) is not None:
            events.append(event)
        return events
