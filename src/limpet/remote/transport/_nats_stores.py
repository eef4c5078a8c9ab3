"""NATS JetStream as the message engine: stored messages, large objects and small values."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from limpet.remote.transport._addresses import HubUrls
from limpet.remote.transport._base import (
    OBJECT_LIMIT,
    HubIdentity,
    Message,
    StoredMessage,
    StreamSpec,
    TooLargeError,
    Transport,
    too_large,
)
from limpet.remote.transport._nats_connection import ConnectOptions
from limpet.remote.transport._nats_consumers import NatsConsumers
from limpet.remote.transport._nats_reader import get_direct, get_newest

_PIECE: Final = 128 * 1024
"""Bytes of a piece of an object (ADR-20)."""
_WINDOW: Final = 16
"""Pieces that are sent before the answer to the first is waited for."""


async def connect(
    url: HubUrls,
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
        url: ``nats://host:port`` or ``tls://host:port``; of a cluster the addresses of all
            servers, as a list or separated by commas. When the one that is connected is lost, the
            others are tried, in turn. Addresses that a server sends are ignored.
        name: The name in the hub's monitoring; also part of the reply subjects, which permissions
            name.
        user: With ``password``, instead of a certificate.
        password: See ``user``.
        tls: Certificates.
        reply_prefix: Prefix of the reply subjects; ``_INBOX_<name>`` if not given.
        wait: Return at once even if no hub is there yet.

    Raises:
        MissingExtraError: nats-py is not installed.
        UsageError: A URL has another scheme than nats or tls, or than the others.
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
        await self.ready()
        own = self.stored.get(subject, 0)

        def is_new(found: StoredMessage | None) -> bool:
            return not own or (found is not None and found.seq >= own)

        async def ask() -> StoredMessage | None:
            (found,) = await get_direct(self, stream, [b""], subject)
            return found

        found = await self.up_to_date(ask, is_new)
        if not is_new(found):  # it was removed, or the stream was made again
            self.stored.pop(subject, None)
        return found

    async def at(self, stream: str, seq: int) -> StoredMessage | None:
        await self.ready()

        async def ask() -> StoredMessage | None:
            (found,) = await get_direct(self, stream, [b'{"seq":%d}' % seq])
            return found

        return await self.up_to_date(ask, lambda found: found is not None)

    async def newest(self, stream: str) -> StoredMessage | None:
        await self.ready()
        return await get_newest(self, stream)

    async def put_object(self, bucket: str, name: str, data: bytes) -> None:
        # Not by nats-py, which needs rights to the whole bucket (STREAM.PURGE) for it (ADR-20).
        if len(data) > OBJECT_LIMIT:
            raise TooLargeError(too_large(name, len(data)))
        subject = _about_subject(bucket, name)
        stored = await self.latest(f"OBJ_{bucket}", subject)
        if stored is not None and _about_of(stored.data).size == len(data):
            return
        nuid = secrets.token_hex(11)
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
        for start in range(0, len(pieces), _WINDOW):
            await self.publish(
                [Message(f"$O.{bucket}.C.{nuid}", one) for one in pieces[start : start + _WINDOW]]
            )
        about = {
            "name": name,
            "bucket": bucket,
            "nuid": nuid,
            "size": len(data),
            "chunks": len(pieces),
            "digest": "SHA-256=" + base64.urlsafe_b64encode(sha256(data).digest()).decode(),
            "mtime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "options": {"max_chunk_size": _PIECE},
        }
        await self.publish([Message(subject, json.dumps(about).encode())])

    async def get_object(self, bucket: str, name: str, size: int) -> bytes | None:
        # Not by nats-py, which asks for the names of all streams, and no bot may (ADR-20).
        stream = f"OBJ_{bucket}"
        stored = await self.latest(stream, _about_subject(bucket, name))
        about = _About() if stored is None else _about_of(stored.data)
        if about.size != size or not 0 <= size <= OBJECT_LIMIT:
            return None
        pieces: list[bytes] = []
        left, seq = size, 1
        while left:
            body = {"next_by_subj": f"$O.{bucket}.C.{about.nuid}", "seq": seq}
            (piece,) = await get_direct(self, stream, [json.dumps(body).encode()])
            # Pieces of one byte each would keep whoever fetches them for hours.
            if piece is None or len(piece.data) != min(_PIECE, left):
                return None
            pieces.append(piece.data)
            left, seq = left - len(piece.data), piece.seq + 1
        return b"".join(pieces)

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        await self.publish([Message(f"$KV.{bucket}.{key}", value)])

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        found = await self.get_stored(bucket, key)
        return None if found is None else found.data

    async def get_stored(self, bucket: str, key: str) -> StoredMessage | None:
        return await self.latest(f"KV_{bucket}", f"$KV.{bucket}.{key}")

    async def identity(self) -> HubIdentity:
        await self.ready()
        info = self.client._server_info  # noqa: SLF001 - nats-py shows version and id nowhere else
        return HubIdentity(
            str(info.get("server_id", "")),
            str(info.get("version", "")),
            int(self.client.max_payload),
        )


@dataclass(frozen=True, slots=True)
class _About:
    """What a bucket says of one of its objects."""

    size: int = -1
    """Bytes; -1 if there is none."""
    nuid: str = ""
    """Token of the subject of its pieces."""


def _about_subject(bucket: str, name: str) -> str:
    return f"$O.{bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def _about_of(raw: bytes) -> _About:
    """Return what a bucket says of an object; that there is none if it is not to be understood."""
    try:
        found = json.loads(raw)
        size, nuid = found["size"], found["nuid"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return _About()
    is_valid = type(size) is int and isinstance(nuid, str) and nuid.isalnum()
    return _About() if not is_valid or found.get("deleted") else _About(size, nuid)


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
    if spec.live:
        config["republish"] = {
            "src": spec.subjects[0],
            "dest": spec.live,
            **({"headers_only": True} if spec.live_headers_only else {}),
        }
    if spec.max_per_subject > 0:
        config |= {"max_msgs_per_subject": spec.max_per_subject, "discard": "old"}
    return config
