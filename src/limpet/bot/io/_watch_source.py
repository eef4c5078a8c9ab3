"""The source of an input that watches: one entered watch."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from limpet.bot._delivery import Delivery, DeliverySource
from limpet.bot.events._input_events import wrap
from limpet.bot.io._desired_state import DesiredWatch
from limpet.events import EntryEvent, Event, FileRenamed
from limpet.watching import Unacknowledged, Watch, WatchStats


class WatchSource:
    """One entered watch; leaves out events that the watch before it has reported."""

    def __init__(self, desired: DesiredWatch, watch: Watch) -> None:
        self.desired = desired
        self.watch = watch
        self.session = os.urandom(8).hex()
        self._reported: set[object] = set()
        self._covered: Path | None = None

    @classmethod
    async def open(cls, desired: DesiredWatch, unacked: Unacknowledged, **changes: object) -> Self:
        """Start to watch; with a checkpoint, the current state is on disk afterwards.

        Raises:
            LimpetError: It cannot be watched; the message names the remedy.
            OSError: The checkpoint cannot be written.
        """
        if desired.state is not None:
            await asyncio.to_thread(make_parent_of, str(changes.get("state") or desired.state))
        watch = desired.open(**changes)
        await watch.__aenter__()
        try:
            watch.track(unacked)
            await watch.save()
        except BaseException:
            await watch.aclose()
            raise
        return cls(desired, watch)

    def batches(self) -> AsyncIterator[list[Event]]:
        """Yield events in lists; may be cancelled and called again without losing one."""
        return self.watch.batches()

    def delivery(self, event: Event, io: str, source: DeliverySource) -> Delivery | None:
        """Return the delivery of an event; ``None`` if the watch before has reported it."""
        own = event.location == self.watch.location  # else the watch before has reported it
        if own and self._covered is not None and self._is_reported(event):
            return None
        return Delivery(wrap(event, io, self.session), source)

    @property
    def backend(self) -> str:
        """The backend that provides the hints."""
        return self.watch.stats().backend

    def figures(self) -> WatchStats:
        """Return figures of the watch."""
        return self.watch.stats()

    async def save(self) -> None:
        """Write the checkpoint, if there is to be one."""
        await self.watch.save()

    async def rest(self) -> list[Event]:
        """Return everything that happened until now and was not yielded yet."""
        await self.watch.fence()
        found: list[Event] = []
        batches = self.watch.batches()
        with contextlib.suppress(TimeoutError):
            while True:  # ready batches arrive without waiting; the first wait ends the loop
                async with asyncio.timeout(0):
                    found += await anext(batches)
        return found

    async def close(self) -> None:
        """Stop; the checkpoint then holds the index, and what was not acknowledged."""
        await self.watch.aclose()

    def exclude_reported(self, other: WatchSource, last: list[Event]) -> None:
        """Leave out what ``other``, which ran at the same time, has reported.

        Args:
            other: The watch before.
            last: Its last events: those that both may have reported.
        """
        one, two = self.watch.location, other.watch.location
        if one.is_relative_to(two) or two.is_relative_to(one):
            self._covered = max(one, two, key=lambda path: len(path.parts))
            self._reported = {_signature(event) for event in last}

    def inherit(self, other: WatchSource) -> None:
        """Leave out what ``other`` leaves out."""
        self._reported, self._covered = other._reported, other._covered

    def _is_reported(self, event: Event) -> bool:
        assert self._covered is not None  # noqa: S101 - the caller has checked it
        if getattr(event, "existing", False) and isinstance(event, EntryEvent):
            return event.path.is_relative_to(self._covered)
        if not self._reported:
            return False
        signature = _signature(event)
        if signature in self._reported:
            self._reported.discard(signature)
            return True
        return False


def make_parent_of(state: str) -> None:
    """Create the directory of a checkpoint."""
    os.makedirs(os.path.dirname(os.path.abspath(state)), exist_ok=True)


def _signature(event: Event) -> object:
    """Return what two watches' events about the same change have in common."""
    if not isinstance(event, EntryEvent):
        return id(event)
    stat = getattr(event, "stat", None)
    source = os.fspath(event.source) if isinstance(event, FileRenamed) else ""
    return (
        type(event).__name__.removeprefix("Target"),
        os.fspath(event.path),
        source,
        (stat.inode, stat.size, stat.mtime) if stat is not None else None,
    )
