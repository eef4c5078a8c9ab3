"""Reads the events of the fleet in order, with a checkpoint of what is acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, ParamSpec, Self, TypeVar

from limpet._backoff import Backoff
from limpet.errors import UsageError
from limpet.remote._agent_report import agent_status
from limpet.remote._checkpoint_store import CheckpointStore, StreamPosition
from limpet.remote._dedup import DeliveredRanges
from limpet.remote._envelope import RemoteEvent
from limpet.remote._fleet_hosts import FleetHosts
from limpet.remote._gap_detection import admit, span_of
from limpet.remote._message_decoding import event_of
from limpet.remote._subjects import Subjects, check_slug
from limpet.remote.transport import (
    Consumer,
    DisconnectedError,
    HubError,
    NotPermittedError,
    StoredMessage,
    Transport,
)
from limpet.status import AgentStatus

_BATCH: Final = 256
_WAIT_S: Final = 2.0
"""Seconds that a request for messages is open at the hub."""
_BACK_S: Final = 600.0
"""How far a reader goes back if the hub has lost the message of the checkpoint; events that were
delivered before are dropped, by id."""
_PAUSE_S: Final = 10.0
"""Maximum seconds between two attempts while the hub refuses."""

_log = logging.getLogger("limpet.remote")
P = ParamSpec("P")
T = TypeVar("T")


class _Subscription:
    """The events of one host, in order."""

    def __init__(self, host: str, name: str) -> None:
        self.host = host
        self.name = name
        """That of its checkpoint."""
        self.consumer: Consumer | None = None
        self.starts_new = False
        """Its newest message could not be asked for yet, and it begins after that."""
        self.read: StreamPosition | None = None
        """Position of the last message that was read."""
        self.delivered = DeliveredRanges()
        self.checkpoint: StreamPosition | None = None
        """Position of the last message whose event is acknowledged."""
        self.acknowledged = DeliveredRanges()


class DeliveredEvent(NamedTuple):
    """An event that was delivered, for ``EventReader.acknowledge``."""

    subscription: _Subscription
    event: RemoteEvent
    position: StreamPosition | None
    """``None`` for a gap, which is not a message."""


class EventReader:
    """Events of one host or several, in order for each host: an async iterator, on asyncio.

    ``acknowledge`` notes that an event is processed, ``save`` stores that as the checkpoint, and
    ``commit`` does both. A restarted reader continues after its checkpoint.

    - A loop over the reader needs none of them: asking for the next event commits the one before.
    - A program that processes several events at a time takes each one over with ``take``,
      acknowledges them in their order, and calls ``save`` now and then.
    - ``commit_into`` puts the checkpoint into the program's own transaction, with the effect of the
      event; then each effect happens exactly once.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        bot: str,
        hosts: Sequence[str] = (),
        store: CheckpointStore | str | Path,
        start: str = "new",
        subjects: Subjects | None = None,
        commit_every: float = 0.0,
    ) -> None:
        """Create a reader; ``async with`` starts it.

        Args:
            transport: The connection to the hub.
            bot: Name of the reader: a slug; permissions name it.
            hosts: The hosts to read; none is every host.
            store: Where the checkpoint is stored.
            start: Without a checkpoint: ``new`` events, or ``all`` that the hub has.
            subjects: For a fleet with a prefix of its own.
            commit_every: Seconds between two times that a loop saves the checkpoint; 0 is with
                every event. After a kill, later events are delivered again.

        Raises:
            UsageError: A name is not a slug.
        """
        self.transport = transport
        self.bot = check_slug(bot, "bot")
        self.subjects = subjects or Subjects()
        self._made_store = not isinstance(store, CheckpointStore)
        self.store = store if isinstance(store, CheckpointStore) else CheckpointStore(store)
        self._start = start
        self._commit_every = commit_every
        self._saved = 0.0
        self._hosts = FleetHosts(transport, self.subjects) if not hosts else None
        self._subscriptions = [self._subscription(check_slug(host, "host")) for host in hosts]
        self._ready: deque[DeliveredEvent] = deque()
        self._is_open = False
        self._pumps: list[asyncio.Task[None]] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._last: DeliveredEvent | None = None
        """The event that was delivered last, unless it is acknowledged or taken over."""
        self._unsaved: set[_Subscription] = set()
        self.reconnects = 0
        """Times that reading started again after an error of the hub."""
        self.duplicates = 0
        """Repeated events that were dropped."""
        self.set_aside = 0
        """Messages that are not events; the log has the reason of each."""
        self.trouble = ""

    async def __aenter__(self) -> Self:
        """Start to read; see ``aopen``."""
        return await self.aopen()

    async def __aexit__(self, *_: object) -> None:
        """Stop; see ``aclose``."""
        await self.aclose()

    async def aopen(self) -> Self:
        """Start to read without a block; ``aclose`` is due later.

        Raises:
            UsageError: It is open already.
        """
        if self._is_open:
            message = f"the reader of bot {self.bot!r} is open already"
            raise UsageError(message)
        self._is_open = True
        if self._made_store:
            self.store.open()
        try:
            await self._begin()
        except BaseException:
            self._is_open = False
            for pump in self._pumps:
                pump.cancel()
            self._pumps.clear()
            if self._hosts is not None:
                self._subscriptions = []
            if self._made_store:
                self.store.close()
            raise
        return self

    def _subscription(self, host: str) -> _Subscription:
        return _Subscription(host, f"bot-{self.bot}-{host}")

    async def _begin(self) -> None:
        if self._hosts is None:
            for one in self._subscriptions:
                await self._load(one, start=self._start)
        else:
            hosts = await self._patiently(self._hosts.names)
            for host in hosts:
                await self._add(host, start=self._start)
            self._pumps.append(asyncio.create_task(self._add_hosts()))
        self._pumps += [asyncio.create_task(self._pump(one)) for one in self._subscriptions]

    async def _add(self, host: str, *, start: str) -> _Subscription:
        one = self._subscription(host)
        await self._load(one, start=start)
        self._subscriptions.append(one)
        return one

    async def _add_hosts(self) -> None:
        """Read the hosts that are added to the fleet, from their first event on."""
        assert self._hosts is not None  # noqa: S101 - for the type checker
        while True:
            known = {one.host for one in self._subscriptions}
            for host in await self._hosts.added(known):
                one = await self._add(host, start="all")
                self._pumps.append(asyncio.create_task(self._pump(one)))

    async def _load(self, one: _Subscription, *, start: str) -> None:
        one.checkpoint, one.acknowledged = await self._in_store(self.store.load, one.name)
        one.read, one.delivered = one.checkpoint, one.acknowledged.copy()
        if one.checkpoint is None and start == "new":
            await self._start_now(one)

    async def aclose(self) -> None:
        """Stop; events that were not acknowledged are delivered again by the next reader.

        So are all since the last save if the checkpoint cannot be saved now; the log says so. May
        be called twice.
        """
        self._is_open = False
        pumps, self._pumps = self._pumps, []
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for one in self._subscriptions:
            if one.consumer is not None:
                await one.consumer.close()
                one.consumer = None
        if self._hosts is not None:
            self._subscriptions = []  # the next opening finds the hosts that are there then
        if self._made_store:
            try:
                await self.save()  # a loop acknowledges more often than it saves
            except sqlite3.Error as error:
                self._unsaved.clear()
                _log.warning("reader: cannot save the checkpoint: %s", error)
            finally:
                await self._in_store(self.store.close)

    def __aiter__(self) -> AsyncIterator[RemoteEvent]:
        return self

    async def __anext__(self) -> RemoteEvent:
        """Return the next event; commit the one before, or acknowledge it (``commit_every``)."""
        if self._last is not None:
            if not self._commit_every or time.monotonic() - self._saved >= self._commit_every:
                await self.commit()
            else:
                self._acknowledge_last()
        while not self._ready:
            self._arrived.clear()
            self._raise_failure()
            await self._arrived.wait()
        self._last = self._ready.popleft()
        self._room.set()
        return self._last.event

    @property
    def lag(self) -> int:
        """Return how many events wait: on the hub, as far as that is known, and here."""
        consumers = [one.consumer for one in self._subscriptions if one.consumer is not None]
        return len(self._ready) + sum(one.lag for one in consumers)

    async def agents(self) -> tuple[AgentStatus, ...]:
        """Return the agents of the hosts that it reads, as they have reported last.

        Raises:
            HubError: The hub does not answer, or refuses it.
        """
        hosts = [one.host for one in self._subscriptions]
        found = await asyncio.gather(
            *(agent_status(self.transport, self.subjects, host) for host in hosts)
        )
        return tuple(found)

    async def commit(self) -> None:
        """Acknowledge the event that was delivered last, and save the checkpoint."""
        if self._last is not None:
            self._acknowledge_last()
        self._saved = time.monotonic()
        await self.save()

    def commit_into(self, connection: sqlite3.Connection) -> None:
        """Acknowledge the event that was delivered last, in an open transaction of the program.

        Committing the transaction commits both the effect and the checkpoint, so that the effect
        happens exactly once.
        """
        if self._last is not None:
            one = self._last.subscription
            self._acknowledge_last()
            self._unsaved.discard(one)
            if one.checkpoint is not None:
                CheckpointStore(connection).save(one.name, one.checkpoint, one.acknowledged)

    def take(self) -> DeliveredEvent:
        """Take over the event that was delivered last, to acknowledge it later.

        Raises:
            RuntimeError: No event was delivered.
        """
        if self._last is None:
            message = "no event was delivered"
            raise RuntimeError(message)
        taken, self._last = self._last, None
        return taken

    def acknowledge(self, delivered: DeliveredEvent) -> None:
        """Acknowledge an event that was taken over; must be called in the order of the events."""
        one, event, position = delivered
        if position is not None:
            one.checkpoint = position
        if event.type != "watch.gap":
            first, last = span_of(event)
            one.acknowledged.add_range(event.session, first, last)
        self._unsaved.add(one)

    def _acknowledge_last(self) -> None:
        self.acknowledge(self.take())

    async def save(self) -> None:
        """Save the checkpoint of the events that are acknowledged."""
        unsaved, self._unsaved = self._unsaved, set()
        try:
            for one in unsaved:
                if one.checkpoint is not None:
                    ranges = one.acknowledged.copy()
                    await self._in_store(self.store.save, one.name, one.checkpoint, ranges)
        except BaseException:
            self._unsaved |= unsaved
            raise

    async def content(self, event: RemoteEvent) -> str | bytes | None:
        """Return an event's content; fetch a large one from the hub's object store.

        Raises:
            HubError: The object is gone (it has expired), or is not the one of the agent.
        """
        ref = event.object
        if ref is None:
            return event.content
        data = None
        if ref.bucket == self.subjects.content(event.host):  # what else it names is not the host's
            data = await self.transport.get_object(ref.bucket, ref.name, ref.size)
        if data is None:
            message = f"the content of {event.path} ({ref.size:,} bytes) is not on the hub any more"
            raise HubError(message, code="hub-object")
        if hashlib.sha256(data).hexdigest() != ref.name:
            message = f"the content of {event.path} on the hub is damaged"
            raise HubError(message, code="hub-object")
        try:
            return event.decoded(data)
        except ValueError as error:
            message = f"the content of {event.path} is not the text that its host says: {error}"
            raise HubError(message, code="hub-object") from error

    # -- inside ----------------------------------------------------------------------------------

    async def _in_store(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Use the store's file in a worker thread; a program's connection in its own thread."""
        if self.store.owns_file:
            return await asyncio.to_thread(call, *args, **kwargs)
        return call(*args, **kwargs)

    def _raise_failure(self) -> None:
        """Raise the exception by which a task of the reader ended: nothing would come any more."""
        for pump in self._pumps:
            if pump.done() and not pump.cancelled():
                pump.result()

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the answer of the hub, however long it is away."""
        backoff = Backoff(0.25, 2.0)
        while True:
            try:
                answer = await ask()
            except DisconnectedError as error:
                self._note(error)
                await asyncio.sleep(backoff.next())
            else:
                self.trouble = ""
                return answer

    async def _start_now(self, one: _Subscription) -> None:
        """Start with new events; save that at once, so that a restart misses nothing."""
        stream = self.subjects.events(one.host)
        try:
            newest = await self._patiently(partial(self.transport.newest, stream))
        except NotPermittedError:
            raise
        except HubError as error:  # of this host alone: the others do not wait for it
            self._note(error)
            one.starts_new = True
            return
        one.starts_new = False
        one.checkpoint = one.read = _position_of(newest)
        inside = self.store.connection.in_transaction
        await self._in_store(self.store.save, one.name, one.checkpoint, one.acknowledged)
        if not (inside or self.store.owns_file):
            self.store.connection.commit()

    async def _pump(self, one: _Subscription) -> None:
        """Read the events of one host until cancelled."""
        try:
            await self._read(one)
        finally:
            self._arrived.set()  # so that an exception is raised to whoever waits for events

    async def _read(self, one: _Subscription) -> None:
        backoff = Backoff(0.5, _PAUSE_S)
        while True:
            try:
                if one.starts_new:
                    await self._start_now(one)
                if one.starts_new:
                    await asyncio.sleep(backoff.next())
                    continue
                if one.consumer is None:
                    one.consumer = await self._open(one)
                stored = await one.consumer.fetch(_BATCH, _WAIT_S)
                self.trouble = ""
                backoff.reset()
            except HubError as error:
                self._note(error)
                if one.consumer is not None:
                    await one.consumer.close()
                one.consumer = None
                self.reconnects += 1
                away = isinstance(error, DisconnectedError)
                await asyncio.sleep(0.05 if away else backoff.next())
                continue
            for message in stored:
                while len(self._ready) >= 2 * _BATCH:
                    self._room.clear()
                    await self._room.wait()
                self._deliver(one, message)

    def _note(self, error: HubError) -> None:
        if str(error) != self.trouble:
            _log.warning("reader: hub error, reconnecting: %s", error)
        self.trouble = str(error)

    async def _open(self, one: _Subscription) -> Consumer:
        """Continue after the last message; if the hub has lost it, some minutes before it."""
        transport, position = self.transport, one.read
        stream, live = self.subjects.events(one.host), self.subjects.live_events(one.host)
        if position is None or not position.seq:
            return await transport.read(stream, live=live, after=0)
        there = await transport.at(stream, position.seq)
        if there is not None and _position_of(there) == position:
            return await transport.read(stream, live=live, after=position.seq)
        _log.warning(
            "message %d of %s is not on the hub any more: reading again from %d minutes before it",
            position.seq,
            one.host,
            _BACK_S // 60,
        )
        return await transport.read(stream, live=live, since=max(0.0, position.time - _BACK_S))

    def _deliver(self, one: _Subscription, message: StoredMessage) -> None:
        one.read = position = _position_of(message)
        event = event_of(message, self.subjects, one.host)
        if event is None:
            self.set_aside += 1
            return
        admitted = admit(one.delivered, event)
        for each in admitted:
            # A gap is not a message: the checkpoint stays before it.
            self._ready.append(DeliveredEvent(one, each, position if each is event else None))
            self._arrived.set()
        self.duplicates += not admitted


def _position_of(message: StoredMessage | None) -> StreamPosition:
    """Return the position of a message; without one, that before the first."""
    if message is None:
        return StreamPosition(seq=0, id="", time=0.0)
    return StreamPosition(seq=message.seq, id=message.id, time=message.time)
