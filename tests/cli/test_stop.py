"""A signal ends every command that runs on, whatever hangs in it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.waiting import PATIENCE, until_sync

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")

DISK_THAT_DOES_NOT_ANSWER = """
import sys, time
import limpet.cli._run_follow as follow
import limpet.cli._run_session as session
from limpet.__main__ import main
session.STOP_S = session.AT_ONCE_S = 0.5
def hang(path):
    print("hangs", flush=True)
    time.sleep(600)
follow._missing = hang
sys.argv = ["limpet", "follow", "some.log"]
sys.exit(main())
"""

WATCH_THAT_DOES_NOT_END = """
import sys, anyio
import limpet.cli._run_session as session
import limpet.cli._run_watch as watch
from limpet.__main__ import main
session.STOP_S, session.AT_ONCE_S = FIRST, 0.3
class Deaf:
    location, stats = ".", lambda self: type("Stats", (), {"backend": "poll"})
    async def __aenter__(self): return self
    async def __aexit__(self, *_):
        with anyio.CancelScope(shield=True): await anyio.sleep(600)
    async def batches(self):
        print("hangs", flush=True)
        await anyio.sleep(600)
        yield
watch._open = lambda target, options: Deaf()
sys.argv = ["limpet", "watch", "."]
sys.exit(main())
"""

AGENT_THAT_HANGS = """
import asyncio, sys, time
import limpet.cli._run_agent as agent
from limpet.__main__ import main
agent._STOP_S, agent._AT_ONCE_S = FIRST, 0.3
class Hanging:
    def __init__(self, options, to_hub): self.options, self.ready = options, asyncio.Event()
    def stop(self): self.is_stopped = True
    is_stopped = False
    async def run(self):
        print("hangs", flush=True)
        if HANGS == "thread":
            asyncio.ensure_future(asyncio.to_thread(time.sleep, 600))
            while not self.is_stopped: await asyncio.sleep(0.01)
        else:
            await asyncio.Event().wait()
agent.Agent = Hanging
class Config:
    hub = type("Hub", (), {"context": lambda self: None})()
    options = None
agent.load_agent = lambda path: Config()
agent.hangup = lambda: type("Hangup", (), {"is_end": True, "came": False})()  # a terminal closes
sys.argv = ["limpet", "agent", "agent.yaml"]
sys.exit(main())
"""


def ended(folder: Path, program: str, *names: str) -> int:
    """Return the exit code of a program that gets these signals, in order, once it hangs."""
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=folder, stdout=out, stderr=out,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        until_sync(lambda: b"hangs" in log.read_bytes(), log.read_text)
        for name in names:
            process.send_signal(getattr(signal, name))
            with_pause = subprocess.run([sys.executable, "-c", ""])  # two at once are one
            assert with_pause.returncode == 0
        end = time.monotonic() + PATIENCE
        while len(names) > 1 and time.monotonic() < end:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(0.5)
            process.send_signal(getattr(signal, names[-1]))  # they were one on a busy machine
        return process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_follow_ends_though_a_disk_does_not_answer(tmp_path: Path, name: str) -> None:
    """At the first signal, with 128 + n."""
    code = ended(tmp_path, DISK_THAT_DOES_NOT_ANSWER, name)
    assert code == 128 + getattr(signal, name), (tmp_path / "log").read_text()


@pytest.mark.parametrize(("first", "names"), [("0.3", ["SIGTERM"]), ("600", ["SIGTERM"] * 2)])
def test_watch_ends_though_its_watch_does_not(tmp_path: Path, first: str, names: list[str]) -> None:
    """After its time at the first signal, soon at the second."""
    code = ended(tmp_path, WATCH_THAT_DOES_NOT_END.replace("FIRST", first), *names)
    assert code == 128 + signal.SIGTERM, (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("hangs", "first", "names", "expected"),
    [
        ("thread", "600", ["SIGTERM"], 0),
        ("thread", "600", ["SIGHUP"], 0),
        ("loop", "0.3", ["SIGINT"], 0),
        ("loop", "600", ["SIGTERM", "SIGTERM"], 143),
        ("loop", "0.5", ["SIGHUP", "SIGHUP"], 0),
    ],
)
def test_an_agent_ends_whatever_hangs(
    tmp_path: Path, hangs: str, first: str, names: list[str], expected: int
) -> None:
    """In order at the first signal, at once at the second; a closing terminal may send two."""
    program = AGENT_THAT_HANGS.replace("FIRST", first).replace("HANGS", repr(hangs))
    code = ended(tmp_path, program, *names)
    assert code == expected, (tmp_path / "log").read_text()
