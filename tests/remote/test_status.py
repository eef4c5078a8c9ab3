"""What agents and readers show of themselves: the spool, the hub, and the agents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import limpet
from limpet.remote import EventReader, RemoteOutput, Subjects, without_password
from limpet.remote._agent_report import agent_status
from limpet.remote.admin import AgentShown, FollowSpec
from limpet.status import happening_to_wire, status_to_wire
from tests.remote.helpers import collect, options, running
from tests.waiting import until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


def happened(shown: AgentShown) -> list[dict[str, Any]]:
    _, found = shown.happenings.since(0, 100)
    return [happening_to_wire(at, one) for at, one in enumerate(found)]


async def test_an_agent_shows_all_of_its_parts(hub: Hub, tmp_path: Path) -> None:
    """Watches, follows, outputs, the spool, the hub; and itself."""
    (tmp_path / "log").write_text("")
    follows = [FollowSpec(name="log", path=str(tmp_path / "log"))]
    bot = await hub.connect("bot")
    async with running(hub, options(tmp_path, follows=follows), ready=False) as agent:
        shown = AgentShown(agent, url="nats://user:secret@127.0.0.1:4222")
        assert shown.status().state == "starting"
        agent.on_event = shown._note
        await agent.ready.wait()
        for source in agent.sources:
            source.on_event = agent.on_event
        (tmp_path / "in" / "a").touch()
        with (tmp_path / "log").open("a") as file:
            file.write("one\n")
        async with RemoteOutput(bot, bot="b", host="web01", output="reports") as out:
            await out.perform(limpet.CreateFile(name="x", content="hello"))
            await out.perform(limpet.CreateFile(name="x", content="hello"))

            def is_sent() -> bool:
                status = shown.status()
                return status.spool is not None and status.spool.sent >= 2

            await until(is_sent)
        status = shown.status()
        assert (status.program, status.name, status.state, status.health) == (
            "agent", "web01", "running", "ok",
        )  # fmt: skip
        (watch,) = status.watches
        assert (watch.name, watch.place, watch.events >= 1) == ("in", str(tmp_path / "in"), True)
        (log,) = status.follows
        assert (log.name, log.lines, log.lag_bytes) == ("log", 1, 0)
        (output,) = status.outputs
        assert (output.operations, output.refusals) == ({"create": 1}, {"exists": 1})
        assert status.hub is not None
        assert (status.hub.url, status.hub.state) == ("nats://127.0.0.1:4222", "connected")
        assert [one.host for one in status.agents] == ["web01"]
        assert (status.agents[0].commands_done, status.agents[0].commands_refused) == (1, 1)
        kinds = {one["type"] for one in happened(shown)}
        assert {"file.created", "file.lines"} <= kinds
        assert "one" not in json.dumps(happened(shown))
        assert "secret" not in json.dumps(status_to_wire(status))


async def test_an_agent_without_its_hub_is_degraded(hub: Hub, tmp_path: Path) -> None:
    """The spool fills, and the reason is among the problems; it is well again afterwards."""
    async with running(hub, options(tmp_path)) as agent:
        shown = AgentShown(agent, url="nats://127.0.0.1:4222")
        await until(lambda: shown.status().health == "ok")
        await hub.kill()
        for number in range(5):
            (tmp_path / "in" / str(number)).touch()

        def is_away() -> bool:
            status = shown.status()
            return (
                status.health == "degraded"
                and status.spool is not None
                and status.spool.waiting >= 5
                and any(one.where == "hub" for one in status.problems)
            )

        await until(is_away)
        await hub.start()
        await until(lambda: shown.status().health == "ok")


async def test_a_reader_knows_its_lag_and_its_agents(hub: Hub, tmp_path: Path) -> None:
    """What waits on the hub and here, and what the agents have reported last."""
    bot = await hub.connect("bot")
    silent = await agent_status(bot, Subjects(), "web01")
    assert (silent.state, silent.last_seen) == ("silent", None)
    async with running(hub, options(tmp_path)):
        async with EventReader(bot, bot="b", hosts=["web01"], store=tmp_path / "c.db") as reader:
            for number in range(20):
                (tmp_path / "in" / str(number)).touch()
            await collect(reader, 1)
            await until(lambda: reader.lag > 0)

            async def is_seen() -> bool:
                (agent,) = await reader.agents()
                return agent.last_seen is not None and agent.state == "sending"

            await until(is_seen)
            (agent,) = await reader.agents()
            assert (agent.host, agent.trouble) == ("web01", "")
            await collect(reader, 19)
            await until(lambda: reader.lag == 0)
    (agent,) = [await agent_status(bot, Subjects(), "web01")]
    assert agent.state == "stopped"


@pytest.mark.parametrize(
    "report",
    [b"", b"[]", b"{", b'{"state": 5, "waiting": "x", "commands": [], "since": true}', b"\xff"],
)
async def test_a_report_that_cannot_be_understood_is_no_trouble(hub: Hub, report: bytes) -> None:
    """Agents of any version report, and a status must not fail for one."""
    bot = await hub.connect("bot")
    await bot.put_value(Subjects().presence("web01"), "agent", report)
    found = await agent_status(bot, Subjects(), "web01")
    assert (found.host, found.state, found.waiting) == ("web01", "running", 0)


def test_a_password_is_not_shown() -> None:
    """Neither is the user."""
    assert without_password("nats://u:p@h:4222") == "nats://h:4222"
    assert without_password("tls://h:1") == "tls://h:1"
