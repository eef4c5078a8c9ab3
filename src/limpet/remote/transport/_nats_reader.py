"""Reading a stream in order by the numbers of its messages, without a consumer on the server.

A user who may create a consumer may have the server publish to any subject (``deliver_subject``),
so no host and no bot may (docs/design/2026-11-29-rights.md). ``DIRECT.GET`` only answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from limpet._tracing import trace_headers
from limpet.remote.transport._base import (
    DisconnectedError,
    HubError,
    MissingStreamError,
    NotPermittedError,
    StoredMessage,
)
from limpet.remote.transport._nats_connection import NatsConnection
from limpet.remote.transport._nats_queue import MessageQueue

_FIRST_WINDOW: Final = 32
_LAST_WINDOW: Final = 256
"""Messages that are asked for at a time, when they are small."""
_WINDOW_BYTES: Final = 4 << 20
"""Bytes in answers beyond which fewer messages are asked for: a server cuts a client that is slow
to read 64 MiB."""
_ASK_S: Final = 10.0
"""Seconds without a hint after which the stream is asked whether it has grown."""
_ASK_OFTEN_S: Final = 0.5
"""The same without hints."""
_LATE: Final = 1_000
"""Hints of messages before the first one to read that may still come."""
_HINTS: Final = 10_000
"""Hints that may wait; one that is lost is made up for by the next, or by asking."""


async def get_direct(
    connection: NatsConnection,
    stream: str,
    bodies: Sequence[bytes],
    subject: str = "",
    *,
    seqs: Sequence[int] = (),
) -> list[StoredMessage | None]:
    """Return the messages of a stream that are asked for; ``None`` for each that is not there.

    Args:
        connection: A connection that is ready.
        stream: Its name.
        bodies: One question each (``JSApiMsgGetRequest``).
        subject: Return the newest message of this subject; the question is empty.
        seqs: Numbers that are asked for. A message that its sender has made unreadable is then one
            without a subject, for it has a place among the others.

    Raises:
        MissingStreamError: There is no such stream for this user.
        HubError: The hub refuses, or does not answer.
    """
    place = f"$JS.API.DIRECT.GET.{stream}" + (f".{subject}" if subject else "")
    try:
        asked = [await connection.ask(place, body) for body in bodies]
        answers = await connection.gather(asked)
    except DisconnectedError:
        if connection.connected:  # also a stream that is not there has no answer, or no leader
            with contextlib.suppress(NotPermittedError):
                await connection.request(f"$JS.API.STREAM.INFO.{stream}")
        raise
    except MissingStreamError as error:
        text = f"there is no stream {stream!r}; run 'limpet hub init'"
        raise MissingStreamError(text) from error
    asked_for: Sequence[int | None] = seqs or [None] * len(answers)
    found = [_stored_of(one, seq) for one, seq in zip(answers, asked_for, strict=True)]
    if subject and any(one is not None and one.subject != subject for one in found):
        text = f"the hub answered with a message of another subject than {subject!r}"
        raise HubError(text)
    return found


async def get_newest(connection: NatsConnection, stream: str) -> StoredMessage | None:
    """Return the newest message of a stream, as ``Transport.newest``.

    Raises:
        HubError: As ``get_direct``.
    """
    (found,) = await get_direct(connection, stream, [b'{"last_by_subj":">"}'])
    if found is not None:
        return found
    # Also the answer if the newest one was removed: the number that it had is known.
    last = int((await connection.request(f"$JS.API.STREAM.INFO.{stream}"))["state"]["last_seq"])
    return StoredMessage("", b"", "", last, 0.0) if last else None


def _stored_of(answer: Any, seq: int | None) -> StoredMessage | None:
    """Return the message in an answer; the sender's headers come before the server's own."""
    headers = answer.headers or {}
    if headers.get("Status") == "404":
        return None
    try:
        number = int(headers["Nats-Sequence"])
        moment = _seconds_of(headers["Nats-Time-Stamp"])
        found = StoredMessage(
            headers["Nats-Subject"],
            answer.data,
            headers.get("Nats-Msg-Id", ""),
            number,
            moment,
            trace_headers(headers),
        )
    except (LookupError, ValueError) as error:
        if seq is not None and "Status" not in headers:
            return StoredMessage("", answer.data, "", seq, 0.0)
        text = f"the hub answered {headers.get('Description', 'without a message')!r}"
        raise HubError(text) from error
    if seq is not None and number != seq:
        return StoredMessage("", answer.data, "", seq, 0.0)
    return found


class NatsReader:
    """Reads a stream; each message that is there, in the order of the numbers."""

    def __init__(
        self, connection: NatsConnection, stream: str, hints: MessageQueue | None, after: int
    ) -> None:
        self._connection, self._stream, self._hints = connection, stream, hints
        self._down = connection.down
        self._next = after + 1
        self._last = after
        """Highest number that is known to be there."""
        self._hinted = 0
        """Number in the last hint."""
        self._window = _FIRST_WINDOW
        self._ask_s = _ASK_S if hints is not None else _ASK_OFTEN_S
        self._asked_at = -_ASK_S

    @property
    def lag(self) -> int:
        """Messages that are known to be there, and were not fetched."""
        return max(0, self._last - self._next + 1)

    @classmethod
    async def open(
        cls,
        connection: NatsConnection,
        stream: str,
        live: str,
        *,
        after: int | None,
        since: float | None,
    ) -> NatsReader:
        """Return a reader; hints come on the subject ``live``."""
        await connection.ready()
        if after is None:
            after = 0 if since is None else await _last_before(connection, stream, since)
        else:
            await get_newest(connection, stream)  # is it there at all?
        hints = None
        if live:
            subscription = await connection.client.subscribe(live, pending_msgs_limit=_HINTS)
            hints = MessageQueue(connection, subscription)
        return cls(connection, stream, hints, after)

    async def fetch(self, limit: int, timeout: float) -> list[StoredMessage]:
        """Return at most ``limit`` messages; none after ``timeout`` seconds without any.

        Raises:
            DisconnectedError: The connection broke, or this is another stream of that name; open
                another reader after the last message.
        """
        end = time.monotonic() + timeout
        while True:
            if self._down.is_set():
                raise self._connection.away()
            self._take_hints()
            if self._next > self._last and time.monotonic() - self._asked_at >= self._ask_s:
                await self._ask()
            if self._next <= self._last:
                found = await self._get(limit)
                if found:
                    return found
            left = end - time.monotonic()
            if left <= 0:
                return []
            await self._wait(left)

    async def close(self) -> None:
        if self._hints is not None:
            await self._hints.close()

    async def _ask(self) -> None:
        """Ask which message is the newest."""
        newest = await self._connection.up_to_date(
            lambda: get_newest(self._connection, self._stream),
            lambda found: found is None or found.seq >= self._next - 1,
        )
        self._asked_at = time.monotonic()
        if newest is not None:
            self._last = max(self._last, newest.seq)
            if newest.seq < self._next - 1:
                raise self._made_again()

    def _made_again(self) -> DisconnectedError:
        return DisconnectedError(f"the stream {self._stream} has fewer messages: it was made again")

    async def _get(self, limit: int) -> list[StoredMessage]:
        """Return the messages from the next one on that are there."""
        last = min(self._last, self._next + min(limit, self._window) - 1)
        seqs = range(self._next, last + 1)
        bodies = [b'{"seq":%d}' % seq for seq in seqs]
        answers = await get_direct(self._connection, self._stream, bodies, seqs=seqs)
        hole = next((at for at, one in enumerate(answers) if one is None), len(answers))
        found = [one for one in answers[:hole] if one is not None]
        if not found:
            # One that was removed, or a replica that is behind: only an answer with a later message
            # tells them apart, for a replica has its messages in order.
            body = b'{"next_by_subj":">","seq":%d}' % self._next
            (later,) = await get_direct(self._connection, self._stream, [body])
            if later is None:
                self._last = self._next - 1
                return []
            found = [later]
        self._next = found[-1].seq + 1
        size = sum(len(one.data) for one in found)
        full = hole == len(answers) == self._window
        if size > _WINDOW_BYTES:
            self._window = max(1, self._window // 2)
        elif full:
            self._window = min(_LAST_WINDOW, self._window * 2)
        return found

    def _take_hints(self) -> None:
        """Note the number of the newest message that the hints name."""
        while self._hints is not None and (hint := self._hints.take()) is not None:
            self._note(hint)

    def _note(self, hint: Any) -> None:
        text = (hint.headers or {}).get("Nats-Sequence", "")
        if not text.isdigit():
            return
        number = int(text)
        if number <= self._hinted or (not self._hinted and number < self._next - _LATE):
            raise self._made_again()
        self._hinted = number
        self._last = max(self._last, number)

    async def _wait(self, timeout: float) -> None:
        """Wait for a hint, the end of the connection, or the time to ask."""
        timeout = min(timeout, max(0.01, self._asked_at + self._ask_s - time.monotonic()))
        if self._hints is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._down.wait()
        elif (hint := await self._hints.next(timeout)) is not None:
            self._note(hint)


async def _last_before(connection: NatsConnection, stream: str, moment: float) -> int:
    """Return the number of the last message before a moment, by the hub's clock; 0 if none is."""
    (first,) = await get_direct(connection, stream, [b'{"next_by_subj":">","seq":1}'])
    last = await get_newest(connection, stream)
    if first is None or last is None or first.time >= moment:
        return 0
    if last.time and last.time < moment:
        return last.seq
    low, high = first.seq, last.seq  # that of a message before the moment; of one that is not
    while high - low > 1:
        middle = (low + high) // 2
        body = b'{"next_by_subj":">","seq":%d}' % middle
        (found,) = await get_direct(connection, stream, [body])
        if found is None or found.time >= moment:
            high = middle
        else:
            low = max(middle, min(found.seq, high - 1))
    return low


def _seconds_of(text: str) -> float:
    """Return unix seconds of a time in RFC 3339 with up to nine decimals."""
    head, _, rest = text.rstrip("Z").partition(".")
    whole = datetime.fromisoformat(head + "+00:00").timestamp()
    return whole + (float(f"0.{rest}") if rest.isdigit() else 0.0)
