"""A hub in memory, for tests: it behaves as a real one does, faults included."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from limpet.remote.transport._base import (
    OBJECT_LIMIT,
    Ack,
    DisconnectedError,
    HubFullError,
    HubIdentity,
    Message,
    MissingStreamError,
    NotPermittedError,
    StoredMessage,
    StreamSpec,
    TooLargeError,
    Transport,
    beyond_the_stream,
    too_large,
)

_STEP_S: Final = 0.01
"""Seconds between two checks for a message that is due to be delivered again."""
T = TypeVar("T")


@dataclass
class _Durable:
    subject: str
    ack_wait: float
    limit: int
    done: set[int] = field(default_factory=set)
    pending: dict[int, float] = field(default_factory=dict)
    """Number -> when it is delivered again."""
    attempts: dict[int, int] = field(default_factory=dict)


@dataclass
class _Stream:
    spec: StreamSpec
    messages: dict[int, StoredMessage] = field(default_factory=dict)
    last: int = 0
    size: int = 0
    """Bytes of all messages."""
    ids: dict[str, tuple[int, float]] = field(default_factory=dict)
    work: dict[str, _Durable] = field(default_factory=dict)

    def remove(self, seqs: list[int]) -> None:
        for seq in seqs:
            if seq in self.messages:
                self.size -= len(self.messages.pop(seq).data)

    def select(self, pattern: str, wanted: Callable[[int], bool]) -> list[StoredMessage]:
        return [
            m for seq, m in self.messages.items() if wanted(seq) and matches(pattern, m.subject)
        ]


class MemoryHub:
    """Streams that live as long as this object; any number of transports may be connected to it."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.streams: dict[str, _Stream] = {}
        self.objects: dict[tuple[str, str], bytes] = {}
        self.values: dict[tuple[str, str], StoredMessage] = {}
        self.value_age: dict[str, float] = {}
        """Bucket -> seconds after which its values are removed."""
        self.value_count = 0
        self.server = secrets.token_hex(8)
        self.up = True
        self.max_payload = 1 << 20
        self.denied: set[str] = set()
        """Patterns of subjects that no user may publish to."""
        self.lose_acks = 0
        """Number of the next calls of ``publish`` that store and then fail with a disconnection."""
        self.listeners: list[tuple[str, asyncio.Queue[Message]]] = []
        self.clock = clock
        self.changed = asyncio.Condition()

    def make(self, spec: StreamSpec) -> None:
        """Create a stream, or change its settings."""
        if spec.name in self.streams:
            self.streams[spec.name].spec = spec
        else:
            self.streams[spec.name] = _Stream(spec)

    def make_durable(
        self, stream: str, name: str, subject: str, ack_wait: float, limit: int
    ) -> None:
        """Create a durable consumer, as an administrator does."""
        self.named(stream).work.setdefault(name, _Durable(subject, ack_wait, limit))

    def put_value(self, bucket: str, key: str, value: bytes) -> None:
        """Store a small value."""
        self.value_count += 1
        self.values[bucket, key] = StoredMessage(key, value, "", self.value_count, self.clock())

    def restart(self) -> None:
        """Become another server with the same streams."""
        self.server = secrets.token_hex(8)
        self.up = True

    def roll_back(self, stream: str, last: int) -> None:
        """Remove the messages after a number, and their ids, as a power cut may."""
        found = self.streams[stream]
        found.remove([seq for seq in found.messages if seq > last])
        found.last = last
        found.ids = {key: value for key, value in found.ids.items() if value[0] <= last}
        self.restart()

    def named(self, name: str) -> _Stream:
        """Return a stream by name.

        Raises:
            MissingStreamError: It does not exist.
        """
        if name not in self.streams:
            message = f"there is no stream {name!r}; run 'limpet hub init'"
            raise MissingStreamError(message)
        return self.streams[name]

    def store(self, message: Message) -> Ack:
        """Store one message.

        Raises:
            HubFullError: The stream is full.
            MissingStreamError: No stream takes it.
        """
        for stream in self.streams.values():
            if any(matches(pattern, message.subject) for pattern in stream.spec.subjects):
                break
        else:
            text = f"no stream takes {message.subject!r}; run 'limpet hub init'"
            raise MissingStreamError(text)
        spec, now = stream.spec, self.clock()
        known = stream.ids.get(message.id)
        if known is not None and now - known[1] <= spec.duplicate_window_s:
            return Ack(known[0], duplicate=True)
        if 0 <= spec.max_bytes < stream.size + len(message.data):
            text = f"the stream {spec.name} is full; raise its bound, or wait for readers"
            raise HubFullError(text)
        if spec.max_per_subject == 1:
            stream.remove([m.seq for m in stream.messages.values() if m.subject == message.subject])
        stream.last += 1
        stream.messages[stream.last] = StoredMessage(
            message.subject, message.data, message.id, stream.last, now, message.trace
        )
        stream.size += len(message.data)
        if message.id:
            stream.ids[message.id] = (stream.last, now)
        self._publish_live(spec, message)
        return Ack(stream.last)

    def _publish_live(self, spec: StreamSpec, message: Message) -> None:
        if not spec.live:
            return
        rest = message.subject.removeprefix(spec.subjects[0].removesuffix(">"))
        subject = spec.live.removesuffix(">") + rest
        data = b"" if spec.live_headers_only else message.data
        for pattern, queue in self.listeners:
            if matches(pattern, subject):
                queue.put_nowait(Message(subject, data))


