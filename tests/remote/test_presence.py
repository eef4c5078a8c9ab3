"""One agent for a host: a second one is found, and one that is gone is not taken for it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from limpet.remote import Subjects
from limpet.remote._agent_presence import AgentError, AgentPresence, _process_here
from limpet.remote._agent_report import report_of
from limpet.remote._hub_check import examine
from limpet.remote.transport import NatsTransport, Transport
from tests.waiting import until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
EVERY_S = 0.2


def presence(transport: Transport, session: str = "mine", **more: Any) -> AgentPresence:
    return AgentPresence(
        transport,
        host="web01",
        subjects=Subjects(),
        session=session,
        health=lambda: {"state": "sending"},
        every_s=EVERY_S,
        **more,
    )


async def put(transport: Transport, **report: Any) -> None:
    await transport.put_value("LIMPET_AT_web01", "agent", json.dumps(report).encode())


async def started(one: AgentPresence) -> float:
    """Return after how many seconds it has reported.

    Raises:
        AgentError: It has ended instead.
    """
    begun = time.monotonic()
    task = asyncio.create_task(one.run())
    try:
        await until(lambda: one.reported.is_set() or task.done())
        if task.done():
            task.result()
        return time.monotonic() - begun
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ended_process() -> dict[str, Any]:
    """Return the identity of a process of this system that has ended."""
    code = (
        "import json; from limpet.remote._agent_presence import _process_here as f; "
        "print(json.dumps(f()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(lambda: {"session": "other", "stopped": True}, id="stopped"),
        pytest.param(lambda: {"session": "mine", **_process_here()}, id="same spool"),
        pytest.param(lambda: {"session": "other", **ended_process()}, id="process ended"),
        pytest.param(
            lambda: {"session": "other", **_process_here(), "started": "1"}, id="number reused"
        ),
    ],
)
async def test_an_agent_that_is_gone_is_not_waited_for(memory: Hub, report: Any) -> None:
    transport = await memory.connect("web01")
    await put(transport, **report())
    assert await started(presence(transport)) < 2 * EVERY_S


async def test_a_report_of_another_system_is_watched_for_a_while(memory: Hub) -> None:
    """A lost volume: the agent was killed on a system that cannot be asked."""
    transport = await memory.connect("web01")
    await put(transport, session="other", machine="elsewhere", pid=1, node="nas")
    assert await started(presence(transport)) >= 2.5 * EVERY_S


async def test_an_agent_that_reports_again_is_another_one(memory: Hub) -> None:
    transport = await memory.connect("web01")
    stop = asyncio.Event()

    async def other() -> None:
        while not stop.is_set():
            await put(transport, session="other", machine="elsewhere", pid=17, node="nas")
            await asyncio.sleep(EVERY_S / 2)

    task = asyncio.create_task(other())
    with pytest.raises(AgentError, match="process 17 on nas") as caught:
        await started(presence(transport))
    assert caught.value.code == "host-taken"
    stop.set()
    await task


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'{"until":"x","since":[]}'])
async def test_a_report_that_cannot_be_understood_ends_no_agent(memory: Hub, raw: bytes) -> None:
    transport = await memory.connect("web01")
    await transport.put_value("LIMPET_AT_web01", "agent", raw)
    assert await started(presence(transport)) < 5


async def test_of_two_that_start_together_one_goes_on(hub: Hub) -> None:
    """Neither finds a report at its start; the one that was stored second ends."""
    transports = [await hub.connect("web01") for _ in range(2)]
    agents = [presence(one, session) for one, session in zip(transports, "ab", strict=True)]
    tasks = [asyncio.create_task(one.run()) for one in agents]
    await until(lambda: any(task.done() for task in tasks))
    (ended,) = [task for task in tasks if task.done()]
    assert isinstance(ended.exception(), AgentError)
    (left,) = [task for task in tasks if not task.done()]
    one = agents[tasks.index(left)]
    seen = await transports[0].get_stored("LIMPET_AT_web01", "agent")
    assert seen is not None

    async def goes_on() -> bool:
        now = await transports[0].get_stored("LIMPET_AT_web01", "agent")
        return now is not None and now.seq > seen.seq + 2

    await until(goes_on)
    assert not left.done()
    assert one.reported.is_set()
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)


async def test_an_agent_that_stops_says_so(memory: Hub) -> None:
    transport = await memory.connect("web01")
    one = presence(transport)
    await started(one)
    await one.leave()
    stored = await transport.get_value("LIMPET_AT_web01", "agent")
    assert stored is not None
    assert report_of(stored)["stopped"] is True
    assert report_of(stored)["pid"] == os.getpid()


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -3600.0])
async def test_the_doctor_reports_a_wrong_clock(nats: Hub, ahead: float) -> None:
    transport = await nats.connect("web01")
    assert isinstance(transport, NatsTransport)
    one = presence(transport, clock=lambda: time.time() + ahead)
    await started(one)
    # The first report is made before anything is known; the second has the offset.
    await one._report()
    found = await examine(transport, Subjects(), ["web01"])
    (text,) = [f.text for f in found if f.text.startswith("the agent of web01 runs")]
    assert ("3,600 s" in text) == bool(ahead)
    assert ("ahead of" in text) == (ahead > 0)
