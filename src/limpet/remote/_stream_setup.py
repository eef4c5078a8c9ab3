"""The streams, buckets and consumers of a fleet, as ``limpet hub init`` creates them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from limpet.remote._stream_copy import copy_stream
from limpet.remote._subjects import Subjects, check_slug
from limpet.remote.transport import (
    DisconnectedError,
    HubError,
    MemoryHub,
    Message,
    MissingStreamError,
    NatsTransport,
    StreamSpec,
)
from limpet.remote.transport._nats_consumers import durable_config
from limpet.remote.transport._nats_stores import stream_config

T = TypeVar("T")

ACK_WAIT_S: Final = 5.0
"""Seconds without a sign of life after which a command is delivered again: an agent that was killed
may hold one."""
WORK_ACK_WAIT_S: Final = 30.0
"""The same of an event in work mode."""
WORK_LIMIT: Final = 32
"""Events that may be without an answer at a time, for all workers of a bot."""
_LEADER_S: Final = 20.0
"""Seconds that ``hub init`` waits for a leader, for each request: an election takes some."""
_AGAIN_S: Final = 0.25
_DAY_S: Final = 86_400.0
_GONE_S: Final = 60.0
"""Seconds, by the hub's clock, after which an agent that reports nothing counts as gone."""
_LEAST_BYTES: Final = 1 << 20
"""Bytes below which a share of the store is of no use."""


class HubLayout(NamedTuple):
    """The hosts and bots that a hub has streams, buckets and consumers for."""

    hosts: Sequence[str]
    reads: Sequence[tuple[str, str]] = ()
    """(bot, host) that reads."""
    writes: Sequence[tuple[str, str]] = ()
    """(bot, host) that may send commands."""
    others: Sequence[str] = ()
    """Bots that do neither."""

    @property
    def bots(self) -> list[str]:
        """All bots."""
        return list(dict.fromkeys([*(bot for bot, _ in (*self.reads, *self.writes)), *self.others]))