def matches(pattern: str, subject: str) -> bool:
    """Return whether a subject fits a pattern: ``*`` is one token, ``>`` all the rest."""
    want, have = pattern.split("."), subject.split(".")
    for index, part in enumerate(want):
        if part == ">":
            return len(have) > index
        if index >= len(have) or (part not in {"*", have[index]}):
            return False
    return len(want) == len(have)


class MemoryTransport(Transport):
    """A connection to a hub in memory."""

    def __init__(self, hub: MemoryHub, user: str = "user") -> None:
        self.hub, self.user = hub, user

    @property
    def connected(self) -> bool:
        return self.hub.up

    async def reach(self) -> None:
        """Let other tasks run, as the network does.

        Raises:
            DisconnectedError: The hub is away.
        """
        await asyncio.sleep(0)
        if not self.hub.up:
            message = "the hub is away"
            raise DisconnectedError(message)

    async def publish(self, batch: Sequence[Message]) -> list[Ack]:
        await self.reach()
        for message in batch:
            if any(matches(pattern, message.subject) for pattern in self.hub.denied):
                text = f"user {self.user!r} may not publish to {message.subject!r}"
                raise NotPermittedError(text)
            if len(message.data) > self.hub.max_payload:
                text = f"a message of {len(message.data):,} bytes is more than the hub takes"
                raise TooLargeError(text)
        acks = [self.hub.store(message) for message in batch]
        await self.notify()
        if self.hub.lose_acks:
            self.hub.lose_acks -= 1
            text = "the connection broke before the answer"
            raise DisconnectedError(text)
        return acks

    async def notify(self) -> None:
        """Wake the consumers."""
        async with self.hub.changed:
            self.hub.changed.notify_all()

    async def poll(self, timeout: float, take: Callable[[], list[T]]) -> list[T]:
        """Return what ``take`` finds; an empty list after ``timeout`` seconds without any.

        Raises:
            DisconnectedError: The hub is away.
        """
        end = time.monotonic() + timeout
        while True:
            await self.reach()
            found = take()
            left = end - time.monotonic()
            if found or left <= 0:
                return found
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _STEP_S)), self.hub.changed:
                    await self.hub.changed.wait()

    async def read(
        self, stream: str, *, live: str = "", after: int | None = None, since: float | None = None
    ) -> _MemoryConsumer:
        del live
        await self.reach()
        found = self.hub.named(stream)
        start = after or 0
        if after is None and since is not None:
            start = max((m.seq for m in found.messages.values() if m.time < since), default=0)
        return _MemoryConsumer(self, found, start)

    async def work(
        self, stream: str, name: str, subject: str | None, *, ack_wait: float, limit: int
    ) -> _MemoryWorker:
        await self.reach()
        if subject is not None:
            self.hub.make_durable(stream, name, subject, ack_wait, limit)
        found = self.hub.named(stream)
        if name not in found.work:
            message = f"there is no consumer {name!r} at {stream}; run 'limpet hub init'"
            raise MissingStreamError(message)
        return _MemoryWorker(self, found, found.work[name])

    async def stalled(self, stream: str, name: str) -> str:
        await self.reach()
        found = self.hub.named(stream)
        work = found.work.get(name)
        position = max([*work.done, *work.pending], default=0) if work else 0
        return beyond_the_stream(name, stream, position, found.last) * (position > found.last)

    async def latest(self, stream: str, subject: str) -> StoredMessage | None:
        await self.reach()
        messages = self.hub.named(stream).messages.values()
        return max((m for m in messages if m.subject == subject), key=_seq, default=None)

    async def at(self, stream: str, seq: int) -> StoredMessage | None:
        await self.reach()
        return self.hub.named(stream).messages.get(seq)

    async def newest(self, stream: str) -> StoredMessage | None:
        await self.reach()
        found = self.hub.named(stream)
        gone = StoredMessage("", b"", "", found.last, 0.0)
        return found.messages.get(found.last, gone) if found.last else None

    async def listen(self, subject: str) -> AsyncIterator[Message]:
        queue: asyncio.Queue[Message] = asyncio.Queue()
        item = (subject, queue)
        self.hub.listeners.append(item)
        try:
            while True:
                yield await queue.get()
        finally:
            self.hub.listeners.remove(item)

    async def put_object(self, bucket: str, name: str, data: bytes) -> None:
        await self.reach()
        if len(data) > OBJECT_LIMIT:
            raise TooLargeError(too_large(name, len(data)))
        self.hub.objects.setdefault((bucket, name), data)

    async def get_object(self, bucket: str, name: str, size: int) -> bytes | None:
        await self.reach()
        found = self.hub.objects.get((bucket, name))
        return None if found is None or len(found) != size else found

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        await self.reach()
        self.hub.put_value(bucket, key, value)

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        found = await self.get_stored(bucket, key)
        return None if found is None else found.data

    async def get_stored(self, bucket: str, key: str) -> StoredMessage | None:
        await self.reach()
        found = self.hub.values.get((bucket, key))
        age = self.hub.value_age.get(bucket)
        if found is None or (age is not None and self.hub.clock() - found.time >= age):
            return None
        return found

    async def identity(self) -> HubIdentity:
        await self.reach()
        return HubIdentity(self.hub.server, "memory", self.hub.max_payload)

    async def close(self) -> None:
        pass


