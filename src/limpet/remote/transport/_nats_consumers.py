"""Consumers of a NATS server: reading in order, and sharing the work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from limpet.remote.transport._base import (
    DisconnectedError,
    Message,
    MissingStreamError,
    StoredMessage,
)
from limpet.remote.transport._nats_connection import NatsConnection


class NatsConsumers(NatsConnection):
    """A connection that reads streams."""

    async def read(
        self,
        stream: str,
        subject: str,
        *,
        name: str,
        after: int | None = None,
        since: float | None = None,
    ) -> _PullConsumer:
        config: dict[str, Any] = {
            "name": name,
            "filter_subject": subject,
            "ack_policy": "none",
            "max_deliver": 1,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 30_000_000_000,
            "deliver_policy": "all",
        }
        if since is not None:
            moment = datetime.fromtimestamp(since, UTC).isoformat().replace("+00:00", "Z")
            config |= {"deliver_policy": "by_start_time", "opt_start_time": moment}
        elif after is not None:
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": after + 1}
        with contextlib.suppress(MissingStreamError):
            # A consumer that exists keeps its start (err 10012), so it is created again.
            await self.request(f"$JS.API.CONSUMER.DELETE.{stream}.{name}")
        await self._create(stream, subject, config)
        return await _PullConsumer.open(self, stream, name)

    async def work(
        self, stream: str, name: str, subject: str | None, *, ack_wait: float, limit: int
    ) -> _PullWorker:
        if subject is not None:
            config = {**durable_config(name, subject, ack_wait, limit), "name": name}
            await self._create(stream, subject, config)
        return _PullWorker(await _PullConsumer.open(self, stream, name))

    async def _create(self, stream: str, subject: str, config: dict[str, Any]) -> None:
        # The filter is part of the subject, so that permissions decide what may be read.
        await self.request(
            f"$JS.API.CONSUMER.CREATE.{stream}.{config['name']}.{subject}",
            {"stream_name": stream, "config": config},
        )

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


class _PullConsumer:
    """Requests for messages, and the messages that answer them."""

    def __init__(self, connection: NatsConnection, subject: str, subscription: Any) -> None:
        self.connection = connection
        self._subject = subject
        self._subscription = subscription
        self._down = connection.down
        self._expected: int | None = None

    @classmethod
    async def open(cls, connection: NatsConnection, stream: str, name: str) -> _PullConsumer:
        await connection.ready()
        subscription = await connection.client.subscribe(
            connection.new_reply_subject(), pending_msgs_limit=1_000_000, pending_bytes_limit=-1
        )
        return cls(connection, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", subscription)

    async def fetch(self, limit: int, timeout: float) -> list[StoredMessage]:
        messages = await self.take(limit, timeout)
        found = [_stored_of(message) for message in messages]
        for message in messages:
            number = int(message.reply.split(".")[-3])
            if self._expected is not None and number != self._expected:
                text = "messages of the consumer are missing"
                raise DisconnectedError(text)
            self._expected = number + 1
        return found

    async def take(self, limit: int, timeout: float) -> list[Any]:
        """Request messages, and return those that came, as nats-py has them."""
        connection = self.connection
        if self._down.is_set():
            raise connection.away()
        body = json.dumps({"batch": limit, "expires": int(timeout * 1e9)}).encode()
        try:
            await connection.client.publish(self._subject, body, reply=self._subscription.subject)
        except Exception as error:
            raise connection.translated(error) from error
        found: list[Any] = []
        end = time.monotonic() + timeout + 1.0
        while len(found) < limit:
            # Messages that are there are taken at once; without any, the request runs its time.
            left = 0.0 if found else end - time.monotonic()
            message = await self._next(left)
            if message is None:
                if found:
                    break
                text = f"the hub at {connection.url} does not answer"
                raise DisconnectedError(text)
            status = (message.headers or {}).get("Status")
            if status is None or message.reply:
                found.append(message)
                continue
            if status in {"404", "408"} or "batch completed" in str(message.headers).lower():
                break
            if status == "100":
                continue
            text = f"the consumer is gone: {(message.headers or {}).get('Description', status)}"
            raise DisconnectedError(text)
        return found

    async def _next(self, timeout: float) -> Any:
        queue = self._subscription._pending_queue  # noqa: SLF001 - next_msg makes a task a message
        if not queue.empty():
            message = queue.get_nowait()
            self._subscription._pending_size -= len(message.data)  # noqa: SLF001
            return message
        if timeout <= 0:
            # Those of one batch come together: give the reader one turn to bring the rest.
            await asyncio.sleep(0)
            if queue.empty():
                return None
            return await self._next(timeout)
        getter = asyncio.ensure_future(queue.get())
        down = asyncio.ensure_future(self._down.wait())
        try:
            await asyncio.wait({getter, down}, timeout=timeout, return_when="FIRST_COMPLETED")
            if getter.done():
                message = getter.result()
                self._subscription._pending_size -= len(message.data)  # noqa: SLF001
                return message
            if down.done():
                raise self.connection.away()
            return None
        finally:
            getter.cancel()
            down.cancel()

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            await self._subscription.unsubscribe()


class _PullWorker:
    """One of the workers of a durable consumer."""

    def __init__(self, consumer: _PullConsumer) -> None:
        self._consumer = consumer
        self.close = consumer.close

    async def fetch(self, limit: int, timeout: float) -> list[_WorkMessage]:
        messages = await self._consumer.take(limit, timeout)
        return [_WorkMessage(self._consumer.connection, message) for message in messages]


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
    )