def stream_specs(
    subjects: Subjects,
    hosts: Sequence[str],
    bots: Sequence[str] = (),
    *,
    replicas: int = 1,
    max_bytes: int = 10 << 30,
    event_days: float = 7.0,
    duplicate_window_s: float = 600.0,
) -> list[StreamSpec]:
    """Return the streams of a fleet; ``max_bytes`` is for those of all hosts and bots together.

    Whoever may write to a stream can fill it, use up its message ids, ask for the numbers of its
    subjects (``Nats-Expected-Last-Subject-Sequence``), and acknowledge its messages on older
    servers. So no stream has the messages of two: each host has its own for events, commands and
    answers, each bot for its dead letters. Never an interest stream for events (it does not store
    events without a reader), and ``discard=new``: a full stream refuses events, and they stay in
    the agents' spools.
    """
    small = max(_LEAST_BYTES, min(256 << 20, max_bytes // 8 // max(1, 2 * len(hosts) + len(bots))))
    share = max(_LEAST_BYTES, max_bytes * 3 // 4 // max(1, len(hosts)))

    def spec(name: str, pattern: str, days: float, size: int = small, **more: Any) -> StreamSpec:
        return StreamSpec(
            name=name,
            subjects=(pattern,),
            max_age_s=days * _DAY_S,
            max_bytes=size,
            duplicate_window_s=duplicate_window_s,
            replicas=replicas,
            **more,
        )

    found = []
    for host in hosts:
        found += [
            spec(
                subjects.events(host),
                subjects.events_of(host),
                event_days,
                share,
                max_msg_size=1 << 20,
                live=subjects.live_events(host),
                live_headers_only=True,
            ),
            spec(
                subjects.commands(host),
                subjects.commands_of(host),
                1 / 24,
                retention="work",
                max_msg_size=1 << 20,
            ),
            spec(
                subjects.results(host),
                subjects.results_by(host),
                1,
                max_per_subject=1,
                live=subjects.live_results(host),
            ),
        ]
    return [*found, *(spec(subjects.dead(bot), subjects.dead_letters(bot), 30) for bot in bots)]


def work_consumer(bot: str) -> str:
    """Return the consumer of each host's events that the workers of a bot share."""
    return f"work-{bot}"


def init_memory(
    hub: MemoryHub,
    hosts: Sequence[str],
    subjects: Subjects,
    *,
    bots: Sequence[str] = (),
    ack_wait: float = ACK_WAIT_S,
) -> None:
    """Create a fleet's streams in memory."""
    for spec in stream_specs(subjects, hosts, bots):
        hub.make(spec)
    for host in hosts:
        hub.make_durable(subjects.commands(host), host, subjects.commands_of(host), ack_wait, 1)
        hub.value_age[subjects.presence(host)] = _GONE_S
    hub.put_value(subjects.fleet, "hosts", json.dumps(list(hosts)).encode())


async def init_nats(
    transport: NatsTransport,
    layout: HubLayout,
    subjects: Subjects | None = None,
    *,
    ack_wait: float = ACK_WAIT_S,
    content_bytes: int = -1,
    placement: Sequence[str] = (),
    source: NatsTransport | None = None,
    **settings: Any,
) -> list[str]:
    """Create or update a fleet's streams, buckets and consumers on a hub.

    Args:
        transport: The connection of an administrator.
        layout: The hosts and bots.
        subjects: For a fleet with a prefix of its own.
        ack_wait: Seconds without an answer after which a command is delivered again.
        content_bytes: Bytes for the large contents of all hosts together; -1 means no bound.
        placement: Tags of the servers of a cluster that store all of it; empty means any.
        source: A hub whose streams are copied, where this one has none of the name.
        **settings: See ``stream_specs``.

    Returns:
        One line for each of them.

    Raises:
        UsageError: A host is not a slug.
        HubError: The hub refuses one of them; those before it are kept.
    """
    subjects = subjects or Subjects()
    hosts = [check_slug(host, "host") for host in layout.hosts]
    place = {"placement": {"tags": list(placement)}} if placement else {}

    async def make(config: dict[str, Any]) -> str:
        config |= place
        copied = None if source is None else await copy_stream(source, transport, config)
        made = await _make(transport, config)
        return made if copied is None else f"{made}; {copied}"

    done = [
        await make(stream_config(spec))
        for spec in stream_specs(subjects, hosts, layout.bots, **settings)
    ]
    replicas = settings.get("replicas", 1)
    done += [await make(_bucket(subjects.presence(host), _GONE_S, replicas)) for host in hosts]
    done.append(await make(_bucket(subjects.fleet, 0.0, replicas)))
    trials = _bucket(subjects.trials, _GONE_S, replicas)
    trials |= {"max_msg_size": 1 << 20, "max_bytes": 8 << 20}
    done.append(await make(trials))
    days = settings.get("event_days", 7.0)
    pairs = dict.fromkeys(layout.writes)
    buckets = [(subjects.content(host), (days + 1) * _DAY_S) for host in hosts]
    buckets += [(subjects.command_content(bot, host), _DAY_S) for bot, host in pairs]
    share = -1 if content_bytes < 0 else max(_LEAST_BYTES, content_bytes // max(1, len(buckets)))
    for name, max_age_s in buckets:
        done.append(await make(_objects(name, max_age_s, share, replicas)))
    for host in hosts:
        subject = subjects.commands_of(host)
        body = durable_config(host, subject, ack_wait, 1)
        done.append(await _consumer(transport, subjects.commands(host), body))
    for bot, host in dict.fromkeys(layout.reads):
        name, subject = work_consumer(bot), subjects.events_of(host)
        body = durable_config(name, subject, WORK_ACK_WAIT_S, WORK_LIMIT)
        done.append(await _consumer(transport, subjects.events(host), body))
    value = json.dumps(hosts).encode()
    note = Message(f"$KV.{subjects.fleet}.hosts", value)
    await _patiently(lambda: transport.publish([note]))
    return done


async def _patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what comes of an attempt; one that finds no leader is made again for some time.

    A stream that has got other replicas chooses a leader, which takes a second or two. All that is
    asked for here may be asked for twice.

    Raises:
        HubError: The hub refuses, or does not answer in all of that time.
    """
    end = asyncio.get_running_loop().time() + _LEADER_S
    while True:
        try:
            return await attempt()
        except DisconnectedError:
            if asyncio.get_running_loop().time() >= end:
                raise
            await asyncio.sleep(_AGAIN_S)


async def _request(transport: NatsTransport, subject: str, body: object = None) -> dict[str, Any]:
    return await _patiently(lambda: transport.request(subject, body))


async def _consumer(transport: NatsTransport, stream: str, config: dict[str, Any]) -> str:
    """Create or update a durable consumer; one whose position the stream has lost is made again."""
    name = config["durable_name"]
    with contextlib.suppress(MissingStreamError):
        if await _patiently(lambda: transport.stalled(stream, name)):
            state = (await _request(transport, f"$JS.API.STREAM.INFO.{stream}"))["state"]
            await _request(transport, f"$JS.API.CONSUMER.DELETE.{stream}.{name}")
            start = {"deliver_policy": "by_start_sequence", "opt_start_seq": state["last_seq"] + 1}
            await _create_consumer(transport, stream, {**config, **start})
            return f"consumer {name} of {stream}: made again after the last message"
    await _create_consumer(transport, stream, config)
    return f"consumer {name} of {stream}: ready"


async def _create_consumer(transport: NatsTransport, stream: str, config: dict[str, Any]) -> None:
    subject = f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{config['durable_name']}"
    await _request(transport, subject, {"stream_name": stream, "config": config})


async def _make(transport: NatsTransport, config: dict[str, Any]) -> str:
    name = config["name"]
    try:
        there = (await _request(transport, f"$JS.API.STREAM.INFO.{name}"))["config"]
    except MissingStreamError:
        try:
            await _request(transport, f"$JS.API.STREAM.CREATE.{name}", config)
        except HubError as error:
            message = f"cannot create {name}: {error}{_advice(str(error), config)}"
            raise type(error)(message) from error
        return f"{name}: created"
    changed = [
        f"{key} {json.dumps(there.get(key))} -> {json.dumps(value)}"
        for key, value in config.items()
        if value not in (-1, 0) and there.get(key) != value
    ]
    if not changed:
        return f"{name}: unchanged"
    try:
        await _request(transport, f"$JS.API.STREAM.UPDATE.{name}", {**there, **config})
    except HubError as error:
        message = (
            f"cannot change {name} ({', '.join(changed)}): {error}{_advice(str(error), config)}"
        )
        raise type(error)(message) from error
    return f"{name}: updated ({', '.join(changed)})"


def _advice(reason: str, config: dict[str, Any]) -> str:
    """Return the next step after a stream was refused."""
    if "insufficient" in reason and config.get("max_bytes", -1) > 0:
        return (
            f"; it needs {config['max_bytes']:,} bytes of the hub's store: raise max_store in the "
            "fleet's file, and reload the server with what 'limpet hub config' prints"
        )
    if config["num_replicas"] > 1 and ("replicas > 1" in reason or "no suitable peers" in reason):
        return (
            f"; it needs {config['num_replicas']} servers of a cluster that are up, with the tags "
            "of 'placement'"
        )
    if "overlap" in reason:
        return "; another stream takes its subjects: remove that, or give the fleet a prefix"
    return ""


def _bucket(name: str, max_age_s: float, replicas: int) -> dict[str, Any]:
    """Return the stream of a key-value bucket (ADR-8)."""
    return _store(f"KV_{name}", [f"$KV.{name}.>"], max_age_s, replicas) | {
        "max_msgs_per_subject": 1,
        "deny_delete": True,
        "discard": "old",
        "max_bytes": 1 << 20,
        "max_msg_size": 64 << 10,
    }


def _objects(name: str, max_age_s: float, max_bytes: int, replicas: int) -> dict[str, Any]:
    """Return the stream of an object bucket (ADR-20)."""
    subjects = [f"$O.{name}.C.>", f"$O.{name}.M.>"]
    return _store(f"OBJ_{name}", subjects, max_age_s, replicas) | {"max_bytes": max_bytes}


def _store(name: str, subjects: list[str], max_age_s: float, replicas: int) -> dict[str, Any]:
    """Return the stream of a bucket.

    Without ``allow_rollup_hdrs``: with ``Nats-Rollup: all`` one writer removes what others wrote.
    """
    return {
        "name": name,
        "subjects": subjects,
        "max_age": int(max_age_s * 1e9),
        "storage": "file",
        "discard": "new",
        "allow_rollup_hdrs": False,
        "allow_direct": True,
        "num_replicas": replicas,
    }
