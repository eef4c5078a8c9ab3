"""``limpet run``, ``check``, ``new`` and ``replay`` as processes; signals, kills, systemd."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from tests.bot.factories import put
from tests.waiting import PATIENCE, until_sync

HELPERS = '''
"""Components beside a bot's file, as a user has them."""
import asyncio, dataclasses, os, pathlib, time
from mewbot.api.v1 import Action, Input, IOConfig
from mewbot.core import InputEvent

@dataclasses.dataclass
class Number(InputEvent):
    number: int

class NumberInput(Input):
    count = 0
    @staticmethod
    def produces_inputs(): return {Number}
    async def run(self):
        mark = pathlib.Path("queued")
        if mark.exists(): return
        for number in range(self.count):
            await self.queue.put(Number(number))
        mark.touch()

class Numbers(IOConfig):
    def __init__(self): self._input = NumberInput()
    @property
    def count(self): return self._input.count
    @count.setter
    def count(self, count): NumberInput.count = count
    def get_inputs(self): return [self._input]
    def get_outputs(self): return []

class Note(Action):
    """Writes the number down once nothing hangs, a little later."""
    _wait = 0.0
    @property
    def wait(self): return self._wait
    @wait.setter
    def wait(self, wait): self._wait = wait
    @staticmethod
    def consumes_inputs(): return {Number}
    @staticmethod
    def produces_outputs(): return set()
    async def act(self, event, state):
        while pathlib.Path("hang").exists(): await asyncio.sleep(0.01)
        await asyncio.sleep(self._wait)
        if pathlib.Path("fail").exists(): raise OSError("failing as requested")
        with open("noted", "a") as file: file.write(f"{event.number}\\n")
        return
        yield
