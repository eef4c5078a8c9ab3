"""One connection to a NATS server: it reconnects by itself, and each question has an end.

What is unusual here answers a fault that was seen (2026-11; nats-py 2.16, servers 2.9.10 and
2.15.1). Futures of ``publish_async`` never end when the connection drops, so answers are awaited
on a subscription of our own that a disconnection ends. A refusal by the permissions does not come
as an answer but through ``error_cb``, lower-cased, so it is matched to the subject that waits.
Nothing is left waiting in the client's memory while the hub is away (``pending_size=0``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import secrets
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from limpet._backoff import Backoff
from limpet.errors import MissingExtraError
from limpet.remote.transport._addresses import (
    HubUrls,
    addresses_of,
    ignore_other_addresses,
    without_password,
)
from limpet.remote.transport._base import (
    Ack,
    DisconnectedError,
    HubError,
    HubFullError,
    Message,
    MissingStreamError,
    NoLeaderError,
    NotPermittedError,
    TooLargeError,
)
from limpet.remote.transport._ended_tasks import end_tasks, raise_dropped_cancellation
from limpet.remote.transport._nats_protocol import replace_parser

T = TypeVar("T")

TIMEOUT_S: Final = 5.0
"""Seconds to wait for the answers to a batch, or to a question."""
_CONNECT_S: Final = 3.0
"""Seconds to wait for the first connection, for each address."""
_PING_S: Final = 3.0
"""Seconds between two questions whether a server of a cluster still answers: after the third
without an answer another server is tried. nats-py asks every two minutes."""
_REFUSAL_S: Final = 0.3
"""Seconds in which nats-py reports a refusal that it has received."""
_RECONNECT_S: Final = 0.3
"""Seconds between attempts to reconnect, at most; each client shortens it by its own jitter."""

_BEHIND_S: Final = (0.02, 0.05, 0.1, 0.3, 0.5)
"""Pauses before a replica that may be behind is asked again; the next may be another one."""
_STORED: Final = 256
"""Subjects of which a client knows what it stored last."""

_API: Final = "$JS.API."

_AUTHORIZATION: Final = "authorization violation"
_PERMISSIONS: Final = "permissions violation"
"""The server's words for a refusal (server/errors.go), for which nats-py has no classes."""
_FULL: Final = {10077, 10076, 10122}
"""Error codes: maximum messages, bytes or messages of a subject exceeded (server/errors.json)."""

