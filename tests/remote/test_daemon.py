"""An agent as a service: it takes a changed file while it runs, and keeps systemd informed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import limpet
from limpet._sd_notify import Notifier
from limpet.cli._run_agent import _AgentRun
from limpet.errors import OutputError, UsageError
from limpet.remote import EventReader, HubAddress, RemoteOutput
from limpet.remote.admin import AgentConfig, AgentError, FollowSpec, OutputSpec, WatchSpec
from tests.remote.helpers import collect, options, running
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(110)]


# -- a changed file --------------------------------------------------------------------------------


async def test_a_reload_leaves_no_gap_in_what_is_unchanged(hub: Hub, tmp_path: Path) -> None:
    """Its watch goes on; what is new starts, what is gone ends, each event comes once."""
    (tmp_path / "second").mkdir()
    log = tmp_path / "log"
    log.write_text("before\n")
    bot = await hub.connect("bot")
    before = options(tmp_path)
    async with (
        running(hub, before) as agent,
        EventReader(bot, bot="b", hosts=["web01"], store=tmp_path / "c.db") as reader,
    ):
        (kept,) = agent.sources
        stop = asyncio.Event()
        names: list[str] = []

        async def feed() -> None:
            while not stop.is_set():
                names.append(f"f{len(names)}")
                (tmp_path / "in" / names[-1]).touch()
                await asyncio.sleep(0.002)

        feeding = asyncio.create_task(feed())
        after = dataclasses.replace(
            before,
            watches=[*before.watches, WatchSpec(name="second", path=str(tmp_path / "second"))],
            follows=[FollowSpec(name="log", path=str(log))],
        )
        for _ in range(3):
            assert await agent.reload(after) == ()
            assert await agent.reload(before) == ()
        await agent.reload(after)
        stop.set()
        await feeding
        assert agent.sources[0] is kept
        assert agent.is_alive
        (tmp_path / "second" / "new").touch()
        with log.open("a") as file:
            file.write("after\n")
        found = await collect(reader, len(names) + 2, only=lambda e: e.type != "file.updated")
        paths = [event.path.name for event in found if event.path is not None]
        assert sorted(paths) == sorted([*names, "new", "log"])
        (lines,) = (event.data["lines"] for event in found if event.type == "file.lines")
        assert "after" in json.dumps(lines)
        assert "before" not in json.dumps(lines)
        await agent.reload(before)
        assert [one.spec.name for one in agent.sources] == ["in"]


async def test_a_watch_with_other_options_reports_what_changed_meanwhile_once(
    memory: Hub, tmp_path: Path
) -> None:
    """It is started anew, and compares with its snapshots."""
    bot = await memory.connect("bot")
    before = options(tmp_path)
    other = WatchSpec(name="in", path=str(tmp_path / "in"), options={"exclude": ["*.tmp"]})
    async with (
        running(memory, before) as agent,
        EventReader(bot, bot="b", hosts=["web01"], store=tmp_path / "c.db") as reader,
    ):
        (tmp_path / "in" / "a").touch()
        await until(lambda: agent.sources[0].stored == 1)
        await agent.reload(dataclasses.replace(before, watches=[other]))
        (tmp_path / "in" / "b.tmp").touch()
        (tmp_path / "in" / "c").touch()
        found = await collect(reader, 2, only=lambda e: e.type != "file.updated")
        assert [event.path.name for event in found if event.path is not None] == ["a", "c"]


async def test_outputs_come_and_go_and_change_what_they_allow(memory: Hub, tmp_path: Path) -> None:
    """Also the first one; a command to one that is gone is refused, and says so."""
    bot = await memory.connect("bot")
    without = options(tmp_path, outputs=[])
    spec = OutputSpec(name="reports", path=str(tmp_path / "out"))
    narrow = OutputSpec(name="reports", path=str(tmp_path / "out"), allow=frozenset({"append"}))
    create = limpet.CreateFile(name="a", content="")
    async with (
        running(memory, without) as agent,
        RemoteOutput(bot, bot="b", host="web01", output="reports") as out,
    ):
        await agent.reload(dataclasses.replace(without, outputs=[spec]))
        assert (await out.perform(create)).ok
        kept = agent._outputs["reports"].output
        await agent.reload(dataclasses.replace(without, outputs=[spec]))
        assert agent._outputs["reports"].output is kept
        await agent.reload(dataclasses.replace(without, outputs=[narrow]))
        assert (await out.perform(create)).code == "not-allowed"
        await agent.reload(without)
        assert (await out.perform(create)).code == "unknown-output"


async def test_a_reload_waits_for_a_command_but_not_for_ever(
    memory: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No output is closed in the middle of a command; one on a dead disk holds up no reload."""
    monkeypatch.setattr("limpet.remote._agent._START_S", 0.05)
    given = options(tmp_path)
    other = OutputSpec(name="other", path=str(tmp_path / "out"))
    async with running(memory, given) as agent:
        assert agent.executor is not None
        async with agent.executor.performing:
            with pytest.raises(AgentError, match="a command is being executed"):
                await agent.reload(dataclasses.replace(given, outputs=[other]))
            assert list(agent._outputs) == ["reports"]
            assert agent.options == given
            assert await agent.reload(dataclasses.replace(given, watches=[])) == ()
        await agent.reload(dataclasses.replace(given, outputs=[other]))
        assert list(agent._outputs) == ["other"]


