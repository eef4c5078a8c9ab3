"""Reads the events of the fleet: in order with a cursor, or shared among several workers.

A cursor is kept by the reader and not by the hub, whose own notes of who has read what have been
wrong after crashes in both directions (nats-server issues 5412 and 8036). It is the number of the
last message, the id under it, and which events were had; saved in the reader's own SQLite file, or
in the transaction of the effect itself, it makes each effect happen once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, ParamSpec, Self, TypeVar

from limpet.remote._dedup import Seen
from limpet.remote._envelope import RemoteEvent, notice
from limpet.remote._message_decoding import event_of
from limpet.remote._subjects import Subjects, check_slug
from limpet.remote.transport import (
    Consumer,
    DisconnectedError,
    HubError,
    Stored,
    Transport,
)

__all__ = ["CursorStore", "EventReader", "Position", "read_events"]

_BATCH: Final = 256
_WAIT_S: Final = 2.0
"""Seconds one question for more is open at the hub."""
_BACK_S: Final = 600.0
"""How far a reader goes back where the hub has lost what the cursor points to; what it had is
dropped, by id."""
_PLACE_S: Final = 2.0
"""Seconds in which the message at the cursor must come."""
_SCHEMA: Final = (
    "create table if not exists limpet_cursor "
    "(name text primary key, position text not null, seen text not null)"
)

_log = logging.getLogger("limpet.remote")
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Up to where a stream was read."""

    stream: str
    """When the stream was made: another stream of that name begins anew."""
    seq: int
    """Number of the last message that was dealt with."""
    id: str
    """Its id."""
    time: float
    """When the hub stored it."""


class CursorStore:
    """Keeps cursors in an SQLite file, or in a database of the program's own."""

    def __init__(self, where: str | Path | sqlite3.Connection) -> None:
        """Open it.

        Args:
            where: A file; or a connection, then ``save`` becomes part of its open transaction, and
                committing it is the program's work.
        """
        self.owns_file = not isinstance(where, sqlite3.Connection)
        """Whether the file is the store's own, and no program's."""
        if isinstance(where, sqlite3.Connection):
            self.connection = where
        else:
            self.connection = sqlite3.connect(where, check_same_thread=False, isolation_level=None)
            self.connection.execute("pragma journal_mode=wal")
        self.connection.execute(_SCHEMA)

    def load(self, name: str) -> tuple[Position | None, Seen]:
        """Give the position kept under a name, and what was seen up to it."""
        row = self.connection.execute(
            "select position, seen from limpet_cursor where name = ?", (name,)
        ).fetchone()
        if row is None:
            return None, Seen()
        return Position(**json.loads(row[0])), Seen.load(row[1])

    def save(self, name: str, position: Position, seen: Seen) -> None:
        """Keep it."""
        text = json.dumps(
            {
                "stream": position.stream,
                "seq": position.seq,
                "id": position.id,
                "time": position.time,
            }
        )
        self.connection.execute(
            "insert or replace into limpet_cursor values (?, ?, ?)", (name, text, seen.dump())
        )

    def close(self) -> None:
        """Close the file, if it is ours."""
        if self.owns_file:
            self.connection.close()


class _Line:
    """The events of one filter, in order."""

    def __init__(self, subject: str, consumer: str, cursor: str) -> None:
        self.subject, self.consumer_name, self.cursor = subject, consumer, cursor
        self.consumer: Consumer | None = None
        self.stream = ""
        self.read: Position | None = None
        """Of the last message that was taken from the hub."""
        self.seen = Seen()
        self.done: Position | None = None
        self.done_seen = Seen()


Handle = tuple[_Line, "Position | None", RemoteEvent]
"""An event that was taken over, and where it stands."""


