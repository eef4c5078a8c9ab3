"""Brings what one watch tells into the spool, and what happened while no agent ran."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from limpet._wire import Json, put_path, to_wire
from limpet.config import ContentOptions
from limpet.events import EntryEvent, Event, FileCreated, FileUpdated, Kind
from limpet.remote._catalogue import Catalogue, away, path_of
from limpet.remote._client import INLINE_LIMIT
from limpet.remote._envelope import ObjectRef, encode, notice
from limpet.remote._names import Subjects
from limpet.remote._path import flavour_here
from limpet.remote._spool import New, Spool, SpoolFullError
from limpet.watch import watch_dir, watch_file
from limpet.watch._content import with_content

if TYPE_CHECKING:
    from limpet.watch import Watch

__all__ = ["Observer", "WatchSpec", "collapse"]

_PART: Final = 500
"""Events stored in one transaction."""
_FULL_PAUSE_S: Final = 0.25
_log = logging.getLogger("limpet.agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSpec:
    """What an agent watches under one name."""

    name: str
    """A slug; part of the subject."""
    path: str
    kind: Kind = "dir"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of ``watch_dir``, apart from ``existing``, ``own``, ``state`` and ``content``."""
    content: ContentOptions | None = None
    existing: bool = False
    """At the very first start, also tell what is there."""