async def test_a_source_that_ends_finishes_what_it_stores(memory: Hub, tmp_path: Path) -> None:
    """Else the one in its place would store the same once more."""
    async with running(memory, options(tmp_path)) as agent:
        (source,) = agent.sources
        begun, go, ended = threading.Event(), threading.Event(), threading.Event()

        def commit(_: object) -> int:
            begun.set()
            go.wait(PATIENCE)
            ended.set()
            return 1

        task = asyncio.create_task(source.put(["event"], commit))
        await until(begun.is_set)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go.set()
        await asyncio.wait({task})
        assert ended.is_set()
        assert task.cancelled()


async def test_a_wrong_reload_changes_nothing(memory: Hub, tmp_path: Path) -> None:
    """Two of one name, a name that is no slug, an output that cannot be opened."""
    given = options(tmp_path)
    (tmp_path / "file").touch()
    bad = OutputSpec(name="bad", path=str(tmp_path / "file"))
    new = WatchSpec(name="new", path=str(tmp_path))
    async with running(memory, given) as agent:
        for changed, error in (
            ({"watches": [new, new]}, AgentError),
            ({"watches": [WatchSpec(name="no slug", path=".")]}, UsageError),
            ({"watches": [new], "outputs": [bad]}, OutputError),
        ):
            more: dict[str, Any] = changed
            with pytest.raises(error):
                await agent.reload(dataclasses.replace(given, **more))
            assert [one.spec.name for one in agent.sources] == ["in"]
            assert list(agent._outputs) == ["reports"]
            assert agent.options == given
        fixed = await agent.reload(
            dataclasses.replace(given, host="nas", prefix="other", spool=str(tmp_path / "s"))
        )
        assert fixed == ("host", "prefix", "spool")
        assert agent.options == given
    with pytest.raises(UsageError, match="the agent does not run"):
        await agent.reload(given)


# -- as a program ----------------------------------------------------------------------------------


class Service:
    """``limpet agent`` with a fake of systemd's socket."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        assert hub.server is not None
        self.folder = folder
        for name in ("in", "out", "more"):
            (folder / name).mkdir()
        self.config = folder / "agent.yaml"
        self.url = hub.server.url
        self.write()
        self.log = folder / "log"
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.settimeout(PATIENCE)
        environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "50000"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "limpet", "agent", str(self.config), "--log-format", "json"],
                stdout=log, stderr=log, env={**os.environ, **environment},
                start_new_session=True,  # without a terminal, whose end SIGHUP would mean
            )  # fmt: skip

    def write(self, more: str = "", host: str = "web01") -> None:
        self.config.write_text(
            f"host: {host}\nhub: {{url: '{self.url}'}}\nspool: {{path: spool.db}}\n"
            f"watch:\n  - {{name: in, path: in}}\n{more}"
            "output: [{name: reports, path: out}]\n"
        )

    def next_with(self, word: str) -> str:
        while True:
            text = self.manager.recv(4096).decode()
            if word in text:
                return text

    def messages(self) -> list[str]:
        lines = self.log.read_text().splitlines()
        found = [json.loads(line) for line in lines]
        assert all({"ts", "level", "logger", "message"} <= one.keys() for one in found), lines
        return [str(one["message"]) for one in found]

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in self.next_with("RELOADING=1")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.manager.close()


def attended(service: Service) -> None:
    """See the life of an agent as systemd does."""
    assert "web01 watches 1 places" in service.next_with("READY=1")
    assert "running" in service.next_with("WATCHDOG=1")
    service.write("  - {name: more, path: more}\n")
    service.reload()
    assert "web01 watches 2 places" in service.next_with("READY=1")
    service.config.write_text("host: [")
    service.reload()  # one that fails completes, too
    assert "web01 watches 2 places" in service.next_with("READY=1")
    service.write(host="nas")
    service.reload()
    assert "web01 watches 1 places" in service.next_with("READY=1")
    service.process.send_signal(signal.SIGTERM)
    assert "EXTEND_TIMEOUT_USEC=" in service.next_with("STOPPING=1")
    assert service.process.wait(PATIENCE) == 0
    found = service.messages()
    assert any("the reload failed; the agent goes on as it is" in one for one in found)
    assert any(one.startswith("host of ") and "restart it" in one for one in found)
    assert sum(one.startswith("reloaded ") for one in found) == 2


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets")
async def test_systemd_is_notified_and_sighup_takes_the_changed_file(
    nats: Hub, tmp_path: Path
) -> None:
    """READY, keep-alives, RELOADING with its time, STOPPING; the log is lines of JSON."""
    service = Service(nats, tmp_path)
    try:
        await asyncio.to_thread(attended, service)
    finally:
        service.close()


async def test_an_agent_that_has_lost_a_part_is_not_alive(memory: Hub, tmp_path: Path) -> None:
    """It sends no keep-alive then, so that systemd starts it anew."""
    async with running(memory, options(tmp_path)) as agent:
        assert agent.is_alive
        lost = agent._parts["sender"]
        lost.cancel()
        await until(lost.done)
        assert not agent.is_alive


async def test_keep_alives_end_with_a_part(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, memory: Hub
) -> None:
    """They come from the event loop, while all parts run."""
    sent: list[str] = []
    monkeypatch.setattr(Notifier, "send", lambda _, *lines: sent.extend(lines))
    monkeypatch.setattr(Notifier, "watchdog", 0.001)
    async with running(memory, options(tmp_path)) as agent:
        run = _AgentRun(
            "agent.yaml", AgentConfig(options=agent.options, hub=HubAddress(url="nats://h"))
        )
        notifying = asyncio.create_task(run._notify_manager(agent))
        await until(lambda: sent.count("WATCHDOG=1") > 2)
        assert sent[0] == "READY=1"
        agent._parts["sender"].cancel()
        await until(lambda: not agent.is_alive)
        count = sent.count("WATCHDOG=1")
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert sent.count("WATCHDOG=1") == count
        notifying.cancel()