'''

NUMBERS = """\
kind: IOConfig
implementation: helpers.Numbers
uuid: io
properties: {count: COUNT}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: b
properties: {name: note}
triggers:
  - {kind: Trigger, implementation: limpet.bot.AllEventsTrigger, uuid: t, properties: {}}
conditions: []
actions:
  - {kind: Action, implementation: helpers.Note, uuid: a, properties: {wait: WAIT}}
"""


def numbers(folder: Path, count: int, wait: float = 0.0) -> Path:
    (folder / "helpers.py").write_text(HELPERS, encoding="utf-8")
    file = folder / "bot.yaml"
    text = NUMBERS.replace("COUNT", str(count)).replace("WAIT", str(wait))
    file.write_text(text, encoding="utf-8")
    return file


def noted(folder: Path) -> list[int]:
    path = folder / "noted"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


class Program:
    """``limpet`` in a process of its own, in a directory; killed at the end of the block."""

    def __init__(
        self,
        folder: Path,
        *argv: str,
        stdin: int = subprocess.DEVNULL,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.log = folder / f"log{time.monotonic_ns()}"
        self._file = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "limpet", *argv],
            cwd=folder,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            stdin=stdin,
            env={**os.environ, "XDG_STATE_HOME": str(folder / "xdg"), **(environment or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._file.close()

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def until(self, condition: Callable[[], object]) -> None:
        def holds() -> bool:
            assert self.process.poll() is None or condition(), self.output
            return bool(condition())

        until_sync(holds, lambda: self.output)

    def signal(self, name: str) -> None:
        self.process.send_signal(getattr(signal, name))

    def end(self) -> int:
        return self.process.wait(PATIENCE)


def limpet(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "limpet", *argv],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "xdg")},
    )  # fmt: skip


# -- run -------------------------------------------------------------------------------------------


def test_a_thousand_queued_events_and_a_sigterm_lose_none(tmp_path: Path) -> None:
    """Those that are not processed in time are processed at the next start, in order, each once."""
    numbers(tmp_path, 1000, 0.002)
    with Program(tmp_path, "run", "bot.yaml", "--drain", "0.3", "--queue", "1000") as program:
        program.until(lambda: len(noted(tmp_path)) > 10)
        program.signal("SIGTERM")
        assert program.end() == 0, program.output
    first = noted(tmp_path)
    assert 10 < len(first) < 900
    assert "the next start processes them" in program.output
    # The input was cancelled, too: it delivers the rest the next time.
    queued = len(first) + len(journal(tmp_path))
    assert queued >= 1000 or not (tmp_path / "queued").exists()
    helper = (tmp_path / "helpers.py").read_text()
    again = helper.replace("range(self.count)", f"range({queued}, self.count)")
    (tmp_path / "helpers.py").write_text(again, encoding="utf-8")
    numbers_file = tmp_path / "bot.yaml"
    numbers_file.write_text(numbers_file.read_text().replace("wait: 0.002", "wait: 0.0"))
    with Program(tmp_path, "run", "bot.yaml", "--until-done") as program:
        assert program.end() == 0, program.output
    assert noted(tmp_path) == list(range(1000))


def journal(folder: Path) -> list[str]:
    return [
        line
        for path in folder.glob("xdg/limpet/*/journal.jsonl")
        for line in path.read_text().splitlines()
    ]


def test_a_drain_processes_all_if_there_is_time(tmp_path: Path) -> None:
    """SIGINT stops like SIGTERM."""
    numbers(tmp_path, 200, 0.001)
    with Program(tmp_path, "run", "bot.yaml") as program:
        program.until((tmp_path / "queued").exists)
        program.signal("SIGINT")
        assert program.end() == 0, program.output
    assert noted(tmp_path) == list(range(200))


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """With the signal's number in the exit code, and all events stored."""
    numbers(tmp_path, 5)
    (tmp_path / "hang").touch()
    with Program(tmp_path, "run", "bot.yaml", "--drain", "600") as program:
        program.until((tmp_path / "queued").exists)
        program.signal("SIGTERM")
        program.until(lambda: "stopping" in program.output)
        program.signal("SIGTERM")
        assert program.end() == 128 + signal.SIGTERM, program.output
    assert len(journal(tmp_path)) == 5


def test_sighup_reloads_a_changed_file_or_logs_its_errors(tmp_path: Path) -> None:
    """The process and its queued events stay."""
    file = numbers(tmp_path, 3)
    (tmp_path / "hang").touch()
    with Program(tmp_path, "run", "bot.yaml", "--drain", "0.1") as program:
        program.until((tmp_path / "queued").exists)
        good = file.read_text()
        file.write_text(good.replace("properties: {name: note}", "properties: {nme: note}"))
        program.signal("SIGHUP")
        program.until(lambda: "the bot goes on as it is" in program.output)
        assert "did you mean 'name'?" in program.output
        file.write_text(good.replace("wait: 0.0", "wait: 0.001"))
        program.signal("SIGHUP")
        program.until(lambda: "reloaded " in program.output)
        (tmp_path / "hang").unlink()
        program.until(lambda: len(noted(tmp_path)) == 3)
        program.signal("SIGTERM")
        assert program.end() == 0, program.output
    assert noted(tmp_path) == [0, 1, 2]


def test_logs_as_json_and_the_health_endpoint(tmp_path: Path) -> None:
    """Every line of the log is an object; one has the address, and what acting needs."""
    numbers(tmp_path, 3)
    argv = ["run", "bot.yaml", "--log-format", "json", "--listen", "127.0.0.1:0"]
    with Program(tmp_path, *argv) as program:
        program.until(lambda: len(noted(tmp_path)) == 3 and "status at" in program.output)
        lines = [json.loads(line) for line in program.output.splitlines()]
        (address,) = (one["message"].split()[-1] for one in lines if "status at" in one["message"])
        address, _, token = address.partition("/#token=")
        assert token
        port = address.rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            assert json.load(answer)["status"] == "ok"
        program.signal("SIGTERM")
        assert program.end() == 0
    assert {"ts", "level", "logger", "message"} <= set(json.loads(program.output.splitlines()[-1]))


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets")
def test_systemd_is_notified(tmp_path: Path) -> None:
    """READY, keep-alives, RELOADING with its time, STOPPING; also by an abstract socket."""
    numbers(tmp_path, 1)
    name = f"\0limpet-test-{os.getpid()}" if sys.platform == "linux" else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(PATIENCE)

        def next_with(word: str) -> str:
            while True:
                text = manager.recv(4096).decode()
                if word in text:
                    return text

        environment = {"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "50000"}
        with Program(tmp_path, "run", "bot.yaml", environment=environment) as program:
            assert "STATUS=running" in next_with("READY=1")
            assert "events" in next_with("WATCHDOG=1")
            program.signal("SIGHUP")
            before = time.monotonic_ns() // 1000
            assert int(next_with("RELOADING=1").partition("MONOTONIC_USEC=")[2]) <= (
                time.monotonic_ns() // 1000
            )
            next_with("READY=1")
            (tmp_path / "bot.yaml").write_text("wrong")  # a reload that fails completes, too
            program.signal("SIGHUP")
            assert int(next_with("RELOADING=1").partition("MONOTONIC_USEC=")[2]) > before
            next_with("READY=1")
            program.signal("SIGTERM")
            extended = next_with("STOPPING=1").partition("EXTEND_TIMEOUT_USEC=")[2]
            assert int(extended.split()[0]) > 8_000_000  # the drain time is asked for
            assert program.end() == 0


def test_a_wrong_file_starts_nothing(tmp_path: Path) -> None:
    """Exit code 2, every error on standard error."""
    numbers(tmp_path, 1).write_text("kind: Behavior\n---\nkind: IOConfg\n", encoding="utf-8")
    done = limpet(tmp_path, "run", "bot.yaml")
    assert done.returncode == 2
    assert "bot.yaml:1:7: error" in done.stderr
    assert "bot.yaml:3:7: error" in done.stderr
    assert not (tmp_path / "xdg").exists()


# -- inbox under kill -9 ---------------------------------------------------------------------------

INBOX = """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: io
properties: {input_path: in, output_path: out, existing: true, content: {mode: rb}}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: b
properties: {concurrency: 2}
triggers:
  - kind: Trigger
    implementation: limpet.bot.FileSystemTrigger
    uuid: t
    properties: {events: [file.created, file.updated, file.renamed], target: never}
conditions:
  - {kind: Condition, implementation: limpet.bot.StillThereCondition, uuid: c, properties: {}}
actions:
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: a1
    properties: {name: log, content: "{{ name }}"}
  - kind: Action
    implementation: limpet.bot.OverwriteFileAction
    uuid: a2
    properties: {name: "{{ name }}", content: "{{ content }}"}
  - {kind: Action, implementation: limpet.bot.MoveProcessedFileAction, uuid: a3, properties: {}}
"""


def test_case_d15_killed_at_random_moments_an_inbox_loses_nothing(tmp_path: Path) -> None:
    """D15: every file at least once, every output complete at any moment."""
    rng = random.Random(7)
    (tmp_path / "bot.yaml").write_text(INBOX, encoding="utf-8")
    (tmp_path / "in").mkdir()
    content = b"0123456789abcdef" * 4096
    names = [f"f{number:03d}" for number in range(120)]
    waiting = list(names)

    def check() -> None:
        for path in (tmp_path / "out").glob("f*"):
            assert path.read_bytes() == content, path

    def processed() -> int:
        return len(list((tmp_path / "done").glob("*")))

    for kills_left in range(6, -1, -1):
        with Program(tmp_path, "run", "bot.yaml", "--log-level", "error") as program:
            before, share = processed(), len(waiting) // (kills_left + 1)

            def is_far_enough(before: int = before, rest: int = len(waiting) - share) -> bool:
                for _ in range(min(3, len(waiting) - rest)):
                    put(tmp_path / "in" / waiting.pop(), content.decode())
                check()
                return processed() > before and len(waiting) == rest

            program.until(is_far_enough)
            if kills_left:
                time.sleep(rng.random() * 0.05)  # a random moment of its work
            else:
                program.until(lambda: not any((tmp_path / "in").iterdir()))
            program.process.kill()
            program.end()
        check()
    assert sorted(path.name for path in (tmp_path / "out").glob("f*")) == names
    lines = (tmp_path / "out" / "log").read_text().splitlines()
    assert set(lines) == set(names)
    assert sorted(path.name for path in (tmp_path / "done").iterdir() if "." not in path.name) == (
        names
    )
    assert not (tmp_path / "failed").exists()
    assert not list((tmp_path / "out").glob(".limpet-*"))


# -- check, new, replay ----------------------------------------------------------------------------


def test_case_d16_check_reports_all_and_exits_with_2(tmp_path: Path) -> None:
    """D16: or with 0 and one line; on request as JSON."""
    numbers(tmp_path, 1)
    done = limpet(tmp_path, "check", "bot.yaml")
    fine = "1 bot, 1 input, 1 behaviour: fine\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, fine, "")
    done = limpet(tmp_path, "check", "bot.yaml", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (tmp_path / "bad.yaml").write_text("kind: IOConfig\nuuid: x\nproperties: yes\n")
    done = limpet(tmp_path, "check", "bot.yaml", "bad.yaml")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    done = limpet(tmp_path, "check", "bad.yaml", "--json")
    assert done.returncode == 2
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(one["line"], one["column"]) for one in found} == {(1, 1), (3, 13)}
    assert json.loads(limpet(tmp_path, "check", "--schema").stdout)["$id"] == "urn:limpet:bot:1"


def test_components_beside_the_file_are_found_wherever_it_is_started(tmp_path: Path) -> None:
    """In check, run, reload and replay; what is in the current folder goes first."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    numbers(home, 1)
    file = str(home / "bot.yaml")
    argv = ["--state-dir", "state", "--backoff", "0.01"]
    done = limpet(here, "check", file)
    assert done.returncode == 0, done.stderr
    (here / "fail").touch()
    done = limpet(here, "run", file, "--until-done", *argv)
    assert done.returncode == 0, done.stderr
    assert (here / "state" / "dead-letters.jsonl").exists()
    (here / "fail").unlink()
    done = limpet(here, "replay", file, *argv)
    assert (done.returncode, done.stdout.split()[0]) == (0, "1"), done.stderr
    assert noted(here) == [0]
    with Program(here, "run", file, *argv) as program:
        program.until(lambda: "running:" in program.output)
        program.signal("SIGHUP")
        program.until(lambda: "reloaded" in program.output)
    for module in home.glob("*.py"):
        (here / module.name).write_text("raise SystemExit('the one that is here')")
    assert "the one that is here" in limpet(here, "check", file).stderr


def test_new_writes_a_file_and_never_over_one(tmp_path: Path) -> None:
    """Unless forced; an unknown kind is refused."""
    done = limpet(tmp_path, "new", "inbox")
    assert (done.returncode, done.stdout) == (0, "inbox.yaml\n")
    assert limpet(tmp_path, "check", "inbox.yaml").returncode == 0
    assert limpet(tmp_path, "new", "inbox").returncode == 2
    assert limpet(tmp_path, "new", "inbox", "--force").returncode == 0
    assert limpet(tmp_path, "new", "audit", "mine.yaml").stdout == "mine.yaml\n"
    assert "must be one of" in limpet(tmp_path, "new", "inbx").stderr


def test_replay_processes_dead_letters_again(tmp_path: Path) -> None:
    """Failures stay; ids select; a dry run changes nothing."""
    numbers(tmp_path, 3)
    (tmp_path / "fail").touch()
    argv = ["--state-dir", "state", "--backoff", "0.01"]
    run = limpet(tmp_path, "run", "bot.yaml", "--until-done", *argv)
    assert run.returncode == 0, run.stderr
    path = tmp_path / "state" / "dead-letters.jsonl"
    dead_letters: list[dict[str, Any]] = [
        json.loads(line) for line in path.read_text().splitlines()
    ]
    assert len(dead_letters) == 3
    listed = limpet(tmp_path, "replay", "bot.yaml", "--list", *argv).stdout
    first = dead_letters[0]
    assert listed.splitlines()[0].split("\t") == [
        first["id"], first["at"], "note", "action 1 (helpers.Note)", "3 tries", "helpers.Number",
        "failing as requested",
    ]  # fmt: skip

    done = limpet(tmp_path, "replay", "bot.yaml", *argv)
    assert (done.returncode, done.stdout) == (1, "0 done, 3 left: 3 failed again\n"), done.stderr
    (tmp_path / "fail").unlink()
    done = limpet(tmp_path, "replay", "bot.yaml", "--dry-run", *argv)
    assert done.returncode == 1
    assert done.stdout == "0 done, 3 left: 3 not reached\n"
    again = [json.loads(line) for line in path.read_text().splitlines()]
    assert [one["id"] for one in again] == [one["id"] for one in dead_letters]
    unknown = limpet(tmp_path, "replay", "bot.yaml", "none", *argv)
    assert (unknown.returncode, unknown.stdout) == (2, ""), unknown.stderr
    done = limpet(tmp_path, "replay", "bot.yaml", dead_letters[1]["id"], *argv)
    assert (done.returncode, done.stdout) == (1, "1 done, 2 left: 2 not asked for\n"), done.stderr
    done = limpet(tmp_path, "replay", "bot.yaml", *argv)
    assert (done.returncode, done.stdout) == (0, "2 done, 0 left\n"), done.stderr
    assert sorted(noted(tmp_path)) == [0, 1, 2]
    assert not path.exists()
    assert limpet(tmp_path, "replay", "bot.yaml", *argv).stdout == "0 done, 0 left\n"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["run"], "expected BOT.yaml"),
        (["run", "a", "b"], "expected BOT.yaml"),
        (["run", "none.yaml"], "cannot be read"),
        (["run", "bot.yaml", "--drain", "x"], "number of seconds"),
        (["run", "bot.yaml", "--listen", "0.0.0.0:1"], "on loopback"),
        (["run", "bot.yaml", "--log-format", "xml"], "--log-format"),
        (["check"], "expected BOT.yaml"),
        (["new"], "expected KIND"),
    ],
)
def test_a_wrong_call_is_refused(tmp_path: Path, argv: list[str], expected: str) -> None:
    """Exit code 2."""
    numbers(tmp_path, 1)
    done = limpet(tmp_path, *argv)
    assert done.returncode == 2
    assert expected in done.stderr


@pytest.mark.parametrize("package", ["jinja2", "mewbot"])
def test_without_the_extra_it_names_the_package_to_install(tmp_path: Path, package: str) -> None:
    """It names the extra."""
    program = (
        f"import sys; sys.modules['{package}'] = None; sys.argv = ['limpet', 'run', 'x'];"
        "from limpet.cli import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'limpet[bot]'" in done.stderr
    assert package in done.stderr
