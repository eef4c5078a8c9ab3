"""Tries what no host and no bot may do on a hub, with the rights of the connection's user.

Each attempt is harmless where it succeeds: it names a host, a stream or a key that does not exist,
or leaves a message that readers set aside.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from limpet.remote._subjects import Subjects
from limpet.remote.transport import (
    DisconnectedError,
    HubError,
    Message,
    MissingStreamError,
    NatsTransport,
    NotPermittedError,
)

_NOBODY: Final = "nobody"
"""A host that no fleet has: no harm is done in its name."""
_REFUSED_S: Final = 1.0
"""Seconds in which a refusal comes; older servers do not answer for a stream that is not there."""
_ARRIVES_S: Final = 0.5
"""Seconds in which what the hub was made to publish must be stored."""


class Attack(NamedTuple):
    """One attempt."""

    what: str
    """What the user could do, as the end of 'this user can ...'."""
    passed: bool | None
    """``None`` if it is unknown; ``why`` says why."""
    why: str = ""


async def attack(transport: NatsTransport, subjects: Subjects) -> list[Attack]:
    """Try everything, and return what came of it."""
    attempts: list[tuple[str, Callable[[], Awaitable[bool]]]] = []

    def request(what: str, subject: str, body: object = None) -> None:
        async def attempt() -> bool:
            return await _is_answered(transport, subject, body)

        attempts.append((what, attempt))

    def publish(what: str, subject: str) -> None:
        async def attempt() -> bool:
            return await _is_stored(transport, subject)

        attempts.append((what, attempt))

    events, bucket = subjects.events(_NOBODY), f"OBJ_{subjects.content(_NOBODY)}"
    commands = subjects.commands(_NOBODY)
    publish("publish the events of another host", subjects.event(_NOBODY, "doctor", "watch.forged"))
    publish(
        "send any command in the name of another bot",
        subjects.command(_NOBODY, "doctor", "delete", _NOBODY),
    )
    publish("answer for another host", subjects.result(_NOBODY, _NOBODY, "doctor"))
    publish("report that another host runs", f"$KV.{subjects.presence(_NOBODY)}.agent")
    publish("change the large contents of another host", f"$O.{subjects.content(_NOBODY)}.C.doctor")
    request("read the events of another host", f"$JS.API.DIRECT.GET.{events}", {"seq": 1})
    request("read the contents of another host", f"$JS.API.DIRECT.GET.{bucket}", {"seq": 1})
    request("read any message by its number", f"$JS.API.STREAM.MSG.GET.{commands}", {"seq": 0})
    request("take the commands of another host", f"$JS.API.CONSUMER.INFO.{commands}.{_NOBODY}")
    request(
        "have the hub publish to any subject, by a consumer's deliver_subject",
        f"$JS.API.CONSUMER.CREATE.{events}.doctor",
        {"stream_name": events, "config": {"name": "doctor", "deliver_subject": "doctor"}},
    )
    request("empty a stream", f"$JS.API.STREAM.PURGE.{events}")
    request("delete a stream", f"$JS.API.STREAM.DELETE.{events}")
    request("change the streams", f"$JS.API.STREAM.UPDATE.{events}", {"name": events})
    attempts.append(
        (
            "have the hub publish to any subject, by the subject of a reply",
            lambda: _is_reply_stored(transport, subjects),
        )
    )
    attempts.append(
        ("listen to all subjects", lambda: transport.may_subscribe(f"{subjects.prefix}.>"))
    )
    return [await _tried(what, attempt) for what, attempt in attempts]


async def _tried(what: str, attempt: Callable[[], Awaitable[bool]]) -> Attack:
    try:
        return Attack(what, await attempt())
    except NotPermittedError:
        return Attack(what, passed=False)
    except HubError as error:
        return Attack(what, None, str(error))


async def _is_answered(transport: NatsTransport, subject: str, body: object) -> bool:
    """Return whether the JetStream interface takes a request, even if it finds nothing for it."""
    try:
        async with asyncio.timeout(_REFUSED_S):
            await transport.request(subject, body)
    except (NotPermittedError, DisconnectedError):
        raise
    except (HubError, TimeoutError):
        return True
    return True


async def _is_stored(transport: NatsTransport, subject: str) -> bool:
    """Return whether a message may be published, even if no stream takes it."""
    with contextlib.suppress(MissingStreamError):
        await transport.publish([Message(subject, b"{}")])
    return True


async def _is_reply_stored(transport: NatsTransport, subjects: Subjects) -> bool:
    """Ask for what it may have, with the subject of a stored message as the one of the reply."""
    question = f"$JS.API.STREAM.INFO.{subjects.events(transport.name)}"
    try:
        await transport.request(question)
    except (NotPermittedError, MissingStreamError):  # a bot
        return await _is_trial_stored(transport, subjects)
    return await _is_event_stored(transport, subjects, transport.name)


async def _is_event_stored(transport: NatsTransport, subjects: Subjects, host: str) -> bool:
    bucket = subjects.presence(host)
    subject = subjects.event(host, "doctor", f"forged.{secrets.token_hex(8)}")
    own = f"$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.agent"
    await transport.ask_with_reply(own, subject)
    await asyncio.sleep(_ARRIVES_S)
    question = f"$JS.API.STREAM.INFO.{subjects.events(host)}"
    info = await transport.request(question, {"subjects_filter": subject})
    return bool(info["state"].get("subjects"))


async def _is_trial_stored(transport: NatsTransport, subjects: Subjects) -> bool:
    """As a bot: store a trial, and ask for it with the key of another trial as the reply."""
    bucket, name = subjects.trials, transport.name
    own, forged = f"$KV.{bucket}.{name}", f"$KV.{bucket}.{name}.{secrets.token_hex(8)}"
    await transport.publish([Message(own, b"{}")])
    await transport.ask_with_reply(f"$JS.API.DIRECT.GET.KV_{bucket}.{own}", forged)
    await asyncio.sleep(_ARRIVES_S)
    return await transport.latest(f"KV_{bucket}", forged) is not None
