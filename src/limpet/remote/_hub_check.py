"""Examines a hub: its version, its streams, its syncing to disk, and its permissions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from limpet.remote._stream_setup import stream_specs
from limpet.remote._subjects import Subjects
from limpet.remote.transport import (
    HubError,
    Message,
    MissingStreamError,
    NatsTransport,
    NotPermittedError,
    StreamSpec,
)
from limpet.remote.transport._nats_stores import stream_config

FLOOR = (2, 9, 10)
"""Older servers were not tested."""
ADVISED = (2, 14, 0)
"""Before it, a kill during a purge could empty a stream (nats-server pull request 7676); before
2.12, a consumer's position could be ahead of the stream after a crash (issue 5412)."""


_UNSYNCED: Final = (
    "a power cut takes acknowledged messages of up to two minutes, which agents send again"
)


class Finding(NamedTuple):
    """One result of the examination."""

    grade: Literal["good", "warning", "bad"]
    text: str
    remedy: str = ""
    """The next step."""


async def examine(
    transport: NatsTransport, subjects: Subjects, hosts: Sequence[str] = ()
) -> list[Finding]:
    """Examine a hub with the rights of the connection's user.

    Raises:
        DisconnectedError: It does not answer.
    """
    identity = await transport.identity()
    found = [_version(identity.version)]
    found += [await _stream(transport, spec) for spec in stream_specs(subjects)]
    found.append(await _sync(transport))
    found.append(await _forbidden(transport, subjects))
    for host in hosts:
        found.append(await _agent(transport, subjects, host))
    return found


def _version(version: str) -> Finding:
    plain = version.partition("-")[0]
    numbers = tuple(int(part) for part in plain.split(".") if part.isdigit())
    if numbers < FLOOR:
        return Finding("bad", f"nats-server {version} is older than any that was tested",
                       "install nats-server 2.14 or newer")  # fmt: skip
    if numbers < ADVISED:
        return Finding(
            "warning",
            f"nats-server {version} works, with faults after crashes that 2.14 does not have",
            "install nats-server 2.14 or newer; until then read with EventReader, not in work mode",
        )
    return Finding("good", f"nats-server {version}")


async def _stream(transport: NatsTransport, spec: StreamSpec) -> Finding:
    name, want = spec.name, stream_config(spec)
    try:
        info = await transport.request(f"$JS.API.STREAM.INFO.{name}")
    except MissingStreamError:
        return Finding("bad", f"the stream {name} does not exist", "run 'limpet hub init FLEET'")
    except NotPermittedError:
        return Finding("good", f"stream {name}: this user may not examine it")
    for key in ("retention", "discard", "duplicate_window"):
        if info["config"].get(key) != want[key]:
            return Finding(
                "bad",
                f"stream {name} has {key}={info['config'].get(key)!r}, not {want[key]!r}",
                "run 'limpet hub init FLEET'",
            )
    state = info["state"]
    limit = info["config"].get("max_bytes", -1)
    if limit > 0 and state["bytes"] > limit * 0.9:
        return Finding(
            "warning",
            f"stream {name} is {state['bytes'] * 100 // limit} % full",
            "raise its max_bytes, or reduce its number of days",
        )
    return Finding("good", f"stream {name}: {state['messages']:,} messages")


async def _sync(transport: NatsTransport) -> Finding:
    """Find whether acknowledged messages are on disk; only the system account may know."""
    try:
        answer = await transport.request("$SYS.REQ.SERVER.PING.JSZ", {"config": True})
    except HubError:
        return Finding(
            "warning",
            "only its system account may find out whether it syncs each message; if it does not, "
            f"{_UNSYNCED}",
            "set 'sync_interval: always' in its jetstream block ('limpet hub config' does)",
        )
    config = answer.get("data", {}).get("config", {})
    if config.get("sync_always"):
        return Finding("good", "acknowledged messages are on disk")
    return Finding(
        "warning",
        _UNSYNCED,
        "set 'sync_interval: always' in its jetstream block",
    )


async def _forbidden(transport: NatsTransport, subjects: Subjects) -> Finding:
    """Try to publish an event of an unknown host, which no agent and no bot may."""
    subject = subjects.event("nobody", "doctor", "watch.forged")
    try:
        await transport.publish([Message(subject, b"{}", "doctor.forged")])
    except NotPermittedError:
        return Finding("good", "a forged event was refused")
    except HubError as error:
        return Finding("warning", f"it is unknown whether a forged event is refused: {error}")
    return Finding(
        "bad",
        f"user {transport.name!r} may publish events of any host",
        "give each host and bot a user of its own ('limpet hub config'); admin may do everything, "
        "so examine the hub again as one of them",
    )


async def _agent(transport: NatsTransport, subjects: Subjects, host: str) -> Finding:
    try:
        raw = await transport.get_value(subjects.hosts, host)
    except HubError as error:
        return Finding("warning", f"it is unknown whether the agent of {host} runs: {error}")
    if raw is None:
        return Finding(
            "warning", f"the agent of {host} does not run", f"run 'limpet agent' on {host}"
        )
    return Finding("good", f"the agent of {host} runs")