_NO_LEADER: Final = {10008, 10009, 10118, 10119}
"""Error codes: a cluster, stream or consumer is without a leader or a majority."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    """The address of a hub, and the user of a connection to it; see ``connect``."""

    url: HubUrls
    name: str
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    reply_prefix: str | None = None

    @property
    def replies(self) -> str:
        return self.reply_prefix or f"_INBOX_{self.name}"

    def of_client(self) -> dict[str, Any]:
        urls = addresses_of(self.url)
        options: dict[str, Any] = {
            # Shuffled once, so that the clients are spread over the servers. nats-py then goes
            # round: it tries the server that was lost after all others.
            "servers": random.sample(urls, len(urls)),
            "dont_randomize": True,
            "name": self.name,
            "inbox_prefix": self.replies.encode(),
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": Backoff(_RECONNECT_S, _RECONNECT_S).next(),
            "connect_timeout": 3,
            "pending_size": 0,
            "allow_reconnect": True,
        }
        if len(urls) > 1:
            options |= {"ping_interval": _PING_S, "max_outstanding_pings": 2}
        if self.user is not None:
            options |= {"user": self.user, "password": self.password or ""}
        return options if self.tls is None else options | {"tls": self.tls}


def _without_end_of_tls(record: logging.LogRecord) -> bool:
    """Return whether a line of asyncio's log is not the one about each end of a TLS connection.

    nats-py reads TLS through a protocol for plain connections, of which asyncio complains.
    """
    return "eof_received() has no effect when using ssl" not in record.getMessage()


def api_alias(subject: str) -> str:
    """Return the name under which another account imports a subject of the JetStream interface.

    Under its own name it would ask about the streams of its own account, which has none.
    """
    return f"limpet.api.{subject.removeprefix(_API)}"


class NatsConnection:
    """A connection, its questions to the server, and their answers."""

    def __init__(self, options: ConnectOptions) -> None:
        self.url, self.name = without_password(options.url), options.name
        self.client: Any = None
        self.generation = 0
        """Counts the connections so far."""
        self.down = asyncio.Event()
        """Set once the present connection is lost; each connection has its own."""
        self.stored: dict[str, int] = {}
        """Subject -> number of the message that this client stored last; the newest subjects."""
        self._options = options
        self._connecting: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        """The last complaint of the server, or of nats-py."""
        self._count_of_urls = 1
        self._distrusted = 0
        """Handshakes that failed for a certificate."""
        self._refused = asyncio.Event()
        """Set once waiting for the first connection is of no use."""
        self._up = asyncio.Event()
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._waiting: dict[str, set[asyncio.Future[Any]]] = {}
        """Subject -> answers that are waited for, and fail if the subject is refused."""
        self._replies = ""
        self._count = 0

    async def open(self, *, wait: bool) -> None:
        """Connect; with ``wait`` in the background, however long that takes.

        Raises:
            MissingExtraError: nats-py is not installed.
            UsageError: The URL has another scheme.
            DisconnectedError: No hub answers (not with ``wait``).
            NotPermittedError: The hub refuses the user (not with ``wait``).
        """
        try:
            import nats.aio.client
        except ImportError as error:
            message = "the hub needs nats-py: pip install 'limpet[nats]'"
            raise MissingExtraError(message) from error
        self._count_of_urls = len(addresses_of(self._options.url))
        if self._options.tls is not None:
            logging.getLogger("asyncio").addFilter(_without_end_of_tls)
        self.client = nats.aio.client.Client()
        replace_parser(self.client)
        ignore_other_addresses(self.client)
        self._connecting = asyncio.ensure_future(
            self.client.connect(
                **self._options.of_client(),
                disconnected_cb=self._on_lost,
                reconnected_cb=self._on_reconnected,
                error_cb=self._on_error,
            )
        )
        if not wait:
            await self._connect_once(self._connecting)

    async def _connect_once(self, connecting: asyncio.Future[None]) -> None:
        refused = asyncio.ensure_future(self._refused.wait())
        either: set[asyncio.Future[Any]] = {connecting, refused}
        timeout = _CONNECT_S * self._count_of_urls
        await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        refused.cancel()
        if connecting.done():
            await self.ready()
            return
        failure, reason = self._error, self._reason  # closing may cause another error
        await self.close()
        if failure is not None and isinstance(self.translated(failure), NotPermittedError):
            message = f"the hub at {self.url} does not let {self.name!r} in: {reason}"
            raise NotPermittedError(message)
        if isinstance(failure, ssl.SSLError):
            raise self._untrusted(failure)
        reason = f" ({failure})" if reason else ""
        message = f"no hub answers at {self.url}{reason}; is it running?"
        raise DisconnectedError(message)

    def _untrusted(self, error: ssl.SSLError) -> HubError:
        why = getattr(error, "verify_message", "") or error.reason or str(error)
        message = (
            f"the hub at {self.url} and {self.name!r} do not trust each other's certificate: "
            f"{why}; check ca, cert and key"
        )
        return HubError(message, code="hub-tls")

    async def close(self) -> None:
        """Disconnect; questions that wait for their answer fail."""
        if self._connecting is not None:
            await end_tasks([self._connecting])
        if self.client is not None:
            with contextlib.suppress(Exception):
                await self.client.close()
            again = getattr(self.client, "_reconnection_task", None)
            if isinstance(again, asyncio.Future):
                await end_tasks([again])
        await self._on_disconnected()

    @property
    def connected(self) -> bool:
        """Return whether the hub is connected now."""
        return bool(self.client is not None and self.client.is_connected)

    # -- callbacks of nats-py --------------------------------------------------------------------

    def _on_connected(self) -> None:
        self.generation += 1
        self.down = asyncio.Event()
        self._up.set()

    async def _on_lost(self) -> None:
        await self._on_disconnected()
        if self._count_of_urls > 1 and not self.client.is_closed:
            # The others are there at once, and all clients of the one that was lost want to be:
            # each waits a part of its own.
            await asyncio.sleep(random.uniform(0, _RECONNECT_S))  # noqa: S311 - no secret

    async def _on_disconnected(self) -> None:
        self._up.clear()
        self.down.set()
        for future in list(self._answers.values()):
            if not future.done():
                future.set_exception(self.away())

    async def _on_reconnected(self) -> None:
        self._on_connected()

    async def _on_error(self, error: Exception) -> None:
        if self._refused.is_set() and not self.generation:
            return  # a refusal is the reason, not what followed it
        self._error = error
        if isinstance(error, ssl.SSLError) and not isinstance(
            error, ssl.SSLEOFError | ssl.SSLZeroReturnError
        ):
            self._distrusted += 1
        if _AUTHORIZATION in self._reason or self._distrusted >= self._count_of_urls:
            self._refused.set()
        if _PERMISSIONS not in self._reason:
            return
        # 'permissions violation for publish to "subject"', and for a subscription the same
        subject = self._reason.partition(' to "')[2].partition('"')[0]
        message = f"the hub does not allow it for {self.name!r}: {self._reason}"
        for waiting, futures in list(self._waiting.items()):
            if waiting.lower() == subject:
                for future in list(futures):
                    if not future.done():
                        future.set_exception(NotPermittedError(message))

    @property
    def _reason(self) -> str:
        return "" if self._error is None else str(self._error).lower()

    # -- questions and answers -------------------------------------------------------------------

    async def ready(self) -> None:
        """Wait until there is a hub, and subscribe to its answers.

        Raises:
            DisconnectedError: No hub answered within some seconds.
        """
        try:
            if self._connecting is not None:
                async with asyncio.timeout(TIMEOUT_S):
                    await asyncio.shield(self._connecting)
                self._connecting = None
                self._on_connected()
            if not self.connected:
                async with asyncio.timeout(TIMEOUT_S):
                    await self._up.wait()
        except TimeoutError as error:
            raise self.away(self._reason) from error
        except Exception as error:
            raise self.translated(error) from error
        if not self._replies:
            self._replies = self.new_reply_subject()
            await self.client.subscribe(self._replies + ".*", cb=self._on_answer)

    def new_reply_subject(self) -> str:
        """Return a subject for answers that no other has."""
        return f"{self._options.replies}.{secrets.token_hex(8)}"

    async def _on_answer(self, message: Any) -> None:
        future = self._answers.pop(message.subject.rpartition(".")[2], None)
        if future is None or future.done():
            return
        if message.headers and message.headers.get("Status") == "503":
            future.set_exception(self.not_taken())
        else:
            future.set_result(message)

    @property
    def is_cluster(self) -> bool:
        """Return whether the hub has several servers."""
        info = self.client._server_info  # noqa: SLF001 - nats-py shows it nowhere else
        return bool(info.get("cluster"))

    async def up_to_date(self, ask: Callable[[], Awaitable[T]], is_it: Callable[[T], bool]) -> T:
        """Return an answer of a replica, asked for again for a moment if it may be behind.

        Of a cluster any replica answers ``DIRECT.GET``, also one that does not have yet what was
        stored a moment ago (ADR-31; nats.docs#815). ``is_it`` returns whether an answer is as new
        as this client knows; the last one is returned, even if it is not.
        """
        found = await ask()
        for pause in _BEHIND_S if self.is_cluster else ():
            if is_it(found):
                break
            await asyncio.sleep(pause)
            found = await ask()
        return found

    def _note_stored(self, subject: str, seq: int) -> None:
        self.stored.pop(subject, None)
        self.stored[subject] = seq
        if len(self.stored) > _STORED:
            del self.stored[next(iter(self.stored))]

    def not_taken(self, subject: str = "it") -> HubError:
        """Return the error of a question that nobody subscribes to."""
        if self.is_cluster:
            text = (
                f"no server of the hub at {self.url} takes {subject}: its stream has no leader at "
                "the moment, or is missing; if this stays, run 'limpet hub init'"
            )
            return NoLeaderError(text)
        text = f"no stream takes {subject} (or JetStream is off); run 'limpet hub init'"
        return MissingStreamError(text)

    async def ask(
        self, subject: str, data: bytes, headers: dict[str, str] | None = None
    ) -> asyncio.Future[Any]:
        """Send a question, and return the future of its answer: a message as nats-py has it."""
        self._count += 1
        token = str(self._count)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[token] = future
        waiting = self._waiting.setdefault(subject, set())
        waiting.add(future)

        def end(ended: asyncio.Future[Any]) -> None:
            if not ended.cancelled():
                ended.exception()  # a cancelled caller never reads it
            self._answers.pop(token, None)
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(subject, None)

        future.add_done_callback(end)
        try:
            await self.client.publish(
                subject, data, reply=f"{self._replies}.{token}", headers=headers
            )
        except Exception as error:
            future.cancel()
            raise self.translated(error) from error
        return future

    async def gather(self, futures: Sequence[asyncio.Future[Any]]) -> list[Any]:
        """Wait for answers, for some seconds in all.

        Raises:
            DisconnectedError: The connection broke, or an answer did not come.
            HubError: One of the questions was refused.
        """
        _, pending = await asyncio.wait(
            futures, timeout=TIMEOUT_S, return_when=asyncio.FIRST_EXCEPTION
        )
        try:
            for future in futures:
                if future.done():
                    future.result()
            if pending:
                message = f"the hub at {self.url} did not answer within {TIMEOUT_S:g} s"
                raise DisconnectedError(message)
            return [future.result() for future in futures]
        finally:
            for future in futures:
                if future.done() and not future.cancelled():
                    future.exception()
                future.cancel()

    async def request(self, subject: str, body: object = None) -> dict[str, Any]:
        """Ask the server's JetStream interface.

        Raises:
            HubError: It refuses; ``DisconnectedError`` if it does not answer.
        """
        await self.ready()
        data = b"" if body is None else json.dumps(body).encode()
        try:
            (answer,) = await self.gather([await self.ask(subject, data)])
        except NotPermittedError:
            if not subject.startswith(_API):
                raise
            try:
                (answer,) = await self.gather([await self.ask(api_alias(subject), data)])
            except MissingStreamError as error:  # nobody answers: it is not imported
                message = f"the hub does not allow it for {self.name!r}: {subject}"
                raise NotPermittedError(message) from error
        return _answer_of(answer.data, subject)

    async def request_raw(self, subject: str, data: bytes) -> dict[str, Any]:
        """Send bytes, and return the answer of the server's JetStream interface.

        Raises:
            HubError: It refuses; ``DisconnectedError`` if it does not answer.
        """
        await self.ready()
        (answer,) = await self.gather([await self.ask(subject, data)])
        return _answer_of(answer.data, subject)

    async def ask_with_reply(self, subject: str, reply: str) -> None:
        """Send a question whose answer goes to any subject, and wait for none."""
        await self.ready()
        try:
            await self.client.publish(subject, b"", reply=reply)
            await self._flush()
        except Exception as error:
            raise self.translated(error) from error

    async def _flush(self) -> None:
        """Wait until the server has taken what was sent."""
        await self.client.flush(timeout=int(TIMEOUT_S))
        raise_dropped_cancellation()

    async def may_subscribe(self, subject: str) -> bool:
        """Return whether the hub lets this user subscribe to a subject.

        Raises:
            DisconnectedError: It does not answer.
        """
        await self.ready()
        refusal: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(subject, set()).add(refusal)
        try:
            subscription = await self.client.subscribe(subject)
            await self._flush()
            # The refusal was sent before the answer to the flush, and is reported a moment later.
            await asyncio.wait({refusal}, timeout=_REFUSAL_S)
            is_refused = refusal.done()
            await subscription.unsubscribe()
        except Exception as error:
            raise self.translated(error) from error
        finally:
            self._waiting.pop(subject, None)
            if refusal.done():
                refusal.exception()
        return not is_refused

    async def publish(self, batch: Sequence[Message]) -> list[Ack]:
        await self.ready()
        limit = self.client.max_payload
        for message in batch:
            if len(message.data) > limit:
                text = f"a message of {len(message.data):,} bytes is more than the hub's {limit:,}"
                raise TooLargeError(text)
        futures = [
            await self.ask(message.subject, message.data, _headers_of(message)) for message in batch
        ]
        acks = []
        for message, stored in zip(batch, await self.gather(futures), strict=True):
            answer = _answer_of(stored.data, message.subject)
            acks.append(Ack(int(answer["seq"]), bool(answer.get("duplicate"))))
            self._note_stored(message.subject, acks[-1].seq)
        return acks

    # -- errors ----------------------------------------------------------------------------------

    def away(self, reason: str = "") -> DisconnectedError:
        """Return the error of a hub that is not there."""
        return DisconnectedError(f"the hub at {self.url} is away{f' ({reason})' if reason else ''}")

    def translated(self, error: Exception) -> HubError:
        """Return limpet's error for one of nats-py's."""
        from nats import errors
        from nats.js import errors as js

        if isinstance(error, HubError):
            return error
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._untrusted(error)
        text = f"{type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, js.NotFoundError | js.NoStreamResponseError):
            return MissingStreamError(f"the hub at {self.url} has no such stream or bucket: {text}")
        said = text.lower()
        refused = _AUTHORIZATION in said or _PERMISSIONS in said
        if refused or isinstance(error, errors.AuthorizationError):
            return NotPermittedError(f"the hub at {self.url} does not allow it: {text}")
        return self.away(text)


def _answer_of(raw: bytes, subject: str) -> dict[str, Any]:
    """Return an answer of JetStream.

    Raises:
        HubError: It is a refusal.
    """
    answer: dict[str, Any] = json.loads(raw) if raw else {}
    if "error" not in answer:
        return answer
    error = answer["error"]
    code, text = int(error.get("err_code", 0)), str(error.get("description", "no reason given"))
    if code in _FULL:
        message = f"the hub refuses {subject!r}: {text}; raise its bound, or wait for readers"
        raise HubFullError(message)
    if code in _NO_LEADER:
        message = f"the hub cannot take {subject!r} at the moment: {text} (code {code})"
        raise DisconnectedError(message)
    if int(error.get("code", 0)) == 404:
        message = f"the hub has nothing for {subject!r}: {text}; run 'limpet hub init'"
        raise MissingStreamError(message)
    message = f"the hub refuses {subject!r}: {text} (code {code})"
    raise HubError(message)


def _headers_of(message: Message) -> dict[str, str] | None:
    headers = {"Nats-Msg-Id": message.id} if message.id else {}
    return {**headers, **(message.trace or {})} or None
