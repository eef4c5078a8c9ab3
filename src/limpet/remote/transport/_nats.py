"""NATS JetStream as the engine; the only module that imports nats-py.

What is unusual here answers a fault that was seen (2026-11; nats-py 2.16, servers 2.9.10 and
2.15.1). Futures of ``publish_async`` never end when the connection drops, so answers are awaited
on a subscription of our own that a disconnection ends. A refusal by the permissions does not come
as an answer but through ``error_cb``, lower-cased, so it is matched to the subject that waits.
Nothing is left waiting in the client's memory while the hub is away (``pending_size=0``).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from limpet.errors import MissingExtraError, UsageError
from limpet.remote.transport._base import (
    Ack,
    DisconnectedError,
    HubError,
    HubFullError,
    Identity,
    Message,
    MissingStreamError,
    NotPermittedError,
    Stored,
    StreamSpec,
    TooLargeError,
)

__all__ = ["NatsTransport", "connect"]

_TIMEOUT_S: Final = 5.0
"""Seconds a batch, or a question, is waited for."""
_CONNECT_S: Final = 3.0
"""Seconds a hub is waited for by who asked not to wait for one that is not there yet."""

_FULL: Final = {10077, 10076, 10122}
"""Error codes: maximum messages, bytes or messages of a subject exceeded (server/errors.json)."""


async def connect(
    url: str,
    *,
    name: str,
    user: str | None = None,
    password: str | None = None,
    tls: ssl.SSLContext | None = None,
    inbox: str | None = None,
    wait: bool = False,
) -> NatsTransport:
    """Connect to a hub; afterwards it comes and goes, and the connection is made again by itself.

    Args:
        url: ``nats://host:port`` or ``tls://host:port``.
        name: What the hub's monitoring shows; also part of the inbox, which permissions name.
        user: With ``password``, instead of a certificate.
        password: See ``user``.
        tls: Certificates.
        inbox: Prefix of the subjects that answers come under; ``_INBOX_<name>``.
        wait: Return at once also where no hub is there yet.

    Raises:
        MissingExtraError: nats-py is not installed.
        DisconnectedError: No hub answers (not with ``wait``).
        NotPermittedError: It does not know the user.
    """
    try:
        import nats.aio.client
        import nats.errors
    except ImportError as error:
        message = "the hub needs nats-py: pip install 'limpet[nats]'"
        raise MissingExtraError(message) from error
    transport = NatsTransport(url, name)
    options: dict[str, Any] = {
        "servers": [url],
        "name": name,
        "inbox_prefix": (inbox or f"_INBOX_{name}").encode(),
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,
        "connect_timeout": 3,
        "pending_size": 0,
        "allow_reconnect": True,
        "disconnected_cb": transport.on_disconnected,
        "reconnected_cb": transport.on_reconnected,
        "error_cb": transport.on_error,
    }
    if user is not None:
        options |= {"user": user, "password": password or ""}
    if tls is not None:
        options["tls"] = tls
    if not url.startswith(("nats://", "tls://")):
        message = f"cannot connect to {url!r}: the URL must begin with nats:// or tls://"
        raise UsageError(message)
    client = nats.aio.client.Client()
    transport.client = client
    connecting = asyncio.ensure_future(client.connect(**options))
    if wait:
        transport.connecting = connecting
        return transport
    end = time.monotonic() + _CONNECT_S
    while not connecting.done() and time.monotonic() < end and not _is_final(transport.trouble):
        await asyncio.wait({connecting}, timeout=0.05)
    if connecting.done():
        try:
            connecting.result()
        except Exception as error:
            raise _translated(error, url) from error
        transport.on_connected()
        return transport
    connecting.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await connecting
    with contextlib.suppress(Exception):
        await client.close()
    reason = transport.trouble
    if "authorization" in reason:
        message = f"the hub at {url} does not let {name!r} in: {reason}"
        raise NotPermittedError(message)
    message = f"no hub answers at {url}{f' ({reason})' if reason else ''}; is it running?"
    raise DisconnectedError(message)


def _is_final(trouble: str) -> bool:
    """Whether waiting longer for a hub that said this would not help."""
    return "authorization" in trouble or "certificate" in trouble


class NatsTransport:
    """A connection to a NATS server with JetStream."""

    def __init__(self, url: str, name: str) -> None:
        """Use ``connect``."""
        self.url, self.name = url, name
        self.client: Any = None
        self.connecting: asyncio.Future[None] | None = None
        self.trouble = ""
        """What the server last complained of."""
        self._generation = 0
        self._down = asyncio.Event()
        self._up = asyncio.Event()
        self._answers: dict[str, asyncio.Future[bytes]] = {}
        self._waiting: dict[str, set[asyncio.Future[bytes]]] = {}
        """Subject -> answers that are waited for, to be failed if the subject is refused."""
        self._inbox = ""
        self._count = 0

    # -- what nats-py tells --------------------------------------------------------------------

    def on_connected(self) -> None:
        """The hub is there."""
        self._generation += 1
        self._down = asyncio.Event()
        self._up.set()

    async def on_disconnected(self) -> None:
        """The hub is gone: nobody waits any longer for what was asked."""
        self._up.clear()
        self._down.set()
        for future in list(self._answers.values()):
            if not future.done():
                future.set_exception(_away(self.url))

    async def on_reconnected(self) -> None:
        """The hub is back, or another is."""
        self.on_connected()

    async def on_error(self, error: Exception) -> None:
        """Something was refused, or the hub cannot be reached."""
        self.trouble = str(error).lower()
        if "permissions violation" not in self.trouble:
            return
        _, _, rest = self.trouble.partition(' to "')
        subject = rest.partition('"')[0]
        message = f"the hub does not allow it for {self.name!r}: {self.trouble}"
        for waiting, futures in list(self._waiting.items()):
            if waiting.lower() == subject:
                for future in list(futures):
                    if not future.done():
                        future.set_exception(NotPermittedError(message))

    @property
    def connected(self) -> bool:
        """Whether the hub is there now."""
        return bool(self.client is not None and self.client.is_connected)

    # -- asking --------------------------------------------------------------------------------

    async def _ready(self) -> None:
        """Wait until there is a hub, and listen for its answers.

        Raises:
            DisconnectedError: There is none for some seconds.
        """
        if self.connecting is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self.connecting), _TIMEOUT_S)
            except TimeoutError as error:
                raise _away(self.url, self.trouble) from error
            except Exception as error:
                raise _translated(error, self.url) from error
            self.connecting = None
            self.on_connected()
        if not self.connected:
            try:
                await asyncio.wait_for(self._up.wait(), _TIMEOUT_S)
            except TimeoutError as error:
                raise _away(self.url, self.trouble) from error
        if not self._inbox:
            inbox = f"{self.client._inbox_prefix.decode()}.{secrets.token_hex(8)}"  # noqa: SLF001
            self._inbox = inbox
            await self.client.subscribe(inbox + ".*", cb=self._on_answer)

    async def _on_answer(self, message: Any) -> None:
        future = self._answers.pop(message.subject.rpartition(".")[2], None)
        if future is not None and not future.done():
            if message.headers and message.headers.get("Status") == "503":
                future.set_exception(
                    MissingStreamError(
                        "no stream takes it (or JetStream is off); run 'limpet hub init'"
                    )
                )
            else:
                future.set_result(message.data)

    async def _ask(
        self, subject: str, data: bytes, headers: dict[str, str] | None = None
    ) -> asyncio.Future[bytes]:
        """Send a request; gives the answer to come."""
        self._count += 1
        token = str(self._count)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[token] = future
        waiting = self._waiting.setdefault(subject, set())
        waiting.add(future)

        def over(ended: asyncio.Future[bytes]) -> None:
            if not ended.cancelled():
                ended.exception()  # who asked may have been cancelled, and nobody reads it then
            self._answers.pop(token, None)
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(subject, None)

        future.add_done_callback(over)
        try:
            await self.client.publish(
                subject, data, reply=f"{self._inbox}.{token}", headers=headers
            )
        except Exception as error:
            future.cancel()
            raise _translated(error, self.url) from error
        return future

    async def _gather(self, futures: Sequence[asyncio.Future[bytes]]) -> list[bytes]:
        """Wait for answers, together for some seconds at most.

        Raises:
            DisconnectedError: The connection broke, or one did not come.
            HubError: One of them was refused.
        """
        _, pending = await asyncio.wait(
            futures, timeout=_TIMEOUT_S, return_when=asyncio.FIRST_EXCEPTION
        )
        try:
            for future in futures:
                if future.done():
                    future.result()
            if pending:
                message = f"the hub at {self.url} did not answer within {_TIMEOUT_S:g} s"
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
            HubError: It says no; ``DisconnectedError`` if it says nothing.
        """
        await self._ready()
        data = b"" if body is None else json.dumps(body).encode()
        (raw,) = await self._gather([await self._ask(subject, data)])
        answer: dict[str, Any] = json.loads(raw) if raw else {}
        if "error" in answer:
            raise _refusal(answer["error"], subject)
        return answer

    # -- storing -------------------------------------------------------------------------------

    async def publish(self, batch: Sequence[Message]) -> list[Ack]:
        """See ``Transport``."""
        await self._ready()
        limit = self.client.max_payload
        for message in batch:
            if len(message.data) > limit:
                text = f"a message of {len(message.data):,} bytes is more than the hub's {limit:,}"
                raise TooLargeError(text)
        futures = [
            await self._ask(
                message.subject, message.data, {"Nats-Msg-Id": message.id} if message.id else None
            )
            for message in batch
        ]
        acks = []
        for message, raw in zip(batch, await self._gather(futures), strict=True):
            answer = json.loads(raw)
            if "error" in answer:
                raise _refusal(answer["error"], message.subject)
            acks.append(Ack(int(answer["seq"]), bool(answer.get("duplicate"))))
        return acks

    async def latest(self, stream: str, subject: str) -> Stored | None:
        """See ``Transport``."""
        return await self._direct(stream, subject, "")

    async def at(self, stream: str, seq: int) -> Stored | None:
        """See ``Transport``."""
        return await self._direct(stream, None, json.dumps({"seq": seq}))

    async def _direct(self, stream: str, subject: str | None, body: str) -> Stored | None:
        await self._ready()
        where = f"$JS.API.DIRECT.GET.{stream}" + (f".{subject}" if subject else "")
        import nats.errors

        try:
            message = await self.client.request(where, body.encode(), timeout=_TIMEOUT_S)
        except nats.errors.NoRespondersError as error:
            text = f"there is no stream {stream!r}; run 'limpet hub init'"
            raise MissingStreamError(text) from error
        except Exception as error:
            raise _translated(error, self.url) from error
        headers = message.headers or {}
        if headers.get("Status") == "404":
            return None
        if "Nats-Sequence" not in headers:
            text = f"the hub answered {headers.get('Description', 'nothing of use')!r}"
            raise HubError(text)
        return Stored(
            headers["Nats-Subject"],
            message.data,
            headers.get("Nats-Msg-Id", ""),
            int(headers["Nats-Sequence"]),
            _unix(headers["Nats-Time-Stamp"]),
        )

    async def created(self, stream: str) -> str:
        """See ``Transport``."""
        return str((await self.request(f"$JS.API.STREAM.INFO.{stream}"))["created"])

    # -- reading -------------------------------------------------------------------------------

    async def read(
        self,
        stream: str,
        subject: str,
        *,
        name: str,
        after: int | None = None,
        since: float | None = None,
    ) -> _Pull:
        """See ``Transport``."""
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
            config |= {"deliver_policy": "by_start_time", "opt_start_time": _rfc(since)}
        elif after is not None:
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": after + 1}
        with contextlib.suppress(MissingStreamError):
            # A consumer that exists keeps its start (err 10012): make it anew.
            await self.request(f"$JS.API.CONSUMER.DELETE.{stream}.{name}")
        await self.request(
            f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{subject}",
            {"stream_name": stream, "config": config},
        )
        return await _Pull.open(self, stream, name)

    async def work(
        self, stream: str, name: str, subject: str | None, *, ack_wait: float, limit: int
    ) -> _Work:
        """See ``Transport``."""
        if subject is not None:
            # With the filter in the subject, so that the permissions can tell what is read.
            config = {**durable(name, subject, ack_wait, limit), "name": name}
            await self.request(
                f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{subject}",
                {"stream_name": stream, "config": config},
            )
        return _Work(await _Pull.open(self, stream, name))

    async def listen(self, subject: str) -> AsyncIterator[Message]:
        """See ``Transport``."""
        await self._ready()
        subscription = await self.client.subscribe(subject)
        try:
            async for message in subscription.messages:
                yield Message(message.subject, message.data)
        finally:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()

    # -- large and small values ----------------------------------------------------------------

    async def put_object(self, bucket: str, name: str, data: bytes) -> None:
        """See ``Transport``."""
        await self._ready()
        from nats.js.errors import ObjectNotFoundError

        try:
            store = await self.client.jetstream().object_store(bucket)
            try:
                if (await store.get_info(name)).size == len(data):
                    return
            except ObjectNotFoundError:
                pass
            await store.put(name, data)
        except Exception as error:
            raise _translated(error, self.url) from error

    async def get_object(self, bucket: str, name: str) -> bytes | None:
        """See ``Transport``."""
        # Not by nats-py, whose way asks for the names of all streams, which no bot may (ADR-20).
        stream = f"OBJ_{bucket}"
        token = base64.urlsafe_b64encode(name.encode()).decode()
        stored = await self.latest(stream, f"$O.{bucket}.M.{token}")
        about = {} if stored is None else json.loads(stored.data)
        if not about or about.get("deleted"):
            return None
        pieces = b""
        if about["size"]:
            subject = f"$O.{bucket}.C.{about['nuid']}"
            reader = await self.read(stream, subject, name=f"get-{secrets.token_hex(8)}")
            try:
                while len(pieces) < about["size"]:
                    found = await reader.fetch(32, _TIMEOUT_S)
                    if not found:
                        message = f"the hub at {self.url} has only a part of the object {name}"
                        raise DisconnectedError(message)
                    pieces = b"".join([pieces, *(m.data for m in found)])
            finally:
                await reader.close()
        return pieces

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        """See ``Transport``."""
        await self.publish([Message(f"$KV.{bucket}.{key}", value)])

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        """See ``Transport``."""
        found = await self.latest(f"KV_{bucket}", f"$KV.{bucket}.{key}")
        return None if found is None else found.data

    async def identity(self) -> Identity:
        """See ``Transport``."""
        await self._ready()
        info = self.client._server_info  # noqa: SLF001 (nats-py shows version and id nowhere else)
        return Identity(
            str(info.get("server_id", "")),
            str(info.get("version", "")),
            int(self.client.max_payload),
        )

    async def close(self) -> None:
        """See ``Transport``."""
        if self.connecting is not None:
            self.connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self.connecting
        if self.client is not None:
            with contextlib.suppress(Exception):
                await self.client.close()
        await self.on_disconnected()

    @property
    def generation(self) -> int:
        """Counts the connections so far."""
        return self._generation

    def gone(self) -> asyncio.Event:
        """Give what is set once the connection of now is lost."""
        return self._down


