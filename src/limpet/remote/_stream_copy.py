"""A stream of one hub on another: with its messages, their numbers, and its consumers' positions.

A single server does not become part of a cluster with its streams: one that enters a cluster takes
the streams in its folder for left over (nats-server#3267, #5467; seen on 2.9.10 and 2.15.1). What
the server offers instead is a snapshot, restored on the cluster with other replicas. The ids of
messages are restored by 2.9.10, and not by 2.15.1: an event that is sent again is then stored
twice, and readers drop it by its number.
"""

from __future__ import annotations

from typing import Any, Final

from limpet.remote.transport import HubError, MissingStreamError, NatsTransport

_PIECE: Final = 128 << 10
"""Bytes of a piece of a snapshot; the server has a few of them under way at a time."""
_END: Final = "204"
"""Status of the end of a snapshot that is whole (2.15.1; 2.9.10 gives none)."""
_PIECE_S: Final = 30.0
"""Seconds to wait for a piece: a large stream is read from the disk first."""


async def copy_stream(
    source: NatsTransport, target: NatsTransport, config: dict[str, Any]
) -> str | None:
    """Copy a stream with its consumers, and return what was copied.

    Nothing may be written to it at the source meanwhile. A copy that fails leaves no stream at the
    target.

    Args:
        source: The hub that has it; the connection of an administrator.
        target: The hub that gets it; the connection of an administrator.
        config: The stream's new configuration: its name, replicas and placement are used.

    Returns:
        What was copied; ``None`` if the target has the stream already, or the source has none.

    Raises:
        HubError: One of them refuses, or does not answer.
    """
    name = config["name"]
    if await _has(target, name) or not await _has(source, name):
        return None
    await source.ready()
    inbox = source.new_reply_subject()
    pieces = await source.client.subscribe(
        inbox, pending_msgs_limit=1_000_000, pending_bytes_limit=-1
    )
    try:
        taken = await source.request(
            f"$JS.API.STREAM.SNAPSHOT.{name}", {"deliver_subject": inbox, "chunk_size": _PIECE}
        )
        changes = {key: config[key] for key in ("num_replicas", "placement") if key in config}
        place = await target.request(
            f"$JS.API.STREAM.RESTORE.{name}",
            {"config": {**taken["config"], **changes}, "state": taken["state"]},
        )
        while data := await _next_piece(pieces, name):
            await target.request_raw(place["deliver_subject"], data)
        restored = await target.request_raw(place["deliver_subject"], b"")
    finally:
        await pieces.unsubscribe()
    there, here = taken["state"], restored["state"]
    if here["messages"] != there["messages"] or here["last_seq"] != there["last_seq"]:
        message = (
            f"{name} was copied with {here['messages']:,} messages up to {here['last_seq']}, not "
            f"{there['messages']:,} up to {there['last_seq']}: delete it, and copy it again"
        )
        raise HubError(message)
    return f"{here['messages']:,} messages and {here.get('consumer_count', 0)} consumers copied"


async def _has(transport: NatsTransport, name: str) -> bool:
    try:
        await transport.request(f"$JS.API.STREAM.INFO.{name}")
    except MissingStreamError:
        return False
    return True


async def _next_piece(pieces: Any, name: str) -> bytes:
    """Return the next piece of a snapshot, and ask for more; an empty one is its end."""
    from nats.errors import Error
    from nats.errors import TimeoutError as LateError

    try:
        piece = await pieces.next_msg(timeout=_PIECE_S)
        if piece.data and piece.reply:
            await piece.respond(b"")
    except (Error, LateError) as error:
        message = f"the snapshot of {name} ends before its end; copy it again"
        raise HubError(message) from error
    if (piece.headers or {}).get("Status", _END) != _END:
        why = piece.headers.get("Description", piece.headers["Status"])
        message = f"the snapshot of {name} ends before its end: {why}; copy it again"
        raise HubError(message)
    data: bytes = piece.data
    return data
