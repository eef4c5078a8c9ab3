"""The source of an input that follows lines: one follower, and its unacknowledged batches."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Self

from limpet.bot._delivery import Delivery, DeliverySource
from limpet.bot.events._input_events import Lines, LinesAddedInputEvent
from limpet.bot.io._desired_state import DesiredWatch
from limpet.bot.io._filesystem_options import FOLLOW_OPTIONS
from limpet.bot.io._watch_source import make_parent_of

if TYPE_CHECKING:
    from limpet.following import Appended, Follower, FollowEvent, FollowStats

_LOG: Final = logging.getLogger("limpet.bot.input")


class LineSource:
    """One running follower. A batch is committed once it and all before it are acknowledged."""

    backend = "follow"

    def __init__(self, desired: DesiredWatch, follower: Follower) -> None:
        self.desired = desired
        self.session = os.urandom(8).hex()
        self.degraded: dict[str, str] = {}
        self._follower = follower
        self._open: deque[Appended] = deque()
        """Delivered batches that are not committed, oldest first."""
        self._acknowledged: set[int] = set()
        self.position = ""
        """The end of the last delivered batch, where another follower can go on."""

    @classmethod
    async def open(cls, desired: DesiredWatch, start: str = "") -> Self:
        """Start to follow.

        Args:
            desired: What to follow.
            start: Position to start at; if empty, the checkpoint's or, without one, the file's end.

        Raises:
            LimpetError: It cannot be followed; the message names the remedy.
        """
        follower = follower_of(desired, start)
        if (state := desired.state) is not None and not start:
            await asyncio.to_thread(make_parent_of, state)
        await follower.__aenter__()
        return cls(desired, follower)

    async def batches(self) -> AsyncIterator[list[FollowEvent]]:
        """Yield events one by one; may be cancelled and called again without losing one."""
        async for event in self._follower.events():
            yield [event]

    def delivery(self, event: Any, io: str, source: DeliverySource) -> Delivery | None:  # noqa: ANN401 - see batches
        """Return the delivery of a batch; whatever else the follower reports goes to the log."""
        from limpet.following import Appended

        if not isinstance(event, Appended):
            self._log(event, io)
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
        return Delivery(made, source, LineBatch(self, event))

    def acknowledge(self, batch: Appended) -> None:
        """Note that a batch was processed; commit all before the first that was not."""
        self._acknowledged.add(id(batch))
        while self._open and id(self._open[0]) in self._acknowledged:
            first = self._open.popleft()
            self._acknowledged.discard(id(first))
            first.commit()

    def figures(self) -> FollowStats:
        """Return figures of the follower."""
        return self._follower.stats()

    async def save(self) -> None:
        """Write what was committed to disk."""
        await self._follower.save()

    async def rest(self) -> list[Any]:
        """Return nothing: the next follower reads what was not read."""
        return []

    async def close(self) -> None:
        """Stop; the checkpoint holds what was committed."""
        await self._follower.aclose()

    def _log(self, event: FollowEvent, io: str) -> None:
        from limpet import following as f

        match event:
            case f.Gap(kind=kind, path=path):
                hint = ""
                if kind == "generation-missing" and dict(self.desired.options)["rotated"] is None:
                    hint = "; 'rotated' tells the names of rotated files, such as 'app.log.*'"
                _LOG.warning("%s: %s: %s (%s)%s", io, path, event.missing, kind, hint)
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


def follower_of(desired: DesiredWatch, start: str = "") -> Follower:
    """Return the follower, not entered yet; for ``start`` see ``LineSource.open``.

    Raises:
        UsageError: An option is out of its range.
    """
    import limpet
    from limpet.following import Position

    given = dict(desired.options)
    options: dict[str, Any] = {
        "commit": "manual",
        "state": given["state"],
        "backend": given["backend"],
        "poll_interval": given["poll_interval"],
        **{key: given[key] for key in FOLLOW_OPTIONS},
    }
    first = "beginning" if given["existing"] else "end"
    if start:
        options["start"] = Position.parse(start)
    elif given["state"] is None:
        options["start"] = first
    else:
        options |= {"start": "checkpoint", "fallback": first}
    if (content := given["content"]) is not None:
        options |= {"encoding": content.encoding, "errors": content.errors}
    return limpet.follow(desired.path, **options)


class LineBatch:
    """A delivered batch of lines, and the source it is acknowledged to."""

    __slots__ = ("_batch", "_source")

    def __init__(self, source: LineSource, batch: Appended) -> None:
        self._source = source
        self._batch = batch

    def acknowledge(self) -> None:
        self._source.acknowledge(self._batch)
