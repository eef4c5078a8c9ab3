"""The fleet's file, which lists the hosts and bots of a hub, and the server file made from it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from limpet._setting_types import MadeBy, PositiveCount, Size, Text
from limpet.errors import UsageError
from limpet.remote._command_codec import OPERATIONS
from limpet.remote._config_file import ConfigPath, FileModel, Prefix, Slug, read_model, schema_of
from limpet.remote._hub_accounts import BotGrant, accounts, bot_rights, host_rights
from limpet.remote._stream_setup import HubLayout
from limpet.remote._subjects import Subjects, check_slug, repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """The hosts and bots of a hub."""

    hosts: Sequence[str]
    bots: Sequence[BotGrant] = ()
    prefix: str = "limpet"
    listen: str | None = None
    """Address and port; without it all addresses with TLS, and without TLS this host alone."""
    store: str = "/var/lib/nats/jetstream"
    sync: str = "always"
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    max_store: int = 20 << 30
    replicas: int = 1
    """Replicas of each stream, on a cluster of servers."""

    @property
    def address(self) -> str:
        """The address and port that the server listens on."""
        return self.listen or ("0.0.0.0:4222" if self.cert else "127.0.0.1:4222")

    @property
    def is_in_clear(self) -> bool:
        """Return whether passwords cross a network without encryption."""
        host = self.address.rpartition(":")[0].strip("[]")
        return not self.cert and host not in {"127.0.0.1", "::1", "localhost"}

    @property
    def layout(self) -> HubLayout:
        """What the hub needs streams, buckets and consumers for."""
        return HubLayout(
            self.hosts,
            [(bot.name, host) for bot in self.bots for host in bot.reads_of(self.hosts)],
            [(bot.name, host) for bot in self.bots for host, _, _ in bot.write],
            [bot.name for bot in self.bots],
        )


def _check_names(hosts: Sequence[str], bots: Sequence[str]) -> None:
    """Refuse names by which one user would get the rights of another.

    Raises:
        UsageError: Two users have one name.
    """
    if twice := repeated(["admin", *hosts, *bots]):
        message = (
            f"{', '.join(twice)} is the name of two users (hosts, bots, and 'admin'): each needs "
            "its own"
        )
        raise UsageError(message)


def _grant(given: str) -> tuple[str, str, str]:
    parts = given.split("/")
    if len(parts) != 3 or parts[2] not in {"*", *OPERATIONS}:
        verbs = ", ".join(OPERATIONS)
        message = f"must be host/output/operation, the operation one of *, {verbs}, not {given!r}"
        raise ValueError(message)
    host, output, verb = parts
    check_slug(host, "the host")
    if output != "*":  # only an output may be any: a dot in a name would shift what is granted
        check_slug(output, "the output")
    return host, output, verb


def _grant_text(given: tuple[str, str, str]) -> str:
    return "/".join(given)


_Grant: TypeAlias = Annotated[tuple[str, str, str], MadeBy(_grant, _grant_text)]


class _Bot(FileModel):
    """A user of the hub that reads events and writes by commands."""

    name: Slug = Field(description="Name of the bot at the hub.")
    read: list[Text] = Field([], description="Hosts whose events it reads; '*' is each host.")
    write: list[_Grant] = Field([], description="What it may ask for: host/output/operation.")


class _Tls(FileModel):
    """Certificates of the server."""

    ca: ConfigPath = Field(description="Certificate of the authority that signed the others.")
    cert: ConfigPath = Field(description="Certificate of the server.")
    key: ConfigPath = Field(description="Its key.")


class FleetFile(FileModel):
    """The file of a fleet."""

    hosts: list[Slug] = Field(description="Names of the hosts that run an agent.")
    bots: list[_Bot] = Field([], description="The bots, and what each may do.")
    prefix: Prefix = Field("limpet", description="Prefix of the fleet's subjects.")
    listen: Text | None = Field(
        None,
        description="Address and port; without it all addresses with TLS, else this host alone.",
    )
    store: ConfigPath = Field("/var/lib/nats/jetstream", description="Folder of the server.")
    max_store: Size = Field(20 << 30, description="Most bytes it stores.")
    sync: Literal["always", "default"] = Field(
        "always", description="When events are on disk: at once, or as the server does by default."
    )
    replicas: PositiveCount = Field(1, description="Copies of each stream, on a cluster.")
    tls: _Tls | None = Field(None, description="Certificates; without them nothing is encrypted.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for bot in self.bots:
            named = {*bot.read, *(host for host, _, _ in bot.write)} - {"*"}
            if unknown := sorted(named - set(self.hosts)):
                message = f"the bot {bot.name!r} names unknown hosts: {', '.join(unknown)}"
                raise UsageError(message)
        _check_names(self.hosts, [bot.name for bot in self.bots])
        return self


def fleet_schema() -> dict[str, Any]:
    """Return the JSON Schema of a fleet's file."""
    return schema_of(FleetFile, "fleet")


def load_fleet(file: str | Path) -> FleetConfig:
    """Read the file that lists a hub's hosts and bots.

    Raises:
        ConfigError: It has mistakes; all of them are listed, with their positions.
        MissingExtraError: ruamel.yaml is not installed.
    """
    found = read_model(file, FleetFile, "fleet")
    given = {name: getattr(found, name) for name in found.model_fields_set - {"bots", "tls"}}
    if found.tls is not None:
        given |= found.tls.model_dump()
    bots = [
        BotGrant(**{key: getattr(bot, key) for key in bot.model_fields_set}) for bot in found.bots
    ]
    return FleetConfig(bots=bots, **given)


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
    rights = [host_rights(subjects, host, fleet.bots) for host in fleet.hosts]
    rights += [bot_rights(subjects, bot, fleet.hosts) for bot in fleet.bots]
    lines = [
        "# Written by 'limpet hub config'. After a change: nats-server --signal reload, twice:",
        "# what a new account imports is connected by the second reload (2.9.10 to 2.15.1).",
        f"listen: {json.dumps(fleet.address)}",
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
    lines += accounts(rights, lambda name: _user(name, with_password=not fleet.cert, secret=secret))
    return "\n".join([*lines, ""]), ({} if fleet.cert else secret)


def _is_before(version: str, least: tuple[int, int]) -> bool:
    parts = version.split(".")
    return len(parts) > 1 and (int(parts[0]), int(parts[1])) < least


def _user(name: str, *, with_password: bool, secret: dict[str, str]) -> dict[str, object]:
    if not with_password:
        return {"user": name}
    return {"user": name, "password": secret.setdefault(name, secrets.token_urlsafe(24))}
