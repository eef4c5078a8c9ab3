"""How a bot ends as a program, whatever hangs in it, and what SIGHUP means for it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bot.test_service import Program, limpet
from tests.waiting import PATIENCE, until_sync

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")

OWN = '''
"""Actions that hang, each in its own way."""
import asyncio, logging, os, pathlib, re, sys, threading, time
from limpet.bot import LimpetAction

class Hang(LimpetAction):
    async def steps(self, event, state, outcome):
        with open("began", "a") as file: file.write(event.text + "\\n")
        await globals()[event.text]()
        return
        yield

async def to_thread(): await asyncio.to_thread(time.sleep, 600)

async def non_daemon(): threading.Thread(target=time.sleep, args=(600,)).start()

async def work_in_a_thread():
    def work():
        time.sleep(1.0)
        pathlib.Path("worked").touch()
    threading.Thread(target=work).start()

async def block_the_loop(): time.sleep(600)

async def block_in_python():
    while True: pass

async def block_in_c(): re.match(r"(a+)+$", "a" * 60 + "b")

async def all_threads():
    for _ in range(100): asyncio.ensure_future(asyncio.to_thread(time.sleep, 600))
    await asyncio.sleep(600)

async def deaf():
    while True:
        try: await asyncio.sleep(600)
        except asyncio.CancelledError: pass

async def good(): pathlib.Path("good").touch()

async def exit_in_a_task():
    async def leave(): sys.exit(7)
    asyncio.create_task(leave())
    await asyncio.sleep(0.01)

async def interrupt_in_a_task():
    async def leave(): raise KeyboardInterrupt
    asyncio.create_task(leave())
    await asyncio.sleep(0.01)

async def much(): logging.getLogger("own").warning("x" * 300_000)
'''

BOT = """\
kind: IOConfig
implementation: limpet.bot.StdinMessages
uuid: io
properties: {}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: b
properties: {name: b}
triggers:
  - {kind: Trigger, implementation: limpet.bot.AllEventsTrigger, uuid: t, properties: {}}
conditions: []
actions:
  - {kind: Action, implementation: own.Hang, uuid: a, properties: {}}
