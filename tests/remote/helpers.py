"""Helpers of the tests of several hosts: agents, readers, and a faulty network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from limpet.remote import EventReader, RemoteEvent, Transport
from limpet.remote.admin import Agent, AgentOptions, OutputSpec, WatchSpec
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub


async def stored_beyond(transport: Transport, stream: str, subject: str, seq: int) -> int:
    """Wait until the hub has a message of the subject with a higher number; return its number."""
    newest = seq

    async def is_stored() -> bool:
        nonlocal newest
        found = await transport.latest(stream, subject)
        newest = seq if found is None else found.seq
        return newest > seq

    await until(is_stored, f"no message of {subject} beyond {seq}")
    return newest


def options(tmp_path: Path, host: str = "web01", **more: Any) -> AgentOptions:
    """Return the options of an agent that watches ``in`` and writes into ``out``."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir(exist_ok=True)
    given: dict[str, Any] = {
        "host": host,
        "spool": str(tmp_path / f"{host}.spool"),
        "watches": [WatchSpec(name="in", path=str(tmp_path / "in"))],
        "outputs": [OutputSpec(name="reports", path=str(tmp_path / "out"))],
        **more,
    }
    return AgentOptions(**given)


@contextlib.asynccontextmanager
async def running(
    hub: Hub, given: AgentOptions, *, ready: bool = True, **more: Any
) -> AsyncIterator[Agent]:
    """Run an agent in this process for as long as the block lasts."""

    async def connect() -> Any:
        wait = {} if hub.server is None else {"wait": True}
        return await hub.connect(given.host, **wait)

    agent = Agent(given, connect, presence_s=0.5, **more)
    task = asyncio.create_task(agent.run())
    try:
        if ready:
            waiter = asyncio.create_task(agent.ready.wait())
            await asyncio.wait({waiter, task}, return_when="FIRST_COMPLETED")
            waiter.cancel()
            if task.done():
                task.result()
        yield agent
    finally:
        agent.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def collect(
    reader: EventReader, count: int, *, only: Callable[[RemoteEvent], bool] | None = None
) -> list[RemoteEvent]:
    """Read ``count`` events, and commit them."""
    found: list[RemoteEvent] = []
    async with asyncio.timeout(PATIENCE):
        async for event in reader:
            if only is None or only(event):
                found.append(event)
            if len(found) >= count:
                break
    await reader.commit()
    return found


class Proxy:
    """A proxy between a client and a server that drops the answers, or cuts the connections."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.server: asyncio.Server | None = None
        self.writers: list[asyncio.StreamWriter] = []
        self.drops_answers = False
        self.transport: Any = None
        self.serving: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        if self.hub.server is not None:
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        if self.server is not None:
            await self.transport.close()
            self.server.close()
            await asyncio.gather(*self.serving, return_exceptions=True)

    async def connect(self, name: str) -> Any:
        if self.server is None:
            return await self.hub.connect(name)
        from limpet.remote import connect

        port = self.server.sockets[0].getsockname()[1]
        transport = self.transport = await connect(f"nats://127.0.0.1:{port}", name=name)
        self.hub.transports.append(transport)
        return transport

    async def drop_answers(self) -> None:
        if self.server is None:
            self.hub.memory.lose_acks += 1
        self.drops_answers = True

    async def cut(self) -> None:
        self.drops_answers = False
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def cut_and_wait(self) -> None:
        """Cut the connections, and wait until the client is connected again."""
        generation = 0 if self.server is None else self.transport.generation
        await self.cut()
        if self.server is not None:
            await until(lambda: self.transport.generation > generation)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self.hub.server is not None
        task = asyncio.current_task()
        assert task is not None
        self.serving.append(task)
        there, back = await asyncio.open_connection("127.0.0.1", self.hub.server.port)
        self.writers += [writer, back]

        async def pipe(
            source: asyncio.StreamReader, sink: asyncio.StreamWriter, down: bool
        ) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    if down and self.drops_answers:
                        continue
                    sink.write(data)
                    await sink.drain()

        await asyncio.gather(pipe(reader, back, False), pipe(there, writer, True))
        for line in (writer, back):
            line.close()
            with contextlib.suppress(OSError):
                await line.wait_closed()
