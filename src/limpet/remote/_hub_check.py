"""Examines a hub: its version, whether what it acknowledges is on disk, and who may do what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from limpet.remote._stream_setup import stream_specs
from limpet.remote._subjects import Subjects
from limpet.remote.transport import HubError, Message, MissingStreamError, NotPermittedError
from limpet.remote.transport._nats import NatsTransport, stream_config

__all__ = ["Finding", "examine"]

FLOOR = (2, 9, 10)
"""Older servers were not tried."""
ADVISED = (2, 14, 0)
"""Before it, a kill during a purge could empty a stream (nats-server pull request 7676); before
2.12, a consumer's note of what was read could be ahead of the stream after a crash (issue 5412)."""


class Finding(NamedTuple):
    """What was found."""

    grade: Literal["good", "warning", "bad"]
    text: str
    remedy: str = ""
    """What to do about it."""


async def examine(
    transport: NatsTransport, subjects: Subjects, hosts: Sequence[str] = ()
) -> list[Finding]:
    """Look at a hub as the user of the connection sees it.

    Raises:
        DisconnectedError: It does not answer.
    """
    identity = await transport.identity()
    found = [_version(identity.version)]
    found += [await _stream(transport, spec_name, subjects) for spec_name in _names(subjects)]
    found.append(await _sync(transport))
    found.append(await _forbidden(transport, subjects))
    for host in hosts:
        found.append(await _agent(transport, subjects, host))
    return found


def _names(subjects: Subjects) -> list[str]:
    return [spec.name for spec in stream_specs(subjects)]


def _version(version: str) -> Finding:
    plain = version.partition("-")[0]
    numbers = tuple(int(part) for part in plain.split(".") if part.isdigit())
    if numbers < FLOOR:
        return Finding("bad", f"nats-server {version} is older than any that was tried",
                       "install nats-server 2.14 or newer")  # fmt: skip
    if numbers < ADVISED:
        return Finding(
            "warning",
            f"nats-server {version} works, and has faults after crashes that 2.14 has not",
            "install nats-server 2.14 or newer; until then read with a cursor, not in work mode",
        )
    return Finding("good", f"nats-server {version}")


async def _stream(transport: NatsTransport, name: str, subjects: Subjects) -> Finding:
    try:
        info = await transport.request(f"$JS.API.STREAM.INFO.{name}")
    except MissingStreamError:
        return Finding("bad", f"there is no stream {name}", "run 'limpet hub init FLEET'")
    except NotPermittedError:
        return Finding("good", f"stream {name}: this user may not ask about it")
    want = next(stream_config(spec) for spec in stream_specs(subjects) if spec.name == name)
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
            "raise its max_bytes, or let it keep fewer days",
        )
    return Finding("good", f"stream {name}: {state['messages']:,} messages")


async def _sync(transport: NatsTransport) -> Finding:
    """Ask whether what is acknowledged is on disk; only the system account is told."""
    try:
        answer = await transport.request("$SYS.REQ.SERVER.PING.JSZ", {"config": True})
    except HubError:
        return Finding(
            "warning",
            "whether it syncs each message is told to its system account only; if not, a power "
            "cut takes acknowledged messages of up to two minutes, which agents send again",
            "set 'sync_interval: always' in its jetstream block ('limpet hub config' does)",
        )
    config = answer.get("data", {}).get("config", {})
    if config.get("sync_always"):
        return Finding("good", "what it acknowledges is on disk")
    return Finding(
        "warning",
        "a power cut takes acknowledged messages of up to two minutes, which agents send again",
        "set 'sync_interval: always' in its jetstream block",
    )


async def _forbidden(transport: NatsTransport, subjects: Subjects) -> Finding:
    """Try what no agent and no bot may do: an event in the name of a host there is not."""
    subject = subjects.event("nobody", "doctor", "watch.forged")
    try:
        await transport.publish([Message(subject, b"{}", "doctor.forged")])
    except NotPermittedError:
        return Finding("good", "a forged event was refused")
    except HubError as error:
        return Finding("warning", f"whether a forged event is refused is not known: {error}")
    return Finding(
        "bad",
        f"user {transport.name!r} may publish events of any host",
        "give each host and bot a user of its own ('limpet hub config'); admin may do everything, "
        "so ask again as one of them",
    )


async def _agent(transport: NatsTransport, subjects: Subjects, host: str) -> Finding:
    try:
        raw = await transport.get_value(subjects.hosts, host)
    except HubError as error:
        return Finding("warning", f"whether the agent of {host} is there is not known: {error}")
    if raw is None:
        return Finding(
            "warning", f"the agent of {host} is not there", f"run 'limpet agent' on {host}"
        )
    return Finding("good", f"the agent of {host} is there")
