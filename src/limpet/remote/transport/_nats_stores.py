"""NATS JetStream as the message engine: stored messages, large objects and small values."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
from datetime import datetime
from typing import Any

from limpet.remote.transport._base import (
    DisconnectedError,
    HubError,
    HubIdentity,
    Message,
    MissingStreamError,
    StoredMessage,
    StreamSpec,
    Transport,
)
from limpet.remote.transport._nats_connection import TIMEOUT_S, ConnectOptions
from limpet.remote.transport._nats_consumers import NatsConsumers


async def connect(
    url: str,
    *,
    name: str,
    user: str | None = None,
    password: str | None = None,
    tls: ssl.SSLContext | None = None,
    reply_prefix: str | None = None,
    wait: bool = False,
) -> NatsTransport:
    """Connect to a hub; a connection that breaks later is restored by itself.

    Args:
        url: ``nats://host:port`` or ``tls://host:port``.
        name: The name in the hub's monitoring; also part of the reply subjects, which permissions
            name.
        user: With ``password``, instead of a certificate.
        password: See ``user``.
        tls: Certificates.
        reply_prefix: Prefix of the reply subjects; ``_INBOX_<name>`` if not given.
        wait: Return at once even if no hub is there yet.

    Raises:
        MissingExtraError: nats-py is not installed.
        UsageError: The URL has another scheme.
        DisconnectedError: No hub answers (not with ``wait``).
        NotPermittedError: The hub refuses the user (not with ``wait``).
    """
    transport = NatsTransport(
        ConnectOptions(
            url=url, name=name, user=user, password=password, tls=tls, reply_prefix=reply_prefix
        )
    )
    await transport.open(wait=wait)
    return transport


class NatsTransport(NatsConsumers, Transport):
    """A connection to a NATS server with JetStream; ``connect`` returns one."""

    async def latest(self, stream: str, subject: str) -> StoredMessage | None:
        return await self._direct(f"{stream}.{subject}", stream, "")

    async def at(self, stream: str, seq: int) -> StoredMessage | None:
        return await self._direct(stream, stream, json.dumps({"seq": seq}))

    async def _direct(self, place: str, stream: str, body: str) -> StoredMessage | None:
        await self.ready()
        import nats.errors

        try:
            message = await self.client.request(
                f"$JS.API.DIRECT.GET.{place}", body.encode(), timeout=TIMEOUT_S
            )
        except nats.errors.NoRespondersError as error:
            text = f"there is no stream {stream!r}; run 'limpet hub init'"
            raise MissingStreamError(text) from error
        except Exception as error:
            raise self.translated(error) from error
        headers = message.headers or {}
        if headers.get("Status") == "404":
            return None
        if "Nats-Sequence" not in headers:
            text = f"the hub answered {headers.get('Description', 'without a message')!r}"
            raise HubError(text)
        return StoredMessage(
            headers["Nats-Subject"],
            message.data,
            headers.get("Nats-Msg-Id", ""),
            int(headers["Nats-Sequence"]),
            _seconds_of(headers["Nats-Time-Stamp"]),
        )

    async def created(self, stream: str) -> str:
        return str((await self.request(f"$JS.API.STREAM.INFO.{stream}"))["created"])

    async def put_object(self, bucket: str, name: str, data: bytes) -> None:
        await self.ready()
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
            raise self.translated(error) from error

    async def get_object(self, bucket: str, name: str) -> bytes | None:
        # Not by nats-py, which asks for the names of all streams, and no bot may (ADR-20).
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
                    found = await reader.fetch(32, TIMEOUT_S)
                    if not found:
                        message = f"the hub at {self.url} has only a part of the object {name}"
                        raise DisconnectedError(message)
                    pieces = b"".join([pieces, *(m.data for m in found)])
            finally:
                await reader.close()
        return pieces

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        await self.publish([Message(f"$KV.{bucket}.{key}", value)])

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        found = await self.latest(f"KV_{bucket}", f"$KV.{bucket}.{key}")
        return None if found is None else found.data

    async def identity(self) -> HubIdentity:
        await self.ready()
        info = self.client._server_info  # noqa: SLF001 - nats-py shows version and id nowhere else
        return HubIdentity(
            str(info.get("server_id", "")),
            str(info.get("version", "")),
            int(self.client.max_payload),
        )


def stream_config(spec: StreamSpec) -> dict[str, Any]:
    """Return a stream's configuration as the server takes it."""
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


def _seconds_of(text: str) -> float:
    """Return unix seconds of a time in RFC 3339 with up to nine decimals."""
    head, _, rest = text.rstrip("Z").partition(".")
    whole = datetime.fromisoformat(head + "+00:00").timestamp()
    return whole + (float(f"0.{rest}") if rest.isdigit() else 0.0)
