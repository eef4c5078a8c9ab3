"""Examines a hub: its version, its streams and consumers, its disk, its rights and its agents."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from limpet.remote._agent_presence import CLOCK_S
from limpet.remote._agent_report import report_of
from limpet.remote._fleet_hosts import FleetHosts
from limpet.remote._hub_attacks import attack
from limpet.remote._stream_setup import stream_specs
from limpet.remote._subjects import Subjects
from limpet.remote.transport import (
    DisconnectedError,
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
_TRIAL_BYTES: Final = 512 << 10
"""Bytes of the message that is stored as a trial: a disk that is nearly full takes small ones."""
_REPORT_S: Final = 20.0
"""Seconds within which an agent that runs has reported."""


class Finding(NamedTuple):
    """One result of the examination."""

    grade: Literal["good", "warning", "bad"]
    text: str
    remedy: str = ""
    """The next step."""


async def examine(
    transport: NatsTransport, subjects: Subjects, hosts: Sequence[str] = ()
) -> list[Finding]:
    """Examine a hub with the rights of the connection's user; ``hosts`` are those to ask for.

    Raises:
        DisconnectedError: It does not answer.
    """
    identity = await transport.identity()
    found = [_version(identity.version)]
    found += await _streams(transport, subjects, hosts)
    found.append(await _storing(transport, subjects))
    found.append(await _sync(transport))
    found += await _rights(transport, subjects)
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


async def _streams(
    transport: NatsTransport, subjects: Subjects, hosts: Sequence[str]
) -> list[Finding]:
    """Examine the streams that this user may ask about."""
    try:
        hosts = await FleetHosts(transport, subjects).names()
    except NotPermittedError:
        hosts = list(dict.fromkeys([*hosts, transport.name]))
    except MissingStreamError as error:
        return [Finding("bad", str(error), "run 'limpet hub init FLEET'")]
    found = []
    for spec in stream_specs(subjects, hosts):
        finding = await _stream(transport, spec)
        if finding is not None:
            found.append(finding)
            found += await _consumers(transport, spec.name)
    return found


async def _stream(transport: NatsTransport, spec: StreamSpec) -> Finding | None:
    name, want = spec.name, stream_config(spec)
    try:
        info = await transport.request(f"$JS.API.STREAM.INFO.{name}")
    except MissingStreamError:
        return Finding("bad", f"the stream {name} does not exist", "run 'limpet hub init FLEET'")
    except NotPermittedError:
        return None
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
            "raise max_store in the fleet's file, or reduce the number of days",
        )
    return Finding("good", f"stream {name}: {state['messages']:,} messages")


async def _consumers(transport: NatsTransport, stream: str) -> list[Finding]:
    """Report the durable consumers whose position the stream has lost."""
    try:
        listed = await transport.request(f"$JS.API.CONSUMER.NAMES.{stream}")
    except HubError:
        return []
    found = []
    for name in listed.get("consumers") or []:
        reason = await transport.stalled(stream, name)
        if reason:
            found.append(Finding("bad", reason, "run 'limpet hub init FLEET'"))
    return found


async def _storing(transport: NatsTransport, subjects: Subjects) -> Finding:
    """Try a stored write: a hub whose disk is full answers everything else."""
    place = f"$KV.{subjects.trials}.{transport.name}"
    try:
        await transport.publish([Message(place, bytes(_TRIAL_BYTES))])
    except NotPermittedError as error:
        return Finding("warning", f"it is unknown whether the hub stores messages: {error}")
    except MissingStreamError:
        return Finding("bad", f"the hub has no {subjects.trials}", "run 'limpet hub init FLEET'")
    except HubError as error:
        return Finding(
            "bad",
            f"the hub stores nothing: a message of {_TRIAL_BYTES:,} bytes got no confirmation "
            f"({error})",
            "make room on the disk of its store, see its log, and restart the server",
        )
    return Finding("good", "the hub stores messages")


async def _sync(transport: NatsTransport) -> Finding:
    """Find whether acknowledged messages are on disk; only the system account may know."""
    try:
        answer = await transport.request("$SYS.REQ.SERVER.PING.JSZ", {"config": True})
    except HubError:
        return Finding(
            "good",
            "only its system account can tell whether it syncs each message to disk; the file of "
            "'limpet hub config' says so (sync_interval: always, from 2.10)",
        )
    config = answer.get("data", {}).get("config", {})
    if config.get("sync_always"):
        return Finding("good", "acknowledged messages are on disk")
    return Finding(
        "warning",
        "a power cut takes acknowledged messages of up to two minutes, which agents send again",
        "set 'sync_interval: always' in its jetstream block",
    )


async def _rights(transport: NatsTransport, subjects: Subjects) -> list[Finding]:
    """Try what no host and no bot may do."""
    name = transport.name
    if name == "admin":
        return [
            Finding(
                "warning",
                "admin may do everything, so the rights of hosts and bots were not examined",
                "examine the hub again as a host, and as a bot",
            )
        ]
    tried = await attack(transport, subjects)
    passed = [one.what for one in tried if one.passed]
    found = [
        Finding("warning", f"it is unknown whether {name!r} can {one.what}: {one.why}")
        for one in tried
        if one.passed is None
    ]
    if passed:
        found.append(
            Finding(
                "bad",
                f"user {name!r} can do {len(passed)} of {len(tried)} things that no host and no "
                f"bot may: {'; '.join(passed)}",
                "give each host and bot an account of its own ('limpet hub config' does)",
            )
        )
    if refused := sum(one.passed is False for one in tried):
        found.append(Finding("good", f"{refused} of {len(tried)} attacks were refused"))
    return found


async def _agent(transport: NatsTransport, subjects: Subjects, host: str) -> Finding:
    try:
        stored = await transport.get_stored(subjects.presence(host), "agent")
    except DisconnectedError:
        raise
    except HubError as error:
        return Finding("warning", f"it is unknown whether the agent of {host} runs: {error}")
    report = {} if stored is None else report_of(stored.data)
    if stored is None or report.get("stopped"):
        return Finding(
            "warning", f"the agent of {host} does not run", f"run 'limpet agent' on {host}"
        )
    offset, age = report.get("clock"), time.time() - stored.time
    if isinstance(offset, int | float) and abs(offset) > CLOCK_S:
        side = "behind" if offset > 0 else "ahead of"
        return Finding(
            "warning",
            f"the agent of {host} runs; its clock is {abs(offset):,.0f} s {side} the hub's",
            f"set the clock of {host} by NTP: its events carry that time",
        )
    if not -CLOCK_S < age < _REPORT_S + CLOCK_S:
        side = "behind" if age < 0 else "ahead of"
        return Finding(
            "warning",
            f"the agent of {host} runs; the clock of this system may be {abs(age):,.0f} s {side} "
            "the hub's",
            "set the clock of this system by NTP",
        )
    return Finding("good", f"the agent of {host} runs")
