"""One follower of an agent: each line that is added to a file goes into the spool once.

After a kill the follower reports again what came after its checkpoint. How far the spool has each
file is stored, as a position, in the transaction of the lines themselves, so that repeated lines
are cut off; those of another file that got the same number are not.
"""

from __future__ import annotations

import base64
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from limpet._wire import Json, put_path
from limpet.following import Appended, FollowEvent, Gap, Position, Truncated, follow
from limpet.remote._agent_source import AgentSource, SourceEvent, now_us
from limpet.remote._envelope import notice

_PART: Final = 64 * 1024
"""Bytes of lines in one event: escaped as JSON, still far below the limit of a hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSpec:
    """A follower of an agent."""

    name: str
    """A slug; part of the subject."""
    path: str
    """May be a glob."""
    options: dict[str, Any] = field(default_factory=dict)
    """Those of ``limpet.follow``, without ``state`` and ``commit``."""


class AgentFollow(AgentSource[FollowSpec]):
    """One follower of an agent."""

    _before: dict[bytes, int]
    """Number and path of each file of this run -> up to which byte an earlier run stored it."""

    async def run(self) -> None:
        """Follow until cancelled."""
        spec, self._before = self.spec, {}
        state = f"{self.spool.path}.{spec.name}.follow"
        options = {"fallback": "end", **spec.options, "state": state, "commit": "manual"}
        async with follow(spec.path, **options) as follower:
            self.figures = follower.stats
            self.ready.set()
            async for event in follower.events():
                await self.put([event], self._commit)
                if isinstance(event, Appended):
                    event.commit()

    # -- in a worker thread ----------------------------------------------------------------------

    def _commit(self, events: Sequence[FollowEvent]) -> int:
        """Store the new lines of events, and the end of what is stored, in one transaction."""
        with self.spool.transaction() as db:
            return self.store(
                SourceEvent(wire) for event in events for wire in self._wires(event, db)
            )

    def _wires(self, event: FollowEvent, db: sqlite3.Connection) -> Iterator[Json]:
        if isinstance(event, Appended):
            position = event.position
            key = f"{event.generation}@".encode() + os.fsencode(event.path)
            if key not in self._before:
                self._before[key] = self._stored_before(event, position, db)
            stored = self._before[key]
            if stored >= event.end:
                return
            for lines, start, end, data in parts_of(event, stored):
                yield self._wire(
                    "file.lines", event.path, event.time,
                    lines={"generation": event.generation, "start": start, "end": end,
                           "complete": event.complete or end < event.end, "text": lines},
                    **({} if is_text(data) else {"b64": base64.b64encode(data).decode("ascii")}),
                )  # fmt: skip
            db.execute(
                "insert or replace into position values (?, ?, ?)",
                (self.spec.name, key, str(position).encode()),
            )
        elif isinstance(event, Gap | Truncated):
            kind = "file.gap" if isinstance(event, Gap) else "file.truncated"
            lost: dict[str, object] = {"kind": event.kind}
            if isinstance(event, Gap):
                lost |= {"bytes": event.bytes, "size_known": event.size_known}
            yield self._wire(kind, event.path, now_us() / 1e6, lost=lost)

    def _stored_before(self, event: Appended, position: Position, db: sqlite3.Connection) -> int:
        """Return up to which byte an earlier run stored the file of an event; -1 if none did.

        The number of a file may differ from run to run: one that no checkpoint had gets a new one.
        """
        beginning = None if event.start else event.data
        query = "select key, value from position where watch = ?"
        path = b"@" + os.fsencode(event.path)
        before = [
            Position.parse(value.decode())
            for key, value in db.execute(query, (self.spec.name,))
            if key.endswith(path) and key not in self._before
        ]
        ends = [one.offset for one in before if one.is_same_file(position, beginning)]
        return max(ends, default=-1)

    def _wire(self, kind: str, path: Path, when: float, **more: object) -> Json:
        wire = notice(kind, watch=self.spec.name, time_us=round(when * 1e6), **more)
        wire |= {"scope": "target", "entry": "file"}
        put_path(wire, "root", path)
        put_path(wire, "path", path)
        return wire


def parts_of(event: Appended, stored: int) -> Iterator[tuple[list[str], int, int, bytes]]:
    """Split a batch into parts that fit into a message, from byte ``stored`` on.

    Yields:
        The lines as text, their first and last byte in the file, and the bytes.
    """
    starts = event.offsets()
    ends = [*starts[1:], event.end]
    lines: list[str] = []
    first = None
    for text, start, end in zip(event.lines, starts, ends, strict=True):
        if start < stored:
            continue
        if first is None:
            first = start
        lines.append(text if isinstance(text, str) else text.decode("utf-8", "replace"))
        if end - first >= _PART or end == event.end:
            yield lines, first, end, event.data[first - event.start : end - event.start]
            lines, first = [], None


def is_text(data: bytes) -> bool:
    """Return whether text holds the lines without a loss."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
