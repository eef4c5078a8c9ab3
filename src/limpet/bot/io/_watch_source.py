"""Where an input takes its events from: one opened watch, or one follower of a file's lines."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from limpet.bot.events._input_events import FileSystemInputEvent, wrap
from limpet.bot.io._desired_state import WantedWatch
from limpet.events import EntryEvent, Event, FileRenamed
from limpet.watch import Unacknowledged, Watch

__all__ = ["WatchSource", "make_folder_of"]


class WatchSource:
    """One entered watch, and which of its events another one has told already."""

    def __init__(self, wanted: WantedWatch, watch: Watch, pending: Unacknowledged) -> None:
        """Made by ``open``."""
        self.wanted = wanted
        self.watch = watch
        self._pending = pending
        self.session = os.urandom(8).hex()
        self._told: set[object] = set()
        self._covered: Path | None = None

    @classmethod
    async def open(cls, wanted: WantedWatch, pending: Unacknowledged, **changes: object) -> Self:
        """Start to watch; with a state file, what it is now is on disk afterwards.

        Raises:
            LimpetError: It cannot be watched; the message says what to do.
            OSError: The state file cannot be written.
        """
        if wanted.state is not None:
            await asyncio.to_thread(make_folder_of, str(changes.get("state") or wanted.state))
        watch = wanted.open(**changes)
        await watch.__aenter__()
        try:
            watch.track(pending)
            await watch.save()
        except BaseException:
            await watch.aclose()
            raise
        return cls(wanted, watch, pending)

    def batches(self) -> AsyncIterator[list[Event]]:
        """Give events in lists; may be cancelled and called again without losing one."""
        return self.watch.batches()

    def wrap(self, event: Event, io: str) -> FileSystemInputEvent | None:
        """Give an event for mewbot; ``None`` of one that was told already by the watch before."""
        ours = event.location == self.watch.location  # else it comes from the watch before
        if ours and self._covered is not None and self._is_told(event):
            return None
        return wrap(event, io, self.session)

    @property
    def backend(self) -> str:
        """Which backend gives the hints."""
        return self.watch.stats().backend

    async def save(self) -> None:
        """Write the state file, if there is to be one."""
        await self.watch.save()

    async def rest(self) -> list[Event]:
        """Give all that happened until now and was not given yet."""
        await self.watch.fence()
        found: list[Event] = []
        batches = self.watch.batches()
        with contextlib.suppress(TimeoutError):
            while True:  # what is ready comes without waiting; then there is nothing
                async with asyncio.timeout(0):
                    found += await anext(batches)
        return found

    async def close(self) -> None:
        """Stop; a state file then holds what is known, and what was not dealt with."""
        await self.watch.aclose()

    def taken_over(self, other: WatchSource, last: list[Event]) -> None:
        """Leave out what ``other``, which ran at the same time, has told: ``last`` of all."""
        one, two = self.watch.location, other.watch.location
        if one.is_relative_to(two) or two.is_relative_to(one):
            self._covered = max(one, two, key=lambda path: len(path.parts))
            self._told = {_mark(event) for event in last}

    def inherit(self, other: WatchSource) -> None:
        """Go on leaving out what ``other`` left out."""
        self._told, self._covered = other._told, other._covered

    def _is_told(self, event: Event) -> bool:
        assert self._covered is not None  # noqa: S101 - asked by who calls
        if getattr(event, "existing", False) and isinstance(event, EntryEvent):
            return event.path.is_relative_to(self._covered)
        if not self._told:
            return False
        mark = _mark(event)
        if mark in self._told:
            self._told.discard(mark)
            return True
        return False


def make_folder_of(state: str) -> None:
    """Make the folder that a state file is to lie in."""
    os.makedirs(os.path.dirname(os.path.abspath(state)), exist_ok=True)


def _mark(event: Event) -> object:
    """Give what two watches' events about one change have in common."""
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
