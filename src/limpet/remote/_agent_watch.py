"""Brings what one watch tells into the spool, and what happened while no agent ran."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from limpet._wire import Json, path_of, put_path, to_wire
from limpet.config import ContentOptions
from limpet.events import EntryEvent, Event, FileCreated, FileUpdated, Kind
from limpet.remote._agent_source import Feed, Item, now_us
from limpet.remote._entry_snapshot import Catalogue, away
from limpet.remote._envelope import ObjectRef, notice
from limpet.remote._remote_output import INLINE_LIMIT
from limpet.remote._spool import Spool
from limpet.remote._subjects import Subjects
from limpet.watch import watch_dir, watch_file, with_content

if TYPE_CHECKING:
    from limpet.watch import Watch

__all__ = ["Observer", "WatchSpec"]

_PART: Final = 500
"""Events stored in one transaction."""

_Pair = tuple[Event | None, Json]
"""What is to be told, and the event whose file's content is to be read for it, if any."""


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


class Observer(Feed[WatchSpec]):
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
        """Know the parts; see ``Feed``."""
        super().__init__(spec, spool, host=host, subjects=subjects, wake=wake)
        self._bucket = subjects.content(host)
        self._catalogue = Catalogue(spec.name)
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
            await self._store(first[count:])
            async for batch in batches:
                await self._store(batch)

    async def _begin(self, events: list[Event]) -> None:
        """Compare what is there with what was told, and tell the difference."""
        key = f"began:{self.spec.name}"
        began = await asyncio.to_thread(self.spool.get, key)
        now, rest = await asyncio.to_thread(self._listing, events)
        if began is not None:
            told = await asyncio.to_thread(self._told_late, now)
        elif self.spec.existing:
            told = [(event, {**wire, "origin": "initial"}) for event, wire in now.values()]
        else:
            told = []
            await asyncio.to_thread(self._remember, [wire for _, wire in now.values()])
        await self._put_all(told)
        await asyncio.to_thread(self.spool.put, key, self.spec.path)
        await self._store(rest)

    async def _store(self, events: Sequence[Event]) -> None:
        def pairs() -> list[_Pair]:
            return [(event, self._wire(event)) for event in events]

        await self._put_all(await asyncio.to_thread(pairs))

    async def _put_all(self, pairs: Sequence[_Pair]) -> None:
        for start in range(0, len(pairs), _PART):
            await self.put(pairs[start : start + _PART], self._commit)

    # -- in a worker thread --------------------------------------------------------------------

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

    def _told_late(self, now: Mapping[bytes, tuple[Event, Json]]) -> list[_Pair]:
        """Compare what is there with what was told, and give what is to be told."""
        with self.spool.transaction() as db:
            before = self._catalogue.all(db)
        listing = {path: wire for path, (_, wire) in now.items()}
        return [
            (None, self._gone(path, kind))
            if verb == "deleted"
            else self._changed(verb, old, *now[path])
            for verb, path, old, kind in away(before, listing)
        ]

    def _gone(self, path: bytes, kind: str) -> Json:
        """Make the wire object of what was deleted while no agent ran."""
        entry = "dir" if kind == "dir" else "file"
        wire = notice(f"{entry}.deleted", watch=self.spec.name, time_us=now_us())
        wire |= {"scope": "inside", "entry": kind, "stat": None, "origin": "offline"}
        root, gone = Path(os.path.abspath(self.spec.path)), Path(os.fsdecode(path))
        put_path(wire, "root", root)
        put_path(wire, "path", gone)
        if gone == root:
            wire["scope"] = "target"
        elif gone.is_relative_to(root):
            put_path(wire, "rel", gone.relative_to(root))
        return wire

    @staticmethod
    def _changed(verb: str, old: bytes | None, event: Event, made: Json) -> _Pair:
        """Give what came, changed or was renamed while no agent ran; ``made`` says it is there."""
        wire: Json = {**made, "origin": "offline"}
        wire.pop("existing", None)
        if verb != "created":
            wire["type"] = f"{str(made['type']).partition('.')[0]}.{verb}"
        if verb == "updated":
            wire["changes"] = ["content"]
        if old is None:
            return event, wire
        wire["move"] = "within"
        put_path(wire, "old_path", Path(os.fsdecode(old)))
        return None, wire  # its content is as it was

    def _remember(self, wires: Sequence[Json]) -> None:
        for start in range(0, len(wires), 5_000):
            with self.spool.transaction() as db:
                for wire in wires[start : start + 5_000]:
                    self._catalogue.apply(db, wire)

    def _commit(self, pairs: Sequence[_Pair]) -> int:
        """Store events and what they say of the place, in one transaction."""
        ready = [Item(wire, *self._content(event, wire)) for event, wire in pairs]
        with self.spool.transaction() as db:
            for item in ready:
                self._catalogue.apply(db, item.wire)
            return self.store(item for item in ready if not item.wire.get("own"))

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
        return ObjectRef.of(self._bucket, raw), raw
