"""The servers of a cluster, as a fleet's file lists them, and their part of a server file.

A server believes each route: a program that has one sees every message, and writes any. A
certificate alone would let in each host and bot whose certificate the same authority signed, so a
route needs a password too, which only the servers have. ``no_advertise`` keeps a server from
sending clients the addresses of the others: the list that a client is given is the whole list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Final, Self, TypeAlias
from urllib.parse import quote

from pydantic import AfterValidator, Field, model_validator

from limpet._setting_types import Text
from limpet.errors import UsageError
from limpet.remote._config_file import ConfigPath, FileModel, Slug
from limpet.remote._subjects import repeated

ROUTES: Final = "cluster.routes"
"""Name of the password of the routes; no user has it, for a dot is in no slug."""
_USER: Final = "routes"
_LEAST: Final = 3
"""Servers of a cluster, at least: a majority of two is both, so either one would stop it."""
MOST_REPLICAS: Final = 5
"""Replicas of a stream, at most (StreamMaxReplicas in server/stream.go)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteCertificates:
    """Certificates of the routes; each server shows its own, and demands that of the other."""

    ca: str
    cert: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterServer:
    """One server of a cluster."""

    name: str
    address: str
    """Host and port for clients."""
    route: str
    """Host and port for the other servers."""
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """The servers that are one hub together."""

    servers: Sequence[ClusterServer]
    name: str = "limpet"
    tls: RouteCertificates | None = None
    """Certificates of the routes; without them what is stored crosses the network in clear."""
    placement: Sequence[str] = ()
    """Tags of the servers on which streams are stored; without any they may be on each."""

    def lines(self, server: ClusterServer, password: str) -> Iterator[str]:
        """Return the lines of a server file about the cluster."""
        yield f"server_name: {json.dumps(server.name)}"
        if server.tags:
            yield f"server_tags: {json.dumps(list(server.tags))}"
        yield "cluster {"
        yield f"    name: {json.dumps(self.name)}"
        yield f"    listen: {json.dumps(bound(server.route))}"
        yield "    no_advertise: true"
        secret = json.dumps(password)
        yield f"    authorization {{ user: {json.dumps(_USER)}, password: {secret}, timeout: 5 }}"
        if self.tls is not None:
            yield "    tls {"
            yield f"        cert_file: {json.dumps(self.tls.cert)}"
            yield f"        key_file: {json.dumps(self.tls.key)}"
            yield f"        ca_file: {json.dumps(self.tls.ca)}"
            yield "        verify: true"
            yield "        timeout: 5"
            yield "    }"
        yield "    routes: ["
        login = f"{_USER}:{quote(password, safe='')}"
        for other in self.servers:
            if other is not server:
                yield f"        {json.dumps(f'nats://{login}@{other.route}')}"
        yield "    ]"
        yield "}"


def bound(address: str) -> str:
    """Return where a server listens for an address: itself if it is of an IP, else each IP."""
    host, _, port = address.rpartition(":")
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return address if host == "localhost" else f"0.0.0.0:{port}"
    return address


def is_loopback(address: str) -> bool:
    """Return whether an address is reached from this host alone."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_and_port(given: str) -> str:
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", given)
    if found is None or not 0 < int(found[2]) <= 65535:
        message = f"must be host:port, such as hub1.example.com:4222, not {given!r}"
        raise ValueError(message)
    return given


def _tag(given: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:._-]+", given):
        message = f"must be a tag of letters, digits and :._-, such as zone:a, not {given!r}"
        raise ValueError(message)
    return given


_Address: TypeAlias = Annotated[Text, AfterValidator(_host_and_port)]
_Tag: TypeAlias = Annotated[Text, AfterValidator(_tag)]


class _Server(FileModel):
    """One server of a cluster."""

    name: Slug = Field(description="Name of the server.")
    address: _Address = Field(description="Host and port at which clients reach it.")
    route: _Address = Field(description="Host and port at which the other servers reach it.")
    tags: list[_Tag] = Field([], description="What the placement of streams may ask for.")


class _RouteTls(FileModel):
    """Certificates of the routes between the servers."""

    ca: ConfigPath = Field(description="Certificate of the authority that signed the others.")
    cert: ConfigPath = Field(description="Certificate of the server, as server and as client.")
    key: ConfigPath = Field(description="Its key.")


class ClusterSection(FileModel):
    """The servers that are one hub together."""

    name: Slug = Field("limpet", description="Name of the cluster.")
    servers: list[_Server] = Field(description="The servers, three or more.")
    tls: _RouteTls | None = Field(
        None, description="Certificates of the routes; without them routes are not encrypted."
    )
    placement: list[_Tag] = Field(
        [], description="Tags of the servers that store streams; without any each may."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.servers) < _LEAST:
            message = (
                f"a cluster has {_LEAST} servers or more, not {len(self.servers)}: with fewer "
                "none of them may die"
            )
            raise UsageError(message)
        names = [one.name for one in self.servers]
        places = [place for one in self.servers for place in (one.address, one.route)]
        for what, found in (("names", repeated(names)), ("addresses", repeated(places))):
            if found:
                message = f"the servers of a cluster have {what} of their own: {', '.join(found)}"
                raise UsageError(message)
        return self

    def check_replicas(self, replicas: int) -> None:
        """Refuse more replicas than there are servers for them.

        Raises:
            UsageError: There are too few servers, or too few that have the tags of ``placement``.
        """
        wanted = set(self.placement)
        fitting = [one.name for one in self.servers if wanted <= set(one.tags)]
        most = min(MOST_REPLICAS, len(fitting))
        if replicas > most:
            tags = f" with the tags {', '.join(self.placement)}" if wanted else ""
            message = (
                f"{replicas} replicas need as many servers{tags}, and at most {MOST_REPLICAS}: "
                f"there are {len(fitting)}"
            )
            raise UsageError(message)

    @property
    def config(self) -> ClusterConfig:
        """The cluster."""
        return ClusterConfig(
            name=self.name,
            servers=[ClusterServer(**one.model_dump()) for one in self.servers],
            tls=None if self.tls is None else RouteCertificates(**self.tls.model_dump()),
            placement=self.placement,
        )
