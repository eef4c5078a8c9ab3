"""One watch of an agent: its events, and what changed while no agent ran, go into the spool."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from limpet._wire import Json, path_of, put_path, to_wire
from limpet.config import ContentOptions
from limpet.events import EntryEvent, Event, FileCreated, FileUpdated, Kind
from limpet.remote._agent_source import AgentSource, SourceEvent, now_us
from limpet.remote._entry_snapshot import diff_offline, load_snapshots, update_snapshot
from limpet.remote._envelope import ObjectRef, notice
from limpet.remote._remote_output import INLINE_LIMIT
from limpet.watching import watch_dir, watch_file, with_content

_PART: Final = 500
"""Events stored in one transaction."""

_Pair = tuple[Event | None, Json]
"""A wire object, and the event whose file's content is read for it, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSpec:
    """A watch of an agent."""

    name: str
    """A slug; part of the subject."""
    path: str
    kind: Kind = "dir"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Those of ``watch_dir``, without ``existing``, ``own``, ``state`` and ``content``."""
    content: ContentOptions | None = None
    existing: bool = False
    """At the very first start, also report what exists."""


class AgentWatch(AgentSource[WatchSpec]):
    """One watch of an agent."""

    async def run(self) -> None:
        """Watch until cancelled."""
        spec = self.spec
        make = watch_dir if spec.kind == "dir" else watch_file
        # Own writes are not sent, but are in the snapshot, or the next start would report them.
        async with make(spec.path, **{**spec.options, "existing": True, "own": "mark"}) as watch:
            self.figures = watch.stats
            batches = watch.batches()
            first: list[Event] = []
            count = watch.stats().events
            while len(first) < count:
                first += await anext(batches)
            await self._start(first[:count])
            self.ready.set()
            await self._store(first[count:])
            async for batch in batches:
                await self._store(batch)

    async def _start(self, events: list[Event]) -> None:
        """Compare the entries that exist with the snapshots, and store the differences."""
        key = f"began:{self.spec.name}"
        began = await asyncio.to_thread(self.spool.get, key)
        now, rest = await asyncio.to_thread(self._listing, events)
        if began is not None:
            found = await asyncio.to_thread(self._offline, now)
        elif self.spec.existing:
            found = [(event, {**wire, "origin": "initial"}) for event, wire in now.values()]
        else:
            found = []
            await asyncio.to_thread(self._remember, [wire for _, wire in now.values()])
        await self._put_all(found)
        await asyncio.to_thread(self.spool.put, key, self.spec.path)
        await self._store(rest)

    async def _store(self, events: Sequence[Event]) -> None:
        for event in events:
            self.degraded.note(event)

        def pairs() -> list[_Pair]:
            return [(event, self._wire(event)) for event in events]

        await self._put_all(await asyncio.to_thread(pairs))

    async def _put_all(self, pairs: Sequence[_Pair]) -> None:
        for start in range(0, len(pairs), _PART):
            await self.put(pairs[start : start + _PART], self._commit)

    # -- in a worker thread ----------------------------------------------------------------------

    def _listing(
        self, events: Sequence[Event]
    ) -> tuple[dict[bytes, tuple[Event, Json]], list[Event]]:
        """Return the entries that exist, by path, and the events that have no entry."""
        now: dict[bytes, tuple[Event, Json]] = {}
        rest: list[Event] = []
        for event in events:
            wire = self._wire(event)
            path = path_of(wire, "path")
            if isinstance(event, EntryEvent) and path is not None:
                now[path] = (event, wire)
            else:
                rest.append(event)
        return now, rest

    def _offline(self, now: Mapping[bytes, tuple[Event, Json]]) -> list[_Pair]:
        """Return the changes between the snapshots and the entries that exist."""
        with self.spool.transaction() as db:
            before = load_snapshots(db, self.spec.name)
        listing = {path: wire for path, (_, wire) in now.items()}
        return [
            (None, self._deleted(path, kind))
            if verb == "deleted"
            else self._changed(verb, old, *now[path])
            for verb, path, old, kind in diff_offline(before, listing)
        ]

    def _deleted(self, path: bytes, kind: str) -> Json:
        """Return the wire object of an entry that was deleted while no agent ran."""
        entry = "dir" if kind == "dir" else "file"
        wire = notice(f"{entry}.deleted", watch=self.spec.name, time_us=now_us())
        wire |= {"scope": "inside", "entry": kind, "stat": None, "origin": "offline"}
        root, gone = Path(os.path.abspath(self.spec.path)), Path(os.fsdecode(path))
        put_path(wire, "root", root)
        put_path(wire, "path", gone)
        if gone == root:
            wire["scope"] = "target"
        elif gone.is_relative_to(root):
            put_path(wire, "rel", gone.relative_to(root).as_posix())
        return wire

    @staticmethod
    def _changed(verb: str, old: bytes | None, event: Event, existing: Json) -> _Pair:
        """Return what was created, updated or renamed while no agent ran."""
        wire: Json = {**existing, "origin": "offline"}
        wire.pop("existing", None)
        if verb != "created":
            wire["type"] = f"{str(existing['type']).partition('.')[0]}.{verb}"
        if verb == "updated":
            wire["changes"] = ["content"]
        if old is None:
            return event, wire
        wire["move"] = "within"
        put_path(wire, "old_path", Path(os.fsdecode(old)))
        return None, wire  # its content did not change

    def _remember(self, wires: Sequence[Json]) -> None:
        for start in range(0, len(wires), 5_000):
            with self.spool.transaction() as db:
                for wire in wires[start : start + 5_000]:
                    update_snapshot(db, self.spec.name, wire)

    def _commit(self, pairs: Sequence[_Pair]) -> int:
        """Store events, and update the snapshots, in one transaction."""
        ready = [SourceEvent(wire, *self._content(event, wire)) for event, wire in pairs]
        with self.spool.transaction() as db:
            for item in ready:
                update_snapshot(db, self.spec.name, item.wire)
            return self.store(item for item in ready if not item.wire.get("own"))

    def _wire(self, event: Event) -> Json:
        return to_wire(event, session="0", name=self.spec.name)

    def _content(self, event: Event | None, wire: Json) -> tuple[ObjectRef | None, bytes]:
        """Read the content of an event's file, into the wire object or beside it."""
        options = self.spec.content
        if options is None or not isinstance(event, FileCreated | FileUpdated) or wire.get("own"):
            return None, b""
        read, _ = with_content(event, options)
        assert isinstance(read, FileCreated | FileUpdated)  # noqa: S101 - for the type checker
        content: Json = {"included": read.content is not None, "mode": options.mode}
        wire["content"] = content
        if read.content is None:
            content["reason"] = read.content_error or "error"
            return None, b""
        if isinstance(read.content, str):
            raw = read.content.encode(options.encoding, options.errors)
            content["encoding"], content["errors"] = options.encoding, options.errors
        else:
            raw = read.content
        if len(raw) <= INLINE_LIMIT:
            content["b64"] = base64.b64encode(raw).decode("ascii")
            return None, b""
        content["included"], content["reason"] = False, "object"
        return ObjectRef.of(self.subjects.content(self.host), raw), raw