"""

ECHO = BOT.replace(
    "own.Hang, uuid: a, properties: {}",
    "limpet.bot.PrintAction, uuid: a, properties: {text: '<{{ event.text }}>'}",
)

ARGV = ["run", "bot.yaml", "--state-dir", "state"]


@pytest.fixture(autouse=True)
def _bot(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "bot.yaml").write_text(BOT)


class Fed(Program):
    """A bot whose standard input is a pipe that stays open."""

    def __init__(self, folder: Path, *argv: str, lines: str = "") -> None:
        read, self.input = os.pipe()
        os.write(self.input, lines.encode())
        self.folder = folder
        super().__init__(folder, *argv, stdin=read)
        os.close(read)

    def __exit__(self, *details: object) -> None:
        super().__exit__(*details)
        self.end_input()

    def end_input(self) -> None:
        if self.input >= 0:
            os.close(self.input)
        self.input = -1

    def until_began(self, text: str) -> None:
        path = self.folder / "began"
        self.until(lambda: path.exists() and text in path.read_text())


def journal(folder: Path) -> list[str]:
    path = folder / "state" / "journal.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["event"]["v"]["text"] for line in lines]


@pytest.mark.parametrize(
    ("what", "kept"),
    [
        ("to_thread", ["to_thread", "good"]),
        ("non_daemon", []),
        ("block_the_loop", ["block_the_loop", "good"]),
        ("block_in_python", ["block_in_python", "good"]),
        ("block_in_c", ["block_in_c", "good"]),
        ("all_threads", ["all_threads", "good"]),
        ("deaf", ["deaf", "good"]),
    ],
)
def test_whatever_hangs_sigterm_ends_it_and_what_is_left_is_stored(
    tmp_path: Path, what: str, kept: list[str]
) -> None:
    """Exit code 0: nothing is lost. The next start processes the rest."""
    with Fed(tmp_path, *ARGV, "--drain", "0.4", lines=f"{what}\ngood\n") as program:
        program.until_began(what)
        if not kept:
            program.until((tmp_path / "good").exists)
        begun = time.monotonic()
        program.signal("SIGTERM")
        assert program.end() == 0, program.output
        assert time.monotonic() - begun < 5
    assert journal(tmp_path) == kept
    assert "lost" not in program.output


@pytest.mark.parametrize("what", ["to_thread", "block_the_loop", "deaf"])
def test_a_second_signal_ends_at_once_whatever_hangs(tmp_path: Path, what: str) -> None:
    """With 128 + n, long before the drain time is over, and the events stored."""
    with Fed(tmp_path, *ARGV, "--drain", "600", lines=f"{what}\n") as program:
        program.until_began(what)
        program.signal("SIGTERM")
        time.sleep(0.1)  # two signals of one number at once are one (signal(7))
        program.signal("SIGTERM")
        assert program.end() == 128 + signal.SIGTERM, program.output
    assert journal(tmp_path) == [what]


def test_a_try_that_took_too_long_does_not_hold_the_end(tmp_path: Path) -> None:
    """Its thread hangs, and nobody waits for it any more; the dead letter has the reason."""
    text = BOT.replace("{name: b}", "{name: b, timeout: 0.1, attempts: 1}")
    (tmp_path / "bot.yaml").write_text(text)
    with Fed(tmp_path, *ARGV, "--until-done", "--drain", "0.5", lines="to_thread\n") as program:
        program.end_input()
        assert program.end() == 0, program.output
    assert (tmp_path / "state" / "dead-letters.jsonl").read_text().count("\n") == 1


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_thread_of_a_component_may_end_its_work(tmp_path: Path, *, by_itself: bool) -> None:
    """As long as the drain time lasts; at an end without a signal, as long as it takes."""
    argv = [*ARGV, "--drain", "8", *(["--until-done"] if by_itself else [])]
    with Fed(tmp_path, *argv, lines="work_in_a_thread\n") as program:
        program.until_began("work_in_a_thread")
        if by_itself:
            program.end_input()
        else:
            program.signal("SIGTERM")
        assert program.end() == 0, program.output
    assert (tmp_path / "worked").exists()


@pytest.mark.parametrize("what", ["exit_in_a_task", "interrupt_in_a_task"])
def test_an_exit_in_a_task_of_a_component_ends_that_task(tmp_path: Path, what: str) -> None:
    """The bot goes on, and its end is in order."""
    with Fed(tmp_path, *ARGV, lines=f"{what}\ngood\n") as program:
        program.until((tmp_path / "good").exists)
        program.signal("SIGINT")
        assert program.end() == 0, program.output
    assert "a task raised" in program.output


def test_a_log_that_nobody_reads_does_not_hold_the_end(tmp_path: Path) -> None:
    """Its pipe is full; the thread that writes there is left behind."""
    read, write = os.pipe()
    stdin, feeding = os.pipe()
    os.write(feeding, b"much\nmuch\ngood\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "limpet", *ARGV], cwd=tmp_path, stdin=stdin, stderr=write
    )
    try:
        until_sync((tmp_path / "good").exists)
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        for one in (read, write, stdin, feeding):
            os.close(one)


def test_a_reload_keeps_what_was_read_by_an_input_that_goes(tmp_path: Path) -> None:
    """The new one goes on behind it, with its own properties."""
    (tmp_path / "bot.yaml").write_text(ECHO)
    lines = [f"line {number}" for number in range(3000)]
    with Fed(tmp_path, *ARGV, "--queue", "1", lines="\n".join(lines) + "\n") as program:
        program.until(lambda: "<line 9>" in program.output)
        (tmp_path / "bot.yaml").write_text(
            ECHO.replace("properties: {}", "properties: {channel: x}", 1)
        )
        program.signal("SIGHUP")
        program.until(lambda: "reloaded" in program.output)
        os.write(program.input, b"more\n")
        program.until(lambda: "<more>" in program.output)
        program.signal("SIGTERM")
        assert program.end() == 0, program.output
    got = [line[1:-1] for line in program.output.splitlines() if line.startswith("<")]
    assert sorted(got) == sorted([*lines, "more"])


# -- SIGHUP ----------------------------------------------------------------------------------------


def test_sighup_before_the_program_can_take_it_does_not_kill_it(tmp_path: Path) -> None:
    """The file is read again once the bot runs."""
    (tmp_path / "own.py").write_text(
        "import os, pathlib, signal\n"
        "if not pathlib.Path('once').exists():\n"
        "    pathlib.Path('once').touch()\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n" + OWN
    )
    with Fed(tmp_path, *ARGV) as program:
        program.until(lambda: "reloaded" in program.output)
        program.signal("SIGTERM")
        assert program.end() == 0, program.output


ON_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "limpet", *sys.argv[1:]])
"""

BY_A_SHELL = """
import fcntl, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
subprocess.run([sys.executable, "-m", "limpet", *sys.argv[1:]], stdin=subprocess.DEVNULL)
"""

