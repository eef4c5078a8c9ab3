"""The fleet's file, which lists the hosts and bots of a hub, and the server file made from it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from limpet._atomic_file import write_atomic
from limpet._setting_types import MadeBy, PositiveCount, Size, Text
from limpet.errors import UsageError
from limpet.remote._cluster_config import (
    ROUTES,
    ClusterConfig,
    ClusterSection,
    ClusterServer,
    bound,
    is_loopback,
)
from limpet.remote._command_codec import OPERATIONS
from limpet.remote._config_file import ConfigPath, FileModel, Prefix, Slug, read_model, schema_of
from limpet.remote._hub_accounts import BotGrant, accounts, bot_rights, host_rights
from limpet.remote._stream_setup import HubLayout
from limpet.remote._subjects import Subjects, check_slug, repeated

_FIRST_WORDS: Final = "# Written by 'limpet hub config'."
"""What a server file begins with that may be replaced."""
_REPLICAS: Final = 3
"""Replicas of each stream on a cluster: the least with which one server may die."""


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
    cluster: ClusterConfig | None = None
    """The servers, if there is more than one."""

    @property
    def address(self) -> str:
        """The addresses and ports that clients reach, separated by commas."""
        if self.cluster is not None:
            return ", ".join(one.address for one in self.cluster.servers)
        return self.listen or ("0.0.0.0:4222" if self.cert else "127.0.0.1:4222")

    @property
    def is_in_clear(self) -> bool:
        """Return whether passwords cross a network without encryption."""
        return not self.cert and not all(map(is_loopback, self.address.split(", ")))

    @property
    def has_routes_in_clear(self) -> bool:
        """Return whether what is stored crosses a network between servers without encryption."""
        if self.cluster is None or self.cluster.tls is not None:
            return False
        return not all(is_loopback(one.route) for one in self.cluster.servers)

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
    replicas: PositiveCount = Field(
        1, description="Copies of each stream, on a cluster, where it is 3 if it is not given."
    )
    cluster: ClusterSection | None = Field(
        None, description="The servers of a cluster; without it there is one server."
    )
    tls: _Tls | None = Field(None, description="Certificates; without them nothing is encrypted.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for bot in self.bots:
            named = {*bot.read, *(host for host, _, _ in bot.write)} - {"*"}
            if unknown := sorted(named - set(self.hosts)):
                message = f"the bot {bot.name!r} names unknown hosts: {', '.join(unknown)}"
                raise UsageError(message)
        _check_names(self.hosts, [bot.name for bot in self.bots])
        if self.cluster is not None:
            self.cluster.check_replicas(self.copies)
            if self.listen is not None:
                message = "each server of a cluster has an address of its own: leave out 'listen'"
                raise UsageError(message)
        return self

    @property
    def copies(self) -> int:
        """Replicas of each stream."""
        is_given = self.cluster is None or "replicas" in self.model_fields_set
        return self.replicas if is_given else _REPLICAS


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
    apart = {"bots", "tls", "cluster"}
    given = {name: getattr(found, name) for name in found.model_fields_set - apart}
    given["replicas"] = found.copies
    if found.cluster is not None:
        given["cluster"] = found.cluster.config
    if found.tls is not None:
        given |= found.tls.model_dump()
    bots = [
        BotGrant(**{key: getattr(bot, key) for key in bot.model_fields_set}) for bot in found.bots
    ]
    return FleetConfig(bots=bots, **given)


def cluster_files(
    fleet: FleetConfig, passwords: dict[str, str] | None = None, *, version: str = ""
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the configuration of each server of a cluster by its name, and the passwords.

    All have the same users and rights. The passwords are those of ``server_file``, and that of the
    routes under a name that no user has.

    Raises:
        UsageError: The fleet has one server alone.
    """
    if fleet.cluster is None:
        message = "the fleet has no cluster: its file has no section 'cluster'"
        raise UsageError(message)
    files: dict[str, str] = {}
    made: dict[str, str] = {}
    for server in fleet.cluster.servers:
        known = {**(passwords or {}), **made}
        files[server.name], made = server_file(fleet, known, version=version, server=server)
    return files, made


def write_server_files(files: Mapping[Path, str]) -> None:
    """Write the files of servers, each whole or not at all; only their owner may read them.

    Raises:
        UsageError: One of them is there, and was not written by ``limpet hub config``; nothing
            changed.
        OSError: One of them cannot be written; it is as it was.
    """
    for file in files:
        if file.exists() and not file.read_bytes().startswith(_FIRST_WORDS.encode()):
            message = f"{file} was not written by 'limpet hub config': move it away"
            raise UsageError(message)
    for file, text in files.items():
        write_atomic(file, text.encode())


def server_file(
    fleet: FleetConfig,
    passwords: dict[str, str] | None = None,
    *,
    version: str = "",
    server: ClusterServer | None = None,
) -> tuple[str, dict[str, str]]:
    """Return the server's configuration, and the password of each user.

    With TLS no passwords are needed: the certificate has the user (``verify_and_map``: a DNS name
    or e-mail in it that is the user's name, or its subject as it is written).

    Args:
        fleet: Hosts and bots.
        passwords: Existing ones; missing ones are created.
        version: That of the server; before 2.10 it has no ``sync_interval``.
        server: Which one of a cluster.

    Raises:
        UsageError: The fleet has a cluster, and no server of it was given.
    """
    cluster = fleet.cluster
    if (cluster is None) != (server is None):
        message = "a fleet with a cluster has a file for each of its servers"
        raise UsageError(message)
    subjects = Subjects(fleet.prefix)
    secret = dict(passwords or {})
    rights = [host_rights(subjects, host, fleet.bots) for host in fleet.hosts]
    rights += [bot_rights(subjects, bot, fleet.hosts) for bot in fleet.bots]
    lines = [
        f"{_FIRST_WORDS} After a change: nats-server --signal reload, twice:",
        "# what a new account imports is connected by the second reload (2.9.10 to 2.15.1).",
        f"listen: {json.dumps(bound(server.address) if server else fleet.address)}",
        "max_payload: 1MB",
        "jetstream {",
        f"    store_dir: {json.dumps(store_of(fleet, server))}",
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
    routes = {}
    if cluster is not None and server is not None:
        routes[ROUTES] = secret.setdefault(ROUTES, secrets.token_urlsafe(24))
        lines += cluster.lines(server, routes[ROUTES])
    lines += accounts(rights, lambda name: _user(name, with_password=not fleet.cert, secret=secret))
    return "\n".join([*lines, ""]), (routes if fleet.cert else secret)


def store_of(fleet: FleetConfig, server: ClusterServer | None) -> str:
    """Return the folder of a server.

    That of a server of a cluster is never the folder of the single server before it: a server that
    enters a cluster takes the streams that it finds there for left over, and may delete them
    (nats-server#5467).
    """
    return fleet.store if server is None else f"{fleet.store.rstrip('/')}-{server.name}"


def _is_before(version: str, least: tuple[int, int]) -> bool:
    parts = version.split(".")
    return len(parts) > 1 and (int(parts[0]), int(parts[1])) < least


def _user(name: str, *, with_password: bool, secret: dict[str, str]) -> dict[str, object]:
    if not with_password:
        return {"user": name}
    return {"user": name, "password": secret.setdefault(name, secrets.token_urlsafe(24))}