def _seq(message: StoredMessage) -> int:
    return message.seq


class _MemoryConsumer:
    def __init__(self, transport: MemoryTransport, stream: _Stream, after: int) -> None:
        self._transport, self._stream, self._after = transport, stream, after
        self._server = transport.hub.server

    @property
    def lag(self) -> int:
        return len(self._stream.select(">", lambda seq: seq > self._after))

    async def fetch(self, limit: int, timeout: float) -> list[StoredMessage]:
        def take() -> list[StoredMessage]:
            if self._transport.hub.server != self._server:
                message = "the hub was restarted: the consumer is gone"
                raise DisconnectedError(message)
            return self._stream.select(">", lambda seq: seq > self._after)[:limit]

        found = await self._transport.poll(timeout, take)
        if found:
            self._after = found[-1].seq
        return found

    async def close(self) -> None:
        pass


class _MemoryWorker:
    def __init__(self, transport: MemoryTransport, stream: _Stream, durable: _Durable) -> None:
        self._transport, self._stream, self._durable = transport, stream, durable

    async def fetch(self, limit: int, timeout: float) -> list[_MemoryWorkMessage]:
        durable = self._durable

        def take() -> list[_MemoryWorkMessage]:
            now = time.monotonic()
            for seq in [seq for seq, due in durable.pending.items() if due <= now]:
                del durable.pending[seq]
            fresh = self._stream.select(
                durable.subject,
                lambda seq: seq not in durable.done and seq not in durable.pending,
            )
            # Repeated messages come after new ones: readers must not rely on the order.
            fresh.sort(key=lambda m: (durable.attempts.get(m.seq, 0) > 0, m.seq))
            found = fresh[: min(limit, max(0, durable.limit - len(durable.pending)))]
            for message in found:
                durable.pending[message.seq] = now + durable.ack_wait
                durable.attempts[message.seq] = durable.attempts.get(message.seq, 0) + 1
            return [_MemoryWorkMessage(self._transport, self._stream, durable, m) for m in found]

        return await self._transport.poll(timeout, take)

    def arrived(self) -> list[_MemoryWorkMessage]:
        return []

    async def close(self) -> None:
        pass


class _MemoryWorkMessage:
    def __init__(
        self, transport: MemoryTransport, stream: _Stream, durable: _Durable, message: StoredMessage
    ) -> None:
        self.message = message
        self.attempt = durable.attempts[message.seq]
        self._transport, self._stream, self._durable = transport, stream, durable

    async def ack(self, *, confirm: bool = True) -> None:
        del confirm
        await self._transport.reach()
        self._durable.pending.pop(self.message.seq, None)
        self._durable.done.add(self.message.seq)
        if self._stream.spec.retention == "work":
            self._stream.remove([self.message.seq])
        await self._transport.notify()

    async def nak(self, delay: float) -> None:
        await self._transport.reach()
        self._durable.pending[self.message.seq] = time.monotonic() + delay

    async def term(self) -> None:
        await self.ack()

    async def in_progress(self) -> None:
        if self.message.seq in self._durable.pending:
            self._durable.pending[self.message.seq] = time.monotonic() + self._durable.ack_wait
