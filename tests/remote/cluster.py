"""Three real servers on loopback that are one hub, from the files that ``hub config`` writes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from limpet.remote import HubError, NatsTransport, connect
from limpet.remote.admin import (
    ClusterConfig,
    ClusterServer,
    FleetConfig,
    cluster_files,
)
from tests.waiting import until


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def on_loopback(**more: Any) -> ClusterConfig:
    """Return a cluster of three servers of this host."""
    ports = free_ports(6)
    return ClusterConfig(
        servers=[
            ClusterServer(
                name=f"hub{at}",
                address=f"127.0.0.1:{ports[at]}",
                route=f"127.0.0.1:{ports[at + 3]}",
            )
            for at in range(3)
        ],
        **more,
    )


class Member:
    """One server of a cluster, as a process."""

    def __init__(self, program: str, file: Path, url: str) -> None:
        self.program, self.file, self.url = program, file, url
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.file.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "-c", str(self.file)], stdout=log, stderr=log
            )

    def pause(self) -> None:
        """Keep the process from answering; its connections stay open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    @property
    def log(self) -> str:
        return self.file.with_suffix(".log").read_text()


class Cluster:
    """The servers of a fleet with a cluster."""

    def __init__(
        self,
        program: str,
        folder: Path,
        fleet: FleetConfig,
        version: str,
        passwords: dict[str, str] | None = None,
    ) -> None:
        assert fleet.cluster is not None
        self.folder, self.fleet = folder, fleet
        files, self.passwords = cluster_files(fleet, passwords, version=version)
        self.members = []
        for server in fleet.cluster.servers:
            file = folder / f"{server.name}.conf"
            file.write_text(files[server.name])
            self.members.append(Member(program, file, f"nats://{server.address}"))
        self.transports: list[NatsTransport] = []

    @property
    def url(self) -> str:
        return ",".join(one.url for one in self.members)

    async def connect(self, name: str, member: int | None = None) -> NatsTransport:
        """Connect to one server alone, or to the cluster."""
        url = self.url if member is None else self.members[member].url
        transport = await connect(
            url, name=name, user=name, password=self.passwords[name], wait=True
        )
        self.transports.append(transport)
        return transport

    async def is_up(self, transport: NatsTransport) -> bool:
        """Return whether the servers have agreed on a leader."""
        with contextlib.suppress(HubError):
            return "streams" in await transport.request("$JS.API.INFO")
        return False


@contextlib.asynccontextmanager
async def cluster_of(
    program: str, fleet: FleetConfig, version: str, passwords: dict[str, str] | None = None
) -> AsyncIterator[Cluster]:
    """Run the servers of a fleet for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="limpet-cluster-"))
    found = Cluster(program, folder, replace(fleet, store=str(folder / "js")), version, passwords)
    try:
        for one in found.members:
            one.start()
        admin = await found.connect("admin")
        await until(lambda: found.is_up(admin), "the servers do not agree on a leader")
        yield found
    finally:
        for transport in found.transports:
            await transport.close()
        for one in found.members:
            await asyncio.to_thread(one.kill)
        shutil.rmtree(folder, ignore_errors=True)


def check_file(program: str, file: Path) -> None:
    """Check a file by the server itself.

    Raises:
        AssertionError: It refuses it.
    """
    done = subprocess.run([program, "-t", "-c", os.fspath(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