class Observer:
    """One watch of an agent."""

    def __init__(
        self,
        spec: WatchSpec,
        spool: Spool,
        *,
        host: str,
        subjects: Subjects,
        wake: Callable[[], None],
    ) -> None:
        """Know the parts; ``wake`` is called whenever there is something to send."""
        self.spec, self._spool, self._host, self._subjects = spec, spool, host, subjects
        self._wake = wake
        self._catalogue = Catalogue(spec.name)
        self.ready = asyncio.Event()
        """Set once every later change is seen."""
        self.blocked = False
        """The spool is full, and events wait in the watch."""
        self.told = 0
        self.watch: Watch | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        spec = self.spec
        make = watch_dir if spec.kind == "dir" else watch_file
        # Own writes are kept out of the stream and in the catalogue: nothing of them comes later.
        watch = make(spec.path, **{**spec.options, "existing": True, "own": "mark"})
        async with watch:
            self.watch = watch
            batches = watch.batches()
            first: list[Event] = []
            count = watch.stats().events
            while len(first) < count:
                first += await anext(batches)
            await self._begin(first[:count])
            self.ready.set()
            if first[count:]:
                await self._store(first[count:])
            async for batch in batches:
                for start in range(0, len(batch), _PART):
                    await self._store(batch[start : start + _PART])

    async def _begin(self, events: list[Event]) -> None:
        """Compare what is there with what was told, and tell the difference."""
        key = f"began:{self.spec.name}"
        began = await asyncio.to_thread(self._spool.get, key)
        now, rest = await asyncio.to_thread(self._listing, events)
        if began is None and self.spec.existing:
            await self._store(events, origin="initial")
        elif began is None:
            wires = [wire for _, wire in now.values()]
            await asyncio.to_thread(self._remember, wires)
        else:
            await self._tell_away(now)
        await asyncio.to_thread(self._spool.put, key, self.spec.path)
        if rest:
            await self._store(rest)

    def _listing(
        self, events: Sequence[Event]
    ) -> tuple[dict[bytes, tuple[Event, Json]], list[Event]]:
        """Give what is there, by path, and the events that are about no entry."""
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

    async def _tell_away(self, now: dict[bytes, tuple[Event, Json]]) -> None:
        def compare() -> list[tuple[Event | None, Json]]:
            with self._spool.transaction() as db:
                before = self._catalogue.all(db)
            listing = {path: wire for path, (_, wire) in now.items()}
            return [
                self._told_late(verb, path, old, now.get(path), kind)
                for verb, path, old, _, kind in away(before, listing)
            ]

        found = await asyncio.to_thread(compare)
        for start in range(0, len(found), _PART):
            await self._put(found[start : start + _PART])

    def _told_late(
        self,
        verb: str,
        path: bytes,
        old: bytes | None,
        there: tuple[Event, Json] | None,
        kind: str,
    ) -> tuple[Event | None, Json]:
        """Make the wire object of something that happened while no agent ran."""
        if there is None or verb == "deleted":
            entry = "dir" if kind == "dir" else "file"
            wire = notice(f"{entry}.deleted", watch=self.spec.name, time_us=_now_us())
            location = os.path.abspath(self.spec.path)
            wire |= {"scope": "inside", "entry": kind, "stat": None}
            from pathlib import Path

            put_path(wire, "root", Path(location))
            put_path(wire, "path", Path(os.fsdecode(path)))
            if os.fsdecode(path) == location:
                wire["scope"] = "target"
            elif os.fsdecode(path).startswith(location + os.sep):
                put_path(wire, "rel", Path(os.path.relpath(os.fsdecode(path), location)))
            return None, {**wire, "origin": "offline"}
        event, made = there
        wire = {**made, "origin": "offline"}
        wire.pop("existing", None)
        entry = str(made["type"]).partition(".")[0]
        if verb != "created":
            wire["type"] = f"{entry}.{verb}"
        if verb == "updated":
            wire["changes"] = ["content"]
        if verb == "renamed" and old is not None:
            from pathlib import Path

            wire["move"] = "within"
            put_path(wire, "old_path", Path(os.fsdecode(old)))
            event = dataclasses.replace(event)
            return None, wire
        return event, wire

    async def _store(self, events: Sequence[Event], origin: str | None = None) -> None:
        def pairs() -> list[tuple[Event | None, Json]]:
            found: list[tuple[Event | None, Json]] = [(one, self._wire(one)) for one in events]
            if origin is not None:
                for _, wire in found:
                    wire["origin"] = origin
            return found

        await self._put(await asyncio.to_thread(pairs))

    async def _put(self, pairs: list[tuple[Event | None, Json]]) -> None:
        """Store events; while there is no room, they wait here and the watch is not read."""
        part = len(pairs)
        while pairs:
            try:
                count = await asyncio.to_thread(self._commit, pairs[:part])
            except SpoolFullError as error:
                if part > 1:
                    part //= 2
                    continue
                if not self.blocked:
                    _log.error("%s: nothing more is taken until there is room", error)
                self.blocked = True
                await asyncio.sleep(_FULL_PAUSE_S)
            else:
                self.blocked = False
                self.told += count
                pairs = pairs[part:]
                self._wake()

    # -- in a worker thread --------------------------------------------------------------------

    def _remember(self, wires: Sequence[Json]) -> None:
        for start in range(0, len(wires), 5_000):
            with self._spool.transaction() as db:
                for wire in wires[start : start + 5_000]:
                    self._catalogue.apply(db, wire)

    def _commit(self, pairs: list[tuple[Event | None, Json]]) -> int:
        """Store events and what they say of the place, in one transaction."""
        spec, spool = self.spec, self._spool
        ready = [(wire, *self._content(event, wire)) for event, wire in pairs]
        with spool.transaction() as db:
            seq = spool.next_seq()
            rows: list[New] = []
            for wire, ref, content in ready:
                self._catalogue.apply(db, wire)
                if wire.get("own"):
                    continue
                data = encode(
                    wire,
                    session=spool.session,
                    seq=seq + len(rows),
                    host=self._host,
                    watch=spec.name,
                    flavour=flavour_here(),
                    content=ref,
                )
                subject = self._subjects.event(self._host, spec.name, str(wire["type"]))
                name = None if ref is None else ref.name
                rows.append(New(seq + len(rows), subject, data, name, content))
            spool.add(rows)
            if spool.over:
                collapse(spool, host=self._host, watch=spec.name, subjects=self._subjects)
        return len(rows)

    def _wire(self, event: Event) -> Json:
        return to_wire(event, session="0", name=self.spec.name)

    def _content(self, event: Event | None, wire: Json) -> tuple[ObjectRef | None, bytes]:
        """Read the content of a file that is to be told of, into the event or beside it."""
        options = self.spec.content
        if options is None or event is None or not isinstance(event, FileCreated | FileUpdated):
            return None, b""
        if wire.get("own"):
            return None, b""
        read, _ = with_content(event, options)
        assert isinstance(read, FileCreated | FileUpdated)  # noqa: S101 (for the type checker)
        content: Json = {"included": read.content is not None, "mode": options.mode}
        wire["content"] = content
        if read.content is None:
            content["reason"] = read.content_error or "error"
            return None, b""
        raw = read.content if isinstance(read.content, bytes) else None
        if raw is None and isinstance(read.content, str):
            raw = read.content.encode(options.encoding, options.errors)
            content["encoding"], content["errors"] = options.encoding, options.errors
        assert raw is not None  # noqa: S101 (for the type checker)
        if len(raw) <= INLINE_LIMIT:
            content["b64"] = base64.b64encode(raw).decode("ascii")
            return None, b""
        content["included"], content["reason"] = False, "object"
        name = hashlib.sha256(raw).hexdigest()
        bucket = self._subjects.content(self._host)
        return ObjectRef(bucket=bucket, name=name, size=len(raw)), raw


def collapse(spool: Spool, *, host: str, watch: str, subjects: Subjects) -> None:
    """Give up the oldest events of a full spool, inside a transaction, and tell which."""
    first, last, count = spool.drop_oldest(spool.over)
    if not count:
        return
    _log.error(
        "the spool is full: the oldest %d events (%d to %d) are given up", count, first, last
    )
    wire = notice(
        "watch.overflow",
        watch=watch,
        time_us=_now_us(),
        lost={"first": first, "last": last, "count": count},
    )
    data = encode(
        wire,
        session=spool.session,
        seq=last,
        host=host,
        watch=watch,
        flavour=flavour_here(),
    )
    subject = subjects.event(host, watch, "watch.overflow")
    spool.mark_collapsed(first, last, subject, data)


def _now_us() -> int:
    import time

    return time.time_ns() // 1000