def durable(name: str, subject: str, ack_wait: float, limit: int) -> dict[str, Any]:
    """Give the configuration of a durable consumer that several may share."""
    return {
        "durable_name": name,
        "filter_subject": subject,
        "ack_policy": "explicit",
        "ack_wait": int(ack_wait * 1e9),
        "max_ack_pending": limit,
        "max_deliver": -1,
        "deliver_policy": "all",
    }


class _Pull:
    """Asks a consumer for messages and takes what comes."""

    def __init__(self, transport: NatsTransport, subject: str, subscription: Any) -> None:
        self.transport = transport
        self._subject = subject
        self._subscription = subscription
        self._gone = transport.gone()
        self._expected: int | None = None

    @classmethod
    async def open(cls, transport: NatsTransport, stream: str, name: str) -> _Pull:
        await transport._ready()  # noqa: SLF001 (its own part)
        client = transport.client
        inbox = f"{client._inbox_prefix.decode()}.{secrets.token_hex(8)}"  # noqa: SLF001
        subscription = await client.subscribe(
            inbox, pending_msgs_limit=1_000_000, pending_bytes_limit=-1
        )
        return cls(transport, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", subscription)

    async def fetch(self, limit: int, timeout: float) -> list[Stored]:
        messages = await self.take(limit, timeout)
        found = [stored_of(message) for message in messages]
        for message in messages:
            number = int(message.reply.split(".")[-3])
            if self._expected is not None and number != self._expected:
                text = "messages of the consumer are missing"
                raise DisconnectedError(text)
            self._expected = number + 1
        return found

    async def take(self, limit: int, timeout: float) -> list[Any]:
        """Ask for messages, and give those that came, as nats-py has them."""
        transport = self.transport
        if self._gone.is_set():
            raise _away(transport.url)
        body = json.dumps({"batch": limit, "expires": int(timeout * 1e9)}).encode()
        inbox = self._subscription.subject
        try:
            await transport.client.publish(self._subject, body, reply=inbox)
        except Exception as error:
            raise _translated(error, transport.url) from error
        found: list[Any] = []
        end = time.monotonic() + timeout + 1.0
        while len(found) < limit:
            # What is there is taken at once; without anything, until the request runs out.
            left = 0.0 if found else end - time.monotonic()
            message = await self._next(left)
            if message is None:
                if found:
                    break
                text = f"the hub at {transport.url} does not answer"
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
        queue = self._subscription._pending_queue  # noqa: SLF001 (next_msg makes a task a message)
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
        down = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({getter, down}, timeout=timeout, return_when="FIRST_COMPLETED")
            if getter.done():
                message = getter.result()
                self._subscription._pending_size -= len(message.data)  # noqa: SLF001
                return message
            if down.done():
                raise _away(self.transport.url)
            return None
        finally:
            getter.cancel()
            down.cancel()

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            await self._subscription.unsubscribe()


class _Work:
    """One of the workers of a durable consumer."""

    def __init__(self, pull: _Pull) -> None:
        self._pull = pull

    async def fetch(self, limit: int, timeout: float) -> list[_Given]:
        messages = await self._pull.take(limit, timeout)
        return [_Given(self._pull.transport, message) for message in messages]

    async def close(self) -> None:
        await self._pull.close()


class _Given:
    """A message to be answered."""

    def __init__(self, transport: NatsTransport, message: Any) -> None:
        self.message = stored_of(message)
        self.attempt = int(message.reply.split(".")[-5])
        self._transport, self._reply = transport, message.reply

    async def ack(self, *, confirm: bool = True) -> None:
        if not confirm:
            await self._say(b"+ACK")
            return
        transport = self._transport
        await transport._ready()  # noqa: SLF001 (its own part)
        await transport._gather([await transport._ask(self._reply, b"+ACK")])  # noqa: SLF001

    async def nak(self, delay: float) -> None:
        await self._say(f'-NAK {{"delay": {int(delay * 1e9)}}}'.encode())

    async def term(self) -> None:
        await self._say(b"+TERM")

    async def in_progress(self) -> None:
        await self._say(b"+WPI")

    async def _say(self, data: bytes) -> None:
        try:
            await self._transport.client.publish(self._reply, data)
        except Exception as error:
            raise _translated(error, self._transport.url) from error


def stored_of(message: Any) -> Stored:
    """Read what the server says of a delivered message in its reply subject.

    ``$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>``, with
    domain and account before the stream on newer servers: counted from the end.
    """
    tokens = message.reply.split(".")
    return Stored(
        message.subject,
        message.data,
        (message.headers or {}).get("Nats-Msg-Id", ""),
        int(tokens[-4]),
        int(tokens[-2]) / 1e9,
    )


def stream_config(spec: StreamSpec) -> dict[str, Any]:
    """Give the server's form of a stream."""
    config: dict[str, Any] = {
        "name": spec.name,
        "subjects": list(spec.subjects),
        "retention": "workqueue" if spec.retention == "work" else "limits",
        "storage": "file",
        "discard": "new",
        "max_age": int(spec.max_age_s * 1e9),
        "max_bytes": spec.max_bytes,
        "max_msg_size": spec.max_msg_size,
        "max_msgs": -1,
        "max_consumers": -1,
        "duplicate_window": int(spec.duplicate_window_s * 1e9),
        "num_replicas": spec.replicas,
        "allow_direct": True,
    }
    if spec.max_per_subject > 0:
        config |= {"max_msgs_per_subject": spec.max_per_subject, "discard": "old"}
    return config


def _refusal(error: dict[str, Any], subject: str) -> HubError:
    code, text = int(error.get("err_code", 0)), str(error.get("description", "no reason given"))
    if code in _FULL:
        message = f"the hub refuses {subject!r}: {text}; raise its bound, or wait for readers"
        return HubFullError(message)
    if int(error.get("code", 0)) == 404:
        message = f"the hub has nothing for {subject!r}: {text}; run 'limpet hub init'"
        return MissingStreamError(message)
    message = f"the hub refuses {subject!r}: {text} (code {code})"
    return HubError(message)


def _away(url: str, reason: str = "") -> DisconnectedError:
    return DisconnectedError(f"the hub at {url} is away{f' ({reason})' if reason else ''}")


def _translated(error: Exception, url: str) -> HubError:
    """Give our error for one of nats-py's."""
    if isinstance(error, HubError):
        return error
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    low = text.lower()
    if "notfound" in low.replace(" ", "") or "nostream" in low:
        return MissingStreamError(f"the hub at {url} has no such stream or bucket ({text})")
    if "authorization" in low or "permission" in low:
        return NotPermittedError(f"the hub at {url} does not allow it: {text}")
    return DisconnectedError(f"the hub at {url} is away ({text})")


def _unix(text: str) -> float:
    from datetime import datetime

    head, _, rest = text.rstrip("Z").partition(".")
    whole = datetime.fromisoformat(head + "+00:00").timestamp()
    return whole + (float(f"0.{rest}") if rest.isdigit() else 0.0)


def _rfc(moment: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
