"""An input's source of lines: a follower of one file, and which of its batches were dealt with."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Self

from limpet.bot.events._input_events import FileSystemInputEvent, Lines, LinesAddedInputEvent
from limpet.bot.io._desired_state import WantedWatch
from limpet.bot.io._watch_source import make_folder_of

if TYPE_CHECKING:
    from limpet.following import Appended, Follower, FollowEvent

__all__ = ["LineSource"]

_LOG: Final = logging.getLogger("limpet.bot.input")


class LineSource:
    """One running follower. A batch is committed once it and all before it were dealt with."""

    backend = "follow"

    def __init__(self, wanted: WantedWatch, follower: Follower) -> None:
        """Made by ``open``."""
        self.wanted = wanted
        self.session = os.urandom(8).hex()
        self.degraded: dict[str, str] = {}
        self._follower = follower
        self._open: deque[Appended] = deque()
        """Batches that were handed out and are not committed, oldest first."""
        self._done: set[int] = set()
        self.position = ""
        """Where the last batch that was handed out ends, for a follower that is to go on there."""

    @classmethod
    async def open(cls, wanted: WantedWatch, start: str = "") -> Self:
        """Start to follow.

        Args:
            wanted: What is to be followed.
            start: Position to go on at; else the state's or, without one, the file's end.

        Raises:
            LimpetError: It cannot be followed; the message says what to do.
        """
        import limpet
        from limpet.following import Position

        given = dict(wanted.options)
        options: dict[str, Any] = {
            "commit": "manual",
            "state": given["state"],
            "backend": given["backend"],
            "poll_interval": given["poll_interval"],
        }
        first = "beginning" if given["existing"] else "end"
        if start:
            options["start"] = Position.parse(start)
        elif given["state"] is None:
            options["start"] = first
        else:
            options |= {"start": "checkpoint", "fallback": first}
            await asyncio.to_thread(make_folder_of, given["state"])
        if (content := given["content"]) is not None:
            options |= {"encoding": content.encoding, "errors": content.errors}
        follower = limpet.follow(wanted.path, **options)
        await follower.__aenter__()
        return cls(wanted, follower)

    async def batches(self) -> AsyncIterator[list[FollowEvent]]:
        """Give what comes, one by one; may be cancelled and called again without losing one."""
        async for event in self._follower.events():
            yield [event]

    def wrap(self, event: Any, io: str) -> FileSystemInputEvent | None:  # noqa: ANN401 - see batches
        """Give lines for mewbot; whatever else the follower tells goes to the log."""
        from limpet.following import Appended

        if not isinstance(event, Appended):
            self._tell(event, io)
            return None
        self._open.append(event)
        self.position = str(event.position)
        lines = tuple(
            line if isinstance(line, str) else line.decode("utf-8", "replace")
            for line in event.lines
        )
        inner = Lines(
            location=event.path,
            path=event.path,
            time=event.time,
            generation=event.generation,
            start=event.start,
            end=event.end,
            lines=lines,
        )
        made = LinesAddedInputEvent(event=inner, io=io, session=self.session)
        made.__dict__["_batch"] = (self, event)
        return made

    def settle(self, batch: Appended) -> None:
        """It was dealt with; committed is what has nothing before it that was not."""
        self._done.add(id(batch))
        while self._open and id(self._open[0]) in self._done:
            first = self._open.popleft()
            self._done.discard(id(first))
            first.commit()

    async def save(self) -> None:
        """Have what was committed on disk."""
        await self._follower.save()

    async def rest(self) -> list[Any]:
        """Give nothing: what was not read is read by the next follower."""
        return []

    async def close(self) -> None:
        """Stop; the state file holds what was committed."""
        await self._follower.aclose()

    def _tell(self, event: FollowEvent, io: str) -> None:
        from limpet import following as f

        match event:
            case f.Gap(kind=kind, bytes=count, path=path):
                _LOG.warning("%s: %d bytes of %s will not come (%s)", io, count, path, kind)
            case f.Truncated(kind=kind, lost=lost, path=path):
                _LOG.warning("%s: %s was %s; %d bytes were lost", io, path, kind, lost)
            case f.Inaccessible(message=message, path=path):
                _LOG.warning("%s: %s cannot be read: %s", io, path, message)
                self.degraded[str(path)] = message
            case f.Accessible(path=path):
                self.degraded.pop(str(path), None)
            case f.WatchDegraded(message=message, path=path):
                _LOG.warning("%s: %s", io, message)
                self.degraded[str(path)] = message
            case f.CheckpointCorrupt(message=message):
                _LOG.warning("%s: %s", io, message)
            case _:
                _LOG.debug("%s: %r", io, event)
