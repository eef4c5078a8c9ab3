"""The streams, buckets and consumers of a fleet, as ``limpet hub init`` creates them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from limpet.remote._subjects import Subjects, check_slug
from limpet.remote.transport import MemoryHub, MissingStreamError, NatsTransport, StreamSpec
from limpet.remote.transport._nats_consumers import durable_config
from limpet.remote.transport._nats_stores import stream_config

ACK_WAIT_S: Final = 30.0
"""Seconds without an answer after which a command is delivered again."""
_DAY_S: Final = 86_400.0


def stream_specs(
    subjects: Subjects,
    *,
    replicas: int = 1,
    max_bytes: int = 10 << 30,
    event_days: float = 7.0,
    duplicate_window_s: float = 600.0,
) -> list[StreamSpec]:
    """Return the streams of a fleet.

    Never an interest stream for events (it does not store events without a reader), and
    ``discard=new``: a full stream refuses events, and they stay in the agents' spools.
    """
    prefix = subjects.prefix

    def spec(name: str, pattern: str, days: float, size: int = 1 << 30, **more: Any) -> StreamSpec:
        return StreamSpec(
            name=name,
            subjects=(pattern,),
            max_age_s=days * _DAY_S,
            max_bytes=size,
            duplicate_window_s=duplicate_window_s,
            replicas=replicas,
            **more,
        )

    events = subjects.events_of()
    return [
        spec(subjects.events, events, event_days, max_bytes, max_msg_size=1 << 20),
        spec(
            subjects.commands,
            f"{prefix}.v1.cmd.>",
            1 / 24,
            retention="work",
            max_msg_size=1 << 20,
        ),
        spec(subjects.results, f"{prefix}.v1.res.>", 1, max_per_subject=1),
        spec(subjects.dead, f"{prefix}.v1.dead.>", 30),
    ]


def init_memory(
    hub: MemoryHub, hosts: Sequence[str], subjects: Subjects, *, ack_wait: float = ACK_WAIT_S
) -> None:
    """Create a fleet's streams in memory."""
    for spec in stream_specs(subjects):
        hub.make(spec)
    for host in hosts:
        hub.make_durable(subjects.commands, host, subjects.commands_of(host), ack_wait, 1)


async def init_nats(
    transport: NatsTransport,
    hosts: Sequence[str],
    subjects: Subjects | None = None,
    *,
    ack_wait: float = ACK_WAIT_S,
    **settings: Any,
) -> list[str]:
    """Create or update a fleet's streams, buckets and consumers on a hub.

    Args:
        transport: The connection of an administrator.
        hosts: The hosts' slugs.
        subjects: For a fleet with a prefix of its own.
        ack_wait: Seconds without an answer after which a command is delivered again.
        **settings: See ``stream_specs``.

    Returns:
        One line for each of them.

    Raises:
        UsageError: A host is not a slug.
        HubError: The hub refuses one of them; those before it are kept.
    """
    subjects = subjects or Subjects()
    hosts = [check_slug(host, "host") for host in hosts]
    done = [
        await _make(transport, stream_config(spec)) for spec in stream_specs(subjects, **settings)
    ]
    replicas = settings.get("replicas", 1)
    done.append(await _make(transport, _bucket(subjects.hosts, 60.0, replicas)))
    days = settings.get("event_days", 7.0)
    for host in hosts:
        config = _objects(subjects.content(host), (days + 1) * _DAY_S, replicas)
        done.append(await _make(transport, config))
        subject = f"$JS.API.CONSUMER.DURABLE.CREATE.{subjects.commands}.{host}"
        body = durable_config(host, subjects.commands_of(host), ack_wait, 1)
        await transport.request(subject, {"stream_name": subjects.commands, "config": body})
        done.append(f"consumer {host} of {subjects.commands}: ready")
    return done


async def _make(transport: NatsTransport, config: dict[str, Any]) -> str:
    name = config["name"]
    try:
        there = (await transport.request(f"$JS.API.STREAM.INFO.{name}"))["config"]
    except MissingStreamError:
        await transport.request(f"$JS.API.STREAM.CREATE.{name}", config)
        return f"{name}: created"
    if all(there.get(key) == value for key, value in config.items() if value not in (-1, 0)):
        return f"{name}: unchanged"
    await transport.request(f"$JS.API.STREAM.UPDATE.{name}", {**there, **config})
    return f"{name}: updated"


def _bucket(name: str, max_age_s: float, replicas: int) -> dict[str, Any]:
    """Return the stream of a key-value bucket (ADR-8)."""
    return _store(f"KV_{name}", [f"$KV.{name}.>"], max_age_s, replicas) | {
        "max_msgs_per_subject": 1,
        "deny_delete": True,
    }


def _objects(name: str, max_age_s: float, replicas: int) -> dict[str, Any]:
    """Return the stream of an object bucket (ADR-20)."""
    return _store(f"OBJ_{name}", [f"$O.{name}.C.>", f"$O.{name}.M.>"], max_age_s, replicas)


def _store(name: str, subjects: list[str], max_age_s: float, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": subjects,
        "max_age": int(max_age_s * 1e9),
        "storage": "file",
        "discard": "new",
        "allow_rollup_hdrs": True,
        "allow_direct": True,
        "num_replicas": replicas,
    }
