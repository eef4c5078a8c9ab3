"""The server file of a hub: the permissions of each host and bot, subject by subject.

Each line was tested on servers 2.9.10 and 2.15.1: an agent publishes on the subjects of its own
host alone, and reads no events and no commands of others; a bot reads the hosts, and uses the
outputs and operations, that it was granted.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from limpet.errors import UsageError
from limpet.remote._command_codec import OPERATIONS
from limpet.remote._config_tables import (
    Table,
    checked,
    each,
    of_type,
    one_of,
    read_yaml,
    size,
    slug,
    text,
    whole,
)
from limpet.remote._subjects import Subjects, check_slug


@dataclass(frozen=True, slots=True, kw_only=True)
class BotGrant:
    """The permissions of a bot."""

    name: str
    read: Sequence[str] = ()
    """Hosts whose events it may read; ``*`` is every host's."""
    write: Sequence[tuple[str, str, str]] = ()
    """(host, output, operation) that it may use; ``*`` is any output or operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """The hosts and bots of a hub."""

    hosts: Sequence[str]
    bots: Sequence[BotGrant] = ()
    prefix: str = "limpet"
    listen: str = "0.0.0.0:4222"
    store: str = "/var/lib/nats/jetstream"
    sync: str = "always"
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    max_store: int = 20 << 30
    replicas: int = 1
    """Of each stream, on a cluster of servers."""


def _grant(value: Any) -> tuple[str, str, str]:
    host, output, verb = of_type(str)(value).split("/")
    if verb != "*" and verb not in OPERATIONS:
        raise ValueError
    check_slug(host, "the host")
    if output != "*":  # only an output may be any: a dot in a name would shift what is granted
        check_slug(output, "the output")
    return host, output, verb


def _fleet(found: dict[str, Any]) -> FleetConfig:
    fleet = FleetConfig(**found.pop("tls", {}), **found)
    for bot in fleet.bots:
        named = {*bot.read, *(host for host, _, _ in bot.write)} - {"*"}
        if unknown := sorted(named - set(fleet.hosts)):
            message = f"the bot {bot.name!r} names unknown hosts: {', '.join(unknown)}"
            raise UsageError(message)
    _check_names(fleet)
    return fleet


def _check_names(fleet: FleetConfig) -> None:
    """Refuse names by which one user would get the rights, or the consumers, of another.

    Raises:
        UsageError: Two users have one name, or two bots would read with one consumer.
    """
    users = ["admin", *fleet.hosts, *(bot.name for bot in fleet.bots)]
    if twice := sorted({name for name in users if users.count(name) > 1}):
        message = (
            f"{', '.join(twice)} is the name of two users (hosts, bots, and 'admin'): each needs "
            "its own"
        )
        raise UsageError(message)
    owner: dict[str, str] = {}
    for bot in fleet.bots:
        for consumer in sorted({n for host in bot.read for n in _consumers(bot.name, host)}):
            other = owner.setdefault(consumer, bot.name)
            if other != bot.name:
                message = (
                    f"the bots {other!r} and {bot.name!r} would both read as {consumer!r}, and so "
                    "each other's events: give one of them another name"
                )
                raise UsageError(message)


_GRANT: Final = checked(
    f"host/output/operation, the operation one of *, {', '.join(OPERATIONS)}", _grant
)
_BOT: Final = Table(
    {"name": slug, "read": each(text), "write": each(_GRANT)},
    required=frozenset({"name"}),
    make=lambda found: BotGrant(**found),
)
_FLEET: Final = Table(
    {
        "hosts": each(slug),
        "bots": each(_BOT),
        "prefix": text,
        "listen": text,
        "store": text,
        "max_store": size,
        "sync": one_of("always", "default"),
        "replicas": whole(1),
        "tls": Table({"ca": text, "cert": text, "key": text}, frozenset({"ca", "cert", "key"})),
    },
    required=frozenset({"hosts"}),
    make=_fleet,
)


def load_fleet(file: str | Path) -> FleetConfig:
    """Read the file that lists a hub's hosts and bots.

    Raises:
        ConfigError: It has mistakes; all of them are listed, with their positions.
        MissingExtraError: PyYAML is not installed.
    """
    found: FleetConfig = read_yaml(file, _FLEET, "fleet")
    return found


def _consumers(bot: str, host: str) -> tuple[str, str]:
    """Return the consumers by which a bot reads a host, alone and in work mode; ``*`` is all."""
    if host == "*":
        return f"bot-{bot}-all", f"work-{bot}"
    return f"bot-{bot}-{host}", f"work-{bot}-{host}"


def server_file(
    fleet: FleetConfig, passwords: dict[str, str] | None = None, *, version: str = ""
) -> tuple[str, dict[str, str]]:
    """Return the server's configuration, and the password of each user.

    With TLS no passwords are needed: the certificate has the user (``verify_and_map``: a DNS name
    or e-mail in it that is the user's name, or its subject as it is written).

    Args:
        fleet: Hosts and bots.
        passwords: Existing ones; missing ones are created.
        version: That of the server; before 2.10 it has no ``sync_interval``.
    """
    subjects = Subjects(fleet.prefix)
    secret = dict(passwords or {})
    users = [_user("admin", {}, fleet, secret)]
    users += [_user(host, _host_rules(subjects, host), fleet, secret) for host in fleet.hosts]
    users += [_user(bot.name, _bot_rules(subjects, bot), fleet, secret) for bot in fleet.bots]
    lines = [
        "# Written by 'limpet hub config'. After a change: nats-server --signal reload",
        f"listen: {json.dumps(fleet.listen)}",
        "max_payload: 1MB",
        "jetstream {",
        f"    store_dir: {json.dumps(fleet.store)}",
        f"    max_file_store: {fleet.max_store}",
    ]
    if fleet.sync == "always" and not _is_before(version, (2, 10)):
        lines.append(
            "    # Acknowledged events are on disk: a power cut takes none (2,000 events a second)."
        )
        lines.append("    sync_interval: always")
    lines.append("}")
    if fleet.cert:
        lines += [
            "tls {",
            f"    cert_file: {json.dumps(fleet.cert)}",
            f"    key_file: {json.dumps(fleet.key)}",
            f"    ca_file: {json.dumps(fleet.ca)}",
            "    verify_and_map: true",
            "}",
        ]
    lines += ["accounts {", "    LIMPET {", "        jetstream: enabled", "        users: ["]
    lines += [*users, "        ]", "    }", "}", ""]
    return "\n".join(lines), ({} if fleet.cert else secret)


def _is_before(version: str, least: tuple[int, int]) -> bool:
    parts = version.split(".")
    return len(parts) > 1 and (int(parts[0]), int(parts[1])) < least


def _user(
    name: str, rules: dict[str, list[str]], fleet: FleetConfig, secret: dict[str, str]
) -> str:
    user: dict[str, object] = {"user": name}
    if not fleet.cert:
        user["password"] = secret.setdefault(name, secrets.token_urlsafe(24))
    text = ", ".join(f"{key}: {json.dumps(value)}" for key, value in user.items())
    if not rules:
        return f"            {{ {text} }}"
    permissions = ", ".join(
        f"{key}: {{ allow: {json.dumps(subjects)} }}" for key, subjects in rules.items()
    )
    return f"            {{ {text}, permissions: {{ {permissions} }} }}"


def _host_rules(subjects: Subjects, host: str) -> dict[str, list[str]]:
    commands, content = subjects.commands, subjects.content(host)
    return {
        "publish": [
            subjects.events_of(host),
            subjects.result("*", host, "*"),
            f"$JS.API.CONSUMER.MSG.NEXT.{commands}.{host}",
            f"$JS.API.CONSUMER.INFO.{commands}.{host}",
            f"$JS.ACK.{commands}.{host}.>",
            f"$KV.{subjects.hosts}.{host}",
            f"$JS.API.DIRECT.GET.KV_{subjects.hosts}.$KV.{subjects.hosts}.{host}",
            *_object_rules(content, write=True),
        ],
        "subscribe": [f"_INBOX_{host}.>"],
    }


def _bot_rules(subjects: Subjects, bot: BotGrant) -> dict[str, list[str]]:
    name, events = bot.name, subjects.events
    publish = [
        subjects.dead_letters(name),
        f"$JS.API.DIRECT.GET.{subjects.results}.{subjects.results_of(name)}",
        f"$JS.API.STREAM.INFO.{events}",
        f"$JS.API.DIRECT.GET.KV_{subjects.hosts}.>",
    ]
    for host in bot.read:
        subject = subjects.events_of(None if host == "*" else host)
        own, shared = _consumers(name, host)
        for consumer in (own, shared):
            publish += [
                f"$JS.API.CONSUMER.CREATE.{events}.{consumer}.{subject}",
                f"$JS.API.CONSUMER.DELETE.{events}.{consumer}",
                f"$JS.API.CONSUMER.INFO.{events}.{consumer}",
                f"$JS.API.CONSUMER.MSG.NEXT.{events}.{consumer}",
            ]
        publish.append(f"$JS.ACK.{events}.{shared}.>")
        if host != "*":
            publish += _object_rules(subjects.content(host), write=False)
    for host, output, verb in bot.write:
        publish.append(subjects.command(host, output, verb, name))
        publish += _object_rules(subjects.content(host), write=True)
    return {
        "publish": list(dict.fromkeys(publish)),
        "subscribe": [f"_INBOX_{name}.>", subjects.results_of(name)],
    }


def _object_rules(bucket: str, *, write: bool) -> list[str]:
    """Return what reading one bucket needs, and writing it with nats-py (ADR-20)."""
    rules = [
        f"$JS.API.STREAM.INFO.OBJ_{bucket}",
        f"$JS.API.STREAM.MSG.GET.OBJ_{bucket}",
        f"$JS.API.DIRECT.GET.OBJ_{bucket}.>",
        f"$JS.API.CONSUMER.CREATE.OBJ_{bucket}.>",
        f"$JS.API.CONSUMER.DELETE.OBJ_{bucket}.>",
        f"$JS.API.CONSUMER.MSG.NEXT.OBJ_{bucket}.>",
    ]
    if write:
        rules += [f"$O.{bucket}.>", f"$JS.API.STREAM.PURGE.OBJ_{bucket}"]
    return rules