UNDER_NOHUP = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-m", "limpet", *sys.argv[1:]])
"""


@contextlib.contextmanager
def terminal(folder: Path, program: str, *argv: str) -> Iterator[tuple[Any, int, Path]]:
    """Run a program in a session of its own, on a terminal; yield it, the other side, its log."""
    master, slave = os.openpty()
    log = folder / "log"
    with log.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *argv],
            cwd=folder, stdin=slave, stdout=err, stderr=err, start_new_session=True,
        )  # fmt: skip
    os.close(slave)
    try:
        yield process, master, log
    finally:
        with contextlib.suppress(OSError):
            os.close(master)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


QUIET = BOT.replace("StdinMessages", "FileSystem")


def holder(folder: Path) -> int:
    return int((folder / "state" / "lock").read_text())


@pytest.mark.parametrize("program", [ON_A_TERMINAL, BY_A_SHELL], ids=["itself", "by-a-shell"])
def test_the_end_of_a_terminal_ends_the_bot(tmp_path: Path, program: str) -> None:
    """Also of one that has no stream there, but was started there: nobody sees it any more."""
    (tmp_path / "bot.yaml").write_text(QUIET)
    with terminal(tmp_path, program, *ARGV) as (_, master, log):
        until_sync(lambda: "running: " in log.read_text(), log.read_text)
        pid = holder(tmp_path)
        os.close(master)
        until_sync(lambda: "stopped after" in log.read_text(), log.read_text)
        until_sync(lambda: not _lives(pid))
    assert "reloaded" not in log.read_text()


def test_under_nohup_the_end_of_a_terminal_ends_nothing(tmp_path: Path) -> None:
    """The parent process ignores it for the bot."""
    (tmp_path / "bot.yaml").write_text(QUIET)
    with terminal(tmp_path, UNDER_NOHUP, *ARGV) as (process, master, log):
        until_sync(lambda: "running: " in log.read_text(), log.read_text)
        os.close(master)
        until_sync(lambda: "reloaded" in log.read_text(), log.read_text)
        assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE) == 0, log.read_text()


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_another_bot_is_named_by_its_process(tmp_path: Path) -> None:
    """So that it can be found, and ended."""
    (tmp_path / "bot.yaml").write_text(QUIET)
    with Program(tmp_path, *ARGV) as program:
        program.until(lambda: "running: " in program.output)
        second = limpet(tmp_path, *ARGV)
        assert second.returncode == 2
        assert f"another bot runs with the state directory {str(tmp_path / 'state')!r}" in (
            second.stderr
        )
        assert f"(process {program.process.pid})" in second.stderr
        program.signal("SIGTERM")
        assert program.end() == 0


def test_a_state_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    """Without a traceback: a file in its way, an address that is taken, a folder as journal."""
    (tmp_path / "bot.yaml").write_text(QUIET)
    (tmp_path / "file").touch()
    (tmp_path / "state" / "journal.jsonl").mkdir(parents=True)
    (tmp_path / "other" / "dead-letters.jsonl").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for command, argv in (
            ("run", ["--state-dir", "file/state"]),
            ("run", ["--state-dir", "state"]),
            ("run", ["--state-dir", "third", "--listen", address]),
            ("replay", ["--state-dir", "other"]),
            ("replay", ["--state-dir", "other", "--list"]),
        ):
            done = limpet(tmp_path, command, "bot.yaml", "--log-level", "error", *argv)
            assert done.returncode == 1, done
            assert "Traceback" not in done.stderr
            # A line of the log may come after it.
            (line,) = [one for one in done.stderr.splitlines() if one.startswith("limpet: ")]
            assert line.startswith("limpet: cannot "), done.stderr


# -- standard input --------------------------------------------------------------------------------


def printed(folder: Path, **streams: Any) -> list[str]:
    (folder / "bot.yaml").write_text(ECHO)
    done = subprocess.run(
        [sys.executable, "-m", "limpet", *ARGV, "--until-done"],
        cwd=folder, capture_output=True, timeout=PATIENCE, **streams,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out: bytes = done.stdout
    return out.decode("utf-8", "replace").splitlines()


def test_messages_from_a_pipe_a_file_and_nothing(tmp_path: Path) -> None:
    """To the end, the last line too; what is no JSON, however deep, is text."""
    deep = '{"a":' * 5000
    big = '{"text": "big", "time": 1' + "0" * 400 + "}"
    text = f"one\n\ntwo\r\n{deep}\n{big}\nlast"
    expected = ["<one>", "<two>", f"<{deep}>", "<big>", "<last>"]
    assert printed(tmp_path, input=text.encode()) == expected
    file = tmp_path / "messages"
    file.write_text(text)
    with file.open("rb") as stream:
        assert printed(tmp_path, stdin=stream) == expected
    assert printed(tmp_path, stdin=subprocess.DEVNULL) == []
    closed = (
        "import os, sys; os.close(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    (tmp_path / "bot.yaml").write_text(ECHO)
    done = subprocess.run(
        [sys.executable, "-c", closed, "-m", "limpet", *ARGV, "--until-done"],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "standard input is closed" in done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_a_bot_that_waits_for_input_ends_in_order(tmp_path: Path, kind: str, name: str) -> None:
    """Its thread waits in the system, and holds nothing that the interpreter wants."""
    (tmp_path / "bot.yaml").write_text(ECHO)
    read, write = os.pipe() if kind == "pipe" else os.openpty()[::-1]
    with Program(tmp_path, *ARGV, stdin=read) as program:
        os.write(write, b"a\n")
        program.until(lambda: "<a>" in program.output)
        program.signal(name)
        assert program.end() == 0, program.output
    os.close(read)
    os.close(write)


def test_what_was_read_and_not_processed_is_stored_at_a_stop(tmp_path: Path) -> None:
    """Nobody can read it again: also what no queue had room for."""
    lines = ["deaf", *(f"line {number}" for number in range(3000))]
    argv = [*ARGV, "--drain", "0", "--queue", "1"]
    with Fed(tmp_path, *argv, lines="\n".join(lines) + "\n") as program:
        program.until_began("deaf")
        program.signal("SIGTERM")
        assert program.end() == 0, program.output
    assert journal(tmp_path) == lines
