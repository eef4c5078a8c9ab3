"""Consumers of a NATS server: reading in order, and sharing the work."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from limpet._tracing import trace_headers
from limpet.remote.transport._base import (
    DisconnectedError,
    Message,
    NotPermittedError,
    StoredMessage,
    beyond_the_stream,
)
from limpet.remote.transport._nats_connection import NatsConnection
from limpet.remote.transport._nats_queue import MessageQueue
from limpet.remote.transport._nats_reader import NatsReader

_DELIVERY: Final = re.compile(r"\$JS\.ACK(\.[^.]+){2,4}(\.[0-9]{1,20}){5}")
"""The reply of a message that a consumer delivers; any other is not from the server's consumer."""


class NatsConsumers(NatsConnection):
    """A connection that reads streams."""

    async def read(
        self, stream: str, *, live: str = "", after: int | None = None, since: float | None = None
    ) -> NatsReader:
        return await NatsReader.open(self, stream, live, after=after, since=since)

    async def work(
        self, stream: str, name: str, subject: str | None, *, ack_wait: float, limit: int
    ) -> _PullWorker:
        if subject is not None:
            config = {**durable_config(name, subject, ack_wait, limit), "name": name}
            # Only an administrator may create one; 'limpet hub init' has done it for the others.
            with contextlib.suppress(NotPermittedError):
                await self.request(
                    f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{subject}",
                    {"stream_name": stream, "config": config},
                )
        return await _PullWorker.open(self, stream, name)

    async def stalled(self, stream: str, name: str) -> str:
        info = await self.request(f"$JS.API.CONSUMER.INFO.{stream}.{name}")
        state = (await self.request(f"$JS.API.STREAM.INFO.{stream}"))["state"]
        position, last = int(info["delivered"]["stream_seq"]), int(state["last_seq"])
        return beyond_the_stream(name, stream, position, last) if position > last else ""

    async def listen(self, subject: str) -> AsyncIterator[Message]:
        await self.ready()
        subscription = await self.client.subscribe(subject)
        try:
            async for message in subscription.messages:
                yield Message(message.subject, message.data)
        finally:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()


def durable_config(name: str, subject: str, ack_wait: float, limit: int) -> dict[str, Any]:
    """Return the configuration of a durable consumer that several workers may share."""
    return {
        "durable_name": name,
        "filter_subject": subject,
        "ack_policy": "explicit",
        "ack_wait": int(ack_wait * 1e9),
        "max_ack_pending": limit,
        "max_deliver": -1,
        "deliver_policy": "all",
    }


class _PullWorker:
    """One of the workers of a durable consumer: requests for messages, one message each.

    A request has one answer. So the hub passes it on to another account, and forgets it after.
    """

    def __init__(self, connection: NatsConnection, subject: str, queue: MessageQueue) -> None:
        self.connection = connection
        self._subject, self._queue = subject, queue
        self._open = 0
        """Requests without an answer."""
        self._until = 0.0
        """When the last of them has expired."""

    @classmethod
    async def open(cls, connection: NatsConnection, stream: str, name: str) -> _PullWorker:
        await connection.ready()
        subscription = await connection.client.subscribe(
            connection.new_reply_subject(), pending_msgs_limit=1_000_000, pending_bytes_limit=-1
        )
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
        return cls(connection, subject, MessageQueue(connection, subscription))

    async def fetch(self, limit: int, timeout: float) -> list[_WorkMessage]:
        """Return at most ``limit`` messages; none after ``timeout`` seconds.

        Raises:
            MissingStreamError: There is no such consumer.
            DisconnectedError: The connection broke, or the hub does not answer, or the consumer has
                no leader at the moment.
        """
        if self._queue.is_down:
            raise self.connection.away()
        if self._open <= 0:
            await self._request(limit, timeout)
        found: list[_WorkMessage] = []
        end = time.monotonic() + timeout + 1.0
        while self._open > 0 and len(found) < limit:
            # Messages that are there are taken at once; without any, the requests run their time.
            message = await self._queue.next(0.0 if found else end - time.monotonic())
            if message is None:
                if found:
                    break
                text = f"the hub at {self.connection.url} does not answer"
                raise DisconnectedError(text)
            status = (message.headers or {}).get("Status")
            if _DELIVERY.fullmatch(message.reply):
                self._open -= 1
                found.append(_WorkMessage(self.connection, message))
            elif status == "503":
                raise self.connection.not_taken(self._subject)
            elif status in {"404", "408"}:
                self._open -= 1
            elif status != "100":
                why = (message.headers or {}).get("Description", status)
                text = f"the consumer is gone: {why}"
                raise DisconnectedError(text)
        return found

    def arrived(self) -> list[_WorkMessage]:
        found: list[_WorkMessage] = []
        while (message := self._queue.take()) is not None:
            self._open -= (message.headers or {}).get("Status") != "100"
            if _DELIVERY.fullmatch(message.reply):
                found.append(_WorkMessage(self.connection, message))
        return found

    async def _request(self, limit: int, timeout: float) -> None:
        body = json.dumps({"batch": 1, "expires": int(timeout * 1e9)}).encode()
        self._until = time.monotonic() + timeout
        try:
            for _ in range(limit):
                self._open += 1
                await self.connection.client.publish(self._subject, body, reply=self._queue.subject)
        except Exception as error:
            raise self.connection.translated(error) from error

    async def close(self) -> None:
        """Stop working, and refuse for now what still comes: another worker gets it at once."""
        with contextlib.suppress(Exception):
            while self._open > 0 and self.connection.connected:
                message = await self._queue.next(max(0.05, self._until - time.monotonic()))
                if message is None:
                    break
                self._open -= 1
                if _DELIVERY.fullmatch(message.reply):
                    await _WorkMessage(self.connection, message).nak(0.0)
        await self._queue.close()


class _WorkMessage:
    """A message that its worker answers."""

    def __init__(self, connection: NatsConnection, message: Any) -> None:
        self.message = _stored_of(message)
        self.attempt = int(message.reply.split(".")[-5])
        self._connection, self._reply = connection, message.reply

    async def ack(self, *, confirm: bool = True) -> None:
        if not confirm:
            await self._answer(b"+ACK")
            return
        await self._connection.ready()
        await self._connection.gather([await self._connection.ask(self._reply, b"+ACK")])

    async def nak(self, delay: float) -> None:
        await self._answer(f'-NAK {{"delay": {int(delay * 1e9)}}}'.encode())

    async def term(self) -> None:
        await self._answer(b"+TERM")

    async def in_progress(self) -> None:
        await self._answer(b"+WPI")

    async def _answer(self, data: bytes) -> None:
        try:
            await self._connection.client.publish(self._reply, data)
        except Exception as error:
            raise self._connection.translated(error) from error


def _stored_of(message: Any) -> StoredMessage:
    """Return a delivered message, with what the server says of it in its reply subject.

    ``$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>``, with
    domain and account before the stream on newer servers: counted from the end.
    """
    tokens = message.reply.split(".")
    return StoredMessage(
        message.subject,
        message.data,
        (message.headers or {}).get("Nats-Msg-Id", ""),
        int(tokens[-4]),
        int(tokens[-2]) / 1e9,
        trace_headers(message.headers),
    )
