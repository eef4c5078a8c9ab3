"""What the tests of the agents share."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpet.remote import EventReader, RemoteEvent
from limpet.remote._agent import Agent, AgentOptions, OutputSpec
from limpet.remote._observer import WatchSpec

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

PATIENCE = 30.0


async def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.01)


def options(tmp_path: Path, host: str = "web01", **more: Any) -> AgentOptions:
    """An agent that watches ``in`` and writes into ``out``."""
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
    """Take so many events."""
    found: list[RemoteEvent] = []
    async with asyncio.timeout(PATIENCE):
        async for event in reader:
            if only is None or only(event):
                found.append(event)
            if len(found) >= count:
                break
    await reader.commit()
    return found
