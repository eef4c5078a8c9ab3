"""Agents as processes that are killed.

Random waits are the times of the kills; no test waits for a result that way.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import limpet
from limpet.remote import EventReader, RemoteEvent, RemoteOutput
from tests.waiting import until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(110)]


class AgentProcess:
    """``limpet agent`` with a configuration file."""

    def __init__(self, hub: Hub, folder: Path, host: str = "web01", more: str = "") -> None:
        assert hub.server is not None
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("in", "out"):
            (folder / name).mkdir(exist_ok=True)
        self.config = folder / "agent.yaml"
        self.config.write_text(
            f"host: {host}\n"
            f"hub: {{url: '{hub.server.url}'}}\n"
            "spool: {path: spool.db}\n"
            "watch: [{name: in, path: in}]\n"
            "output: [{name: reports, path: out}]\n" + more
        )
        self.log = folder / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.log_start = 0

    def start(self) -> None:
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "limpet", "agent", str(self.config)], stdout=log, stderr=log
            )

    def is_ready(self) -> bool:
        return b"limpet agent: " in self.log.read_bytes()[self.log_start :]

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    async def stop(self) -> int:
        """Stop it by a signal, once it handles signals."""
        assert self.process is not None
        await until(self.is_ready)
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 20)


async def drain(reader: EventReader, events: list[RemoteEvent], last: str) -> None:
    async for event in reader:
        events.append(event)
        if event.path is not None and event.path.name == last:
            break
    await reader.commit()


async def test_f5_agent_and_hub_are_killed_at_random_moments(nats: Hub, tmp_path: Path) -> None:
    """Each file is reported once, created while an agent ran or not."""
    agent = AgentProcess(nats, tmp_path)
    base = tmp_path / "in"
    agent.start()
    await until(agent.is_ready)
    chance = random.Random(5)
    stop = asyncio.Event()
    made = 0

    async def produce() -> None:
        nonlocal made
        while not stop.is_set():
            for _ in range(10):
                (base / f"{made:05}").write_text("1")
                made += 1
            await asyncio.sleep(0.005)

    producer = asyncio.create_task(produce())
    for number in range(5):
        await asyncio.sleep(chance.uniform(0.1, 0.8))
        await asyncio.to_thread(agent.kill)
        if number in {1, 3}:
            await nats.kill()
        await asyncio.sleep(chance.uniform(0, 0.2))
        agent.start()
        if number in {1, 3}:
            await nats.start()
    stop.set()
    await producer
    bot = await nats.connect("bot")
    events: list[RemoteEvent] = []
    store = tmp_path / "c"
    async with EventReader(bot, bot="b", hosts=["web01"], store=store, start="all") as reader:
        (base / "last").touch()
        async with asyncio.timeout(60):
            await drain(reader, events, "last")
    assert await agent.stop() == 0
    created = Counter(e.path.name for e in events if e.path and e.type == "file.created")
    assert created.keys() == {f"{n:05}" for n in range(made)} | {"last"}
    assert set(created.values()) == {1}
    assert not [e for e in events if e.type == "watch.gap"]
    assert {e.origin for e in events} >= {"live", "offline"}


async def test_f18_f19_commands_while_the_agent_is_killed(nats: Hub, tmp_path: Path) -> None:
    """300 appends, the agent killed ten times: each line once, in order, with an answer."""
    count = 300
    agent = AgentProcess(nats, tmp_path)
    agent.start()
    await until(agent.is_ready)
    bot = await nats.connect("bot")
    stop = asyncio.Event()

    async def murder() -> None:
        chance = random.Random(3)
        for _ in range(10):
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            if stop.is_set():
                return
            await asyncio.to_thread(agent.kill)
            agent.start()

    async with RemoteOutput(bot, bot="b", host="web01", output="reports") as out:
        murderer = asyncio.create_task(murder())
        tasks = []
        for number in range(count):
            append = limpet.AppendToFile(name="log", content=f"{number}\n")
            tasks.append(asyncio.create_task(out.perform(append, id=f"c{number}", timeout=90)))
            if number % 10 == 9:
                await tasks[-1]
        results = await asyncio.gather(*tasks)
        stop.set()
        await murderer
    assert all(result.ok for result in results), Counter(r.code for r in results)
    lines = (tmp_path / "out" / "log").read_text().splitlines()
    assert lines == [str(number) for number in range(count)]
    assert await agent.stop() == 0


async def test_an_agent_stops_on_a_signal_and_sends_its_events(nats: Hub, tmp_path: Path) -> None:
    agent = AgentProcess(nats, tmp_path)
    agent.start()
    await until(agent.is_ready)
    (tmp_path / "in" / "a").touch()
    assert await agent.stop() == 0
    assert "Traceback" not in agent.log.read_text()


def limpet_command(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "limpet", *words], capture_output=True, text=True, cwd=cwd
    )


def test_a_configuration_with_mistakes(tmp_path: Path) -> None:
    """All mistakes at once, with their positions and suggestions."""
    (tmp_path / "a.yaml").write_text(
        "host: Web 01\n"
        "hub: {url: 'nats://127.0.0.1'}\n"
        "spol: {path: spool.db}\n"
        "watch:\n"
        "  - name: in\n"
        "    pth: in\n"
        "    settle: soon\n"
        "output:\n"
        "  - {name: out, path: out, allow: [append, destroy]}\n"
    )
    done = limpet_command("agent", "a.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "a.yaml:1:7: error: agent.host: " in done.stderr
    assert "use 'web-01'" in done.stderr
    assert (
        "a.yaml:3:1: error: agent.spol: there is no key 'spol'; did you mean 'spool'?"
        in done.stderr
    )
    assert "a.yaml:6:5: error: agent.watch[0].pth: there is no key 'pth'; did" in done.stderr
    assert "did you mean 'path'?" in done.stderr
    assert "a.yaml:7:13: error: agent.watch[0].settle: must be a number, not 'soon'" in done.stderr
    assert "agent.output[0].allow[1]: must be one of" in done.stderr
    assert "a.yaml:1:1: error: agent: the key 'spool' is missing" in done.stderr


def test_hub_config_prints_a_file_and_keeps_its_passwords(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(
        "hosts: [web01]\nbots: [{name: b, read: [web01], write: [web01/out/append]}]\n"
    )
    done = limpet_command("hub", "config", "fleet.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sync_interval: always" in done.stdout
    assert sorted(os.listdir(tmp_path / "passwords")) == ["admin", "b", "web01"]
    assert (tmp_path / "passwords" / "admin").stat().st_mode & 0o777 == 0o600
    again = limpet_command("hub", "config", "fleet.yaml", cwd=tmp_path)
    assert again.stdout == done.stdout
    assert limpet_command("hub", cwd=tmp_path).returncode == 2
    (tmp_path / "fleet.yaml").write_text("hosts: [web01]\nbots: [{name: b, read: [nas]}]\n")
    wrong = limpet_command("hub", "config", "fleet.yaml", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "nas" in wrong.stderr


async def test_hub_init_and_doctor(nats: Hub, tmp_path: Path) -> None:
    assert nats.server is not None
    url = nats.server.url
    (tmp_path / "fleet.yaml").write_text("hosts: [web01, nas, mail]\n")
    done = await asyncio.to_thread(
        limpet_command, "hub", "init", "fleet.yaml", "--hub", url, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "OBJ_LIMPET_C_mail: created" in done.stdout
    found = await asyncio.to_thread(limpet_command, "doctor", "--hub", url, "web01", cwd=tmp_path)
    assert found.returncode == 1  # without users, any client may forge events
    assert "ok   stream LIMPET_CMD_web01: 0 messages" in found.stdout
    assert "publish the events of another host" in found.stdout
    assert "the agent of web01 does not run" in found.stdout
    diff_offline = await asyncio.to_thread(
        limpet_command, "doctor", "--hub", "nats://127.0.0.1:1", cwd=tmp_path
    )
    assert diff_offline.returncode == 1
    assert "no hub answers" in diff_offline.stderr


async def test_lines_of_a_rotated_log_while_the_agent_is_killed(nats: Hub, tmp_path: Path) -> None:
    """Each line once and in order, across rotations and kills."""
    log = tmp_path / "app.log"
    log.write_text("")
    agent = AgentProcess(
        nats, tmp_path, more="follow: [{name: app, path: app.log, rotated: 'app.log.*'}]\n"
    )
    agent.start()
    await until(agent.is_ready)
    chance = random.Random(1)
    written = 0
    for step in range(8):
        with log.open("a") as file:
            for _ in range(chance.randint(1, 400)):
                file.write(f"line {written}\n")
                written += 1
        if step in {2, 5}:
            log.rename(tmp_path / f"app.log.{step}")
        await asyncio.sleep(chance.uniform(0, 0.4))
        if step % 2:
            await asyncio.to_thread(agent.kill)
            agent.start()
    bot = await nats.connect("bot")
    got: list[str] = []
    store = tmp_path / "c"
    async with EventReader(bot, bot="b", hosts=["web01"], store=store, start="all") as reader:
        async with asyncio.timeout(60):
            while len(got) < written:
                event = await anext(reader)
                got += event.lines
        await reader.commit()
    assert got == [f"line {number}" for number in range(written)]
    assert await agent.stop() == 0