class EventReader:
    """Events of one host or several, in order for each host: an async iterator.

    An event is dealt with once the next one is asked for, or ``commit`` is called; the cursor is
    saved then. What was handed out and not dealt with comes again after a restart. Of asyncio.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        bot: str,
        hosts: Sequence[str] = (),
        store: CursorStore | str | Path,
        start: str = "new",
        subjects: Subjects | None = None,
        commit_every: float = 0.0,
    ) -> None:
        """Say what is to be read.

        Args:
            transport: The connection to the hub.
            bot: Who reads: a slug; permissions name it.
            hosts: Whose events; none is those of every host.
            store: Where the cursor is kept.
            start: Without a cursor: ``new`` events, or ``all`` that the hub has.
            subjects: For a fleet with a prefix of its own.
            commit_every: Seconds between two times that the cursor is saved while iterating; 0 is
                every time. After a kill, what came since comes again.

        Raises:
            UsageError: A name is no slug.
        """
        self.transport = transport
        self.bot = check_slug(bot, "bot")
        self.subjects = subjects or Subjects()
        self.store = store if isinstance(store, CursorStore) else CursorStore(store)
        self._start = start
        self._commit_every = commit_every
        self._saved = 0.0
        self._lines = [self._line(check_slug(host, "host")) for host in hosts] or [self._line(None)]
        self._ready: deque[tuple[_Line, RemoteEvent, Position | None]] = deque()
        self._pumps: list[asyncio.Task[None]] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._given: tuple[_Line, Position | None, RemoteEvent] | None = None
        self._unsaved: set[_Line] = set()
        self.reconnects = 0
        """Times the reading was begun anew at the cursor."""
        self.duplicates = 0
        """Events that came again and were dropped."""
        self.trouble = ""

    def _line(self, host: str | None) -> _Line:
        name = f"bot-{self.bot}-{host or 'all'}"
        return _Line(self.subjects.events_of(host), name, name)

    async def __aenter__(self) -> Self:
        """Begin to read."""
        for line in self._lines:
            line.done, line.done_seen = await self._load(line)
            line.read, line.seen = line.done, line.done_seen.copy()
            if line.done is None:
                await self._from_now(line)
        self._pumps = [asyncio.create_task(self._pump(line)) for line in self._lines]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End; what was handed out last and not committed comes again."""
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for line in self._lines:
            if line.consumer is not None:
                await line.consumer.close()

    def __aiter__(self) -> AsyncIterator[RemoteEvent]:
        """Iterate over the events as they come."""
        return self

    async def __anext__(self) -> RemoteEvent:
        """Give the next event; the one before is dealt with."""
        if self._given is not None and (
            not self._commit_every or time.monotonic() - self._saved >= self._commit_every
        ):
            await self.commit()
        elif self._given is not None:
            self._accept()
        while not self._ready:
            self._arrived.clear()
            await self._arrived.wait()
        line, event, position = self._ready.popleft()
        self._room.set()
        self._given = (line, position, event)
        return event

    async def commit(self) -> None:
        """Save the cursor behind the event that was handed out last."""
        line = self._accept()
        if line is not None and line.done is not None:
            self._saved = time.monotonic()
            await self._in_store(self.store.save, line.cursor, line.done, line.done_seen)

    def commit_into(self, connection: sqlite3.Connection) -> None:
        """Save the cursor behind the event handed out last in an open transaction of the program.

        Committing it commits both the effect and the cursor; the effect then happens once.
        """
        line = self._accept()
        if line is not None and line.done is not None:
            CursorStore(connection).save(line.cursor, line.done, line.done_seen)

    def handle(self) -> Handle:
        """Take over the event handed out last: ``settle`` says when it is dealt with.

        For who deals with several at a time; handles must be settled in their order.

        Raises:
            RuntimeError: None was handed out.
        """
        given, self._given = self._given, None
        if given is None:
            message = "no event was handed out"
            raise RuntimeError(message)
        return given

    def settle(self, handle: Handle) -> None:
        """An event that was taken over is dealt with; ``save`` keeps that."""
        self._given = handle
        line = self._accept()
        if line is not None:
            self._unsaved.add(line)

    async def save(self) -> None:
        """Save what was settled."""
        lines, self._unsaved = self._unsaved, set()
        try:
            for line in lines:
                if line.done is not None:
                    await self._in_store(
                        self.store.save, line.cursor, line.done, line.done_seen.copy()
                    )
        except BaseException:
            self._unsaved |= lines
            raise

    def _accept(self) -> _Line | None:
        if self._given is None:
            return None
        line, position, event = self._given
        self._given = None
        if position is not None:
            line.done = position
        if event.type != "watch.gap":
            first, last = span_of(event)
            line.done_seen.add_range(event.session, first, last)
        return line

    async def content(self, event: RemoteEvent) -> str | bytes | None:
        """Give an event's content, from the hub's object store where it is large.

        Raises:
            HubError: The object is gone (its time is over), or is not what the agent put there.
        """
        ref = event.object
        if ref is None:
            return event.content
        data = await self.transport.get_object(ref.bucket, ref.name)
        if data is None:
            message = f"the content of {event.path} ({ref.size:,} bytes) is not on the hub any more"
            raise HubError(message, code="hub-object")
        if hashlib.sha256(data).hexdigest() != ref.name:
            message = f"the content of {event.path} on the hub is damaged"
            raise HubError(message, code="hub-object")
        found = event.data.get("content")
        if isinstance(found, dict) and found.get("mode") == "r":
            return data.decode(
                str(found.get("encoding", "utf-8")), str(found.get("errors", "strict"))
            )
        return data

    # -- inside --------------------------------------------------------------------------------

    async def _load(self, line: _Line) -> tuple[Position | None, Seen]:
        return await self._in_store(self.store.load, line.cursor)

    async def _in_store(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Use the cursors' file in a worker thread; a program's own connection from its thread."""
        if self.store.owns_file:
            return await asyncio.to_thread(call, *args, **kwargs)
        return call(*args, **kwargs)

    async def _from_now(self, line: _Line) -> None:
        """Begin without a cursor: at once remember where, so that a restart misses nothing."""
        if self._start != "new":
            return
        while True:
            try:
                stream = await self.transport.created(self.subjects.events)
                position = Position(stream=stream, seq=0, id="", time=time.time())
            except HubError as error:
                self._note(error)
                await asyncio.sleep(0.25)
                continue
            line.done = line.read = position
            inside = self.store.connection.in_transaction
            await self._in_store(self.store.save, line.cursor, position, line.done_seen)
            if not (inside or self.store.owns_file):
                self.store.connection.commit()
            return

    async def _pump(self, line: _Line) -> None:
        """Bring events of one filter, for ever."""
        while True:
            try:
                if line.consumer is None:
                    await self._open(line)
                assert line.consumer is not None  # noqa: S101 (for the type checker)
                stored = await line.consumer.fetch(_BATCH, _WAIT_S)
                self.trouble = ""
            except HubError as error:
                self._note(error)
                line.consumer = None
                self.reconnects += 1
                await asyncio.sleep(0.05 if isinstance(error, DisconnectedError) else 0.5)
                continue
            for message in stored:
                while len(self._ready) >= 2 * _BATCH:
                    self._room.clear()
                    await self._room.wait()
                self._take(line, message)

    def _note(self, error: HubError) -> None:
        if str(error) != self.trouble:
            _log.warning("reading: %s", error)
        self.trouble = str(error)

    async def _open(self, line: _Line) -> None:
        """Begin to read behind what was read; where the hub has lost that, some minutes before."""
        transport, position = self.transport, line.read
        line.stream = await transport.created(self.subjects.events)
        if position is None or not position.seq:
            since = None if position is None else position.time
            line.consumer = await self._read(line, since=since)
            return
        if position.stream == line.stream:
            # Through the consumer's own filter: to ask for a message by its number would need the
            # right to any host's.
            consumer = await self._read(line, after=position.seq - 1)
            for message in await consumer.fetch(1, _PLACE_S):
                if (message.seq, message.id) == (position.seq, position.id):
                    line.consumer = consumer
                    return
            await consumer.close()
        _log.warning(
            "message %d is not on the hub any more: reading again from %d minutes before it",
            position.seq,
            _BACK_S // 60,
        )
        line.consumer = await self._read(line, since=max(0.0, position.time - _BACK_S))

    async def _read(
        self, line: _Line, *, after: int | None = None, since: float | None = None
    ) -> Consumer:
        return await self.transport.read(
            self.subjects.events,
            line.subject,
            name=line.consumer_name,
            after=after,
            since=since,
        )

    def _take(self, line: _Line, message: Stored) -> None:
        position = Position(stream=line.stream, seq=message.seq, id=message.id, time=message.time)
        line.read = position
        event = event_of(message, self.subjects)
        if event is None:
            return
        found = admit(line.seen, event)
        for made in found:
            # What tells of a gap is no message: the place in the stream stays before it.
            self._ready.append((line, made, position if made is event else None))
            self._arrived.set()
        self.duplicates += not found


def admit(seen: Seen, event: RemoteEvent) -> list[RemoteEvent]:
    """Give what is to be handed out for an event: nothing, it, or first what is missing."""
    first, last = span_of(event)
    gap = seen.gap_before(event.session, first)
    if not seen.add_range(event.session, first, last):
        return []
    if gap is None:
        return [event]
    # The missing are not seen: what was refused, and allowed later, still comes.
    return [gap_event(event, *gap), event]


def span_of(event: RemoteEvent) -> tuple[int, int]:
    """Give the first and last number an event stands for: several where it tells of a loss."""
    lost = event.data.get("lost")
    if event.type in {"watch.gap", "watch.overflow"} and isinstance(lost, dict):
        first = int(lost.get("first", event.seq))
        return first, max(event.seq, int(lost.get("last", first)))
    return event.seq, event.seq


def gap_event(event: RemoteEvent, first: int, last: int) -> RemoteEvent:
    """Make the event that tells that others are missing before ``event``."""
    data = notice(
        "watch.gap",
        watch=event.watch,
        time_us=round(event.time * 1e6),
        lost={"first": first, "last": last, "count": last - first + 1},
    )
    return RemoteEvent(
        id=f"{event.session}.gap.{first}",
        session=event.session,
        seq=0,
        host=event.host,
        watch=event.watch,
        type="watch.gap",
        path=None,
        source=None,
        root=None,
        time=event.time,
        server_time=event.server_time,
        origin="live",
        data=data,
    )


async def read_events(
    transport: Transport,
    *,
    bot: str,
    handler: Callable[[RemoteEvent], Awaitable[None]],
    hosts: Sequence[str] = (),
    subjects: Subjects | None = None,
    tries: int = 5,
    retry_delay: float = 5.0,
    ack_wait: float = 30.0,
    batch: int = 16,
    on_event: Callable[[str, Any], None] | None = None,
) -> None:
    """Share the events with other processes that call this with the same ``bot``; for ever.

    Work mode: order is not kept, what a worker that died had comes to another after ``ack_wait``,
    and what fails ``tries`` times goes to the stream of dead letters with its reason.

    Args:
        transport: The connection to the hub.
        bot: Workers with one name share the events.
        handler: Does what is to be done; it raises if it cannot.
        hosts: Whose events; none is those of every host.
        subjects: For a fleet with a prefix of its own.
        tries: Attempts an event gets.
        retry_delay: Seconds before the next attempt.
        ack_wait: Seconds a worker may be silent before its events are given to another.
        batch: Events taken at a time.
        on_event: Hears ``("dead", event)`` and so on; for figures.

    Raises:
        NotPermittedError: The hub's rules do not allow it.
    """
    from limpet.remote._worker_pool import Pool

    pool = Pool(
        transport,
        bot=check_slug(bot, "bot"),
        subjects=subjects or Subjects(),
        hosts=[check_slug(host, "host") for host in hosts],
        handler=handler,
        tries=tries,
        retry_delay=retry_delay,
        ack_wait=ack_wait,
        batch=batch,
        on_event=on_event,
    )
    await pool.run()
