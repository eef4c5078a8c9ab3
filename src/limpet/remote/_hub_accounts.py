"""The accounts of a hub: what each host and bot may reach, and by which door.

The server holds a message's subject against the rights of its sender, but never the subject of the
reply, nor one that is written in the body of a request. Within one account, a user that may ask for
anything may so have the server publish anywhere. So each host and bot has an account of its own,
which knows no subject but its own replies and those that are imported here; the server rewrites
replies on the way (docs/design/2026-11-29-rights.md). Each import was tested on servers 2.9.10 and
2.15.1. The permissions beside them say the same once more: a subject that is not imported is then
refused with a reason, and not just without an answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from limpet.remote._stream_setup import work_consumer
from limpet.remote._subjects import Subjects
from limpet.remote.transport._nats_connection import api_alias

_HUB: Final = "LIMPET"
"""The account with the streams; its only user is ``admin``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BotGrant:
    """The permissions of a bot."""

    name: str
    read: Sequence[str] = ()
    """Hosts whose events it may read; ``*`` is every host's."""
    write: Sequence[tuple[str, str, str]] = ()
    """(host, output, operation) that it may use; ``*`` is any output or operation."""

    def reads_of(self, hosts: Sequence[str]) -> list[str]:
        """Return the hosts of a fleet whose events it may read."""
        return [host for host in hosts if "*" in self.read or host in self.read]


@dataclass(frozen=True, slots=True)
class UserRights:
    """What one user may reach outside its account."""

    user: str
    services: Sequence[str]
    """Subjects on which it may publish, and get an answer."""
    streams: Sequence[str] = ()
    """Subjects that it may subscribe to."""
    questions: Sequence[str] = ()
    """Subjects of the JetStream interface that it may ask, under their aliases."""

    @property
    def account(self) -> str:
        return f"{_HUB}_{self.user}"


def host_rights(subjects: Subjects, host: str, bots: Sequence[BotGrant]) -> UserRights:
    """Return the rights of a host's agent: its own events, answers, commands and contents."""
    commands, events = subjects.commands(host), subjects.events(host)
    senders = [bot.name for bot in bots if any(host == to for to, _, _ in bot.write)]
    return UserRights(
        host,
        [
            subjects.events_of(host),
            subjects.results_by(host),
            f"$JS.API.CONSUMER.MSG.NEXT.{commands}.{host}",
            f"$JS.ACK.{commands}.{host}.>",
            f"$KV.{subjects.presence(host)}.agent",
            f"$KV.{subjects.trials}.{host}",
            _presence(subjects, host),
            *_writing(subjects.content(host)),
            *(rule for bot in senders for rule in _reading(subjects.command_content(bot, host))),
        ],
        questions=[
            f"$JS.API.STREAM.INFO.{events}",
            f"$JS.API.CONSUMER.INFO.{commands}.{host}",
        ],
    )


def bot_rights(subjects: Subjects, bot: BotGrant, hosts: Sequence[str]) -> UserRights:
    """Return the rights of a bot: the events of some hosts, and commands for some outputs."""
    name = bot.name
    services = [
        subjects.dead_letters(name),
        f"$KV.{subjects.trials}.{name}",
        f"$JS.API.DIRECT.GET.KV_{subjects.trials}.$KV.{subjects.trials}.{name}",
        f"$JS.API.DIRECT.GET.KV_{subjects.trials}.$KV.{subjects.trials}.{name}.*",
    ]
    streams: list[str] = []
    questions: list[str] = []
    for host in bot.reads_of(hosts):
        stream, worker = subjects.events(host), work_consumer(name)
        services += [
            f"$JS.API.DIRECT.GET.{stream}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{worker}",
            f"$JS.ACK.{stream}.{worker}.>",
            _presence(subjects, host),
            *_reading(subjects.content(host)),
        ]
        streams.append(subjects.live_events(host))
        questions += [
            f"$JS.API.STREAM.INFO.{stream}",
            f"$JS.API.CONSUMER.INFO.{stream}.{worker}",
        ]
    if "*" in bot.read:
        services.append(_value(subjects.fleet, "hosts"))
    for host, output, verb in bot.write:
        services += [
            subjects.command(host, output, verb, name),
            f"$JS.API.DIRECT.GET.{subjects.results(host)}.{subjects.result(name, host, '*')}",
            _presence(subjects, host),
            *_writing(subjects.command_content(name, host)),
        ]
        streams.append(subjects.live_result(name, host))
    unique = [list(dict.fromkeys(found)) for found in (services, streams, questions)]
    return UserRights(name, *unique)


def _value(bucket: str, key: str) -> str:
    return f"$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{key}"


def _presence(subjects: Subjects, host: str) -> str:
    return _value(subjects.presence(host), "agent")


def _reading(bucket: str) -> list[str]:
    return [f"$JS.API.DIRECT.GET.OBJ_{bucket}", f"$JS.API.DIRECT.GET.OBJ_{bucket}.>"]


def _writing(bucket: str) -> list[str]:
    return [f"$O.{bucket}.>", f"$JS.API.DIRECT.GET.OBJ_{bucket}.$O.{bucket}.M.>"]


def accounts(
    rights: Sequence[UserRights], user_of: Callable[[str], dict[str, object]]
) -> list[str]:
    """Return the accounts as lines of the server file; ``user_of`` gives name and password."""
    lines = ["accounts {", f"    {_HUB} {{", "        jetstream: enabled"]
    lines += [f"        users: [ {_table(user_of('admin'))} ]", "        exports: ["]
    allowed: dict[tuple[str, str], list[str]] = {}
    for one in rights:
        for subject in [*one.services, *one.questions]:
            allowed.setdefault(("service", subject), []).append(one.account)
        for subject in one.streams:
            allowed.setdefault(("stream", subject), []).append(one.account)
    for (kind, subject), names in allowed.items():
        lines.append(f"            {_table({kind: subject, 'accounts': names})}")
    lines += ["        ]", "    }"]
    for one in rights:
        lines += [f"    {json.dumps(one.account)} {{", *_account(one, user_of(one.user)), "    }"]
    return [*lines, "}"]


def _account(one: UserRights, user: dict[str, object]) -> Iterator[str]:
    aliases = {subject: api_alias(subject) for subject in one.questions}
    permissions = {
        "publish": {"allow": [*one.services, *aliases.values()]},
        "subscribe": {"allow": [f"_INBOX_{one.user}.>", *one.streams]},
    }
    imports: list[dict[str, object]] = [{"service": _hubs(subject)} for subject in one.services]
    imports += [{"service": _hubs(subject), "to": alias} for subject, alias in aliases.items()]
    imports += [{"stream": _hubs(subject)} for subject in one.streams]
    yield f"        users: [ {_table({**user, 'permissions': permissions})} ]"
    yield "        imports: ["
    for item in imports:
        yield f"            {_table(item)}"
    yield "        ]"


def _hubs(subject: str) -> dict[str, str]:
    return {"account": _HUB, "subject": subject}


def _table(found: dict[str, object]) -> str:
    """Return a table as the server reads it; its values are JSON."""
    inner = ", ".join(f"{key}: {json.dumps(value)}" for key, value in found.items())
    return f"{{ {inner} }}"
