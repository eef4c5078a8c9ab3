"""Standard output that takes nothing: a reader that has gone, a full disk, no descriptor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from limpet.cli import main
from limpet.cli._command_list import COMMANDS
from limpet.cli._stdout import StdoutError, checked_streams

BOT = """\
kind: IOConfig
implementation: limpet.bot.StdinMessages
uuid: a
properties: {}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: b
properties: {name: b}
triggers: [{kind: Trigger, implementation: limpet.bot.AllEventsTrigger, uuid: c, properties: {}}]
conditions: []
actions: [{kind: Action, implementation: limpet.bot.PrintAction, uuid: d, properties: {}}]
"""
AGENT = "{host: nas, hub: {url: 'nats://127.0.0.1:4222'}, spool: {path: spool.db}}\n"
FLEET = "{hosts: [nas], bots: []}\n"

CASES = {
    "watch": "watch tree --existing --count 1 --backend poll",
    "follow": "follow log --from-start --until-eof",
    "doctor": "doctor tree",
    "doctor as json": "doctor tree --format jsonl",
    "put": "put a --root tree --json",
    "append": "append a --root tree --json",
    "rm": "rm f --root tree --json",
    "mv": "mv f g --root tree --json",
    "mkdir": "mkdir x --root tree --json",
    "a refusal": "mkdir f --root tree --json",
    "run": "run bot.yaml --state-dir state --until-done --log-level error",
    "check": "check bot.yaml",
    "check --json": "check bad.yaml --json",
    "check --schema": "check --schema",
    "new": "new audit new.yaml",
    "replay": "replay bot.yaml --state-dir state",
    "agent": "agent agent.yaml --check",
    "hub": "hub config fleet.yaml",
    "the version": "--version",
    "an overview": "--help",
    **{f"help of {name}": f"{name} --help" for name in COMMANDS},
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "f").write_text("x")
    (tmp_path / "log").write_text("line\n" * 10)
    (tmp_path / "bot.yaml").write_text(BOT)
    (tmp_path / "bad.yaml").write_text("x: 1\n" * 1000)
    (tmp_path / "agent.yaml").write_text(AGENT)
    (tmp_path / "fleet.yaml").write_text(FLEET)
    return tmp_path


def run(place: Path, command: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "limpet", *command.split()],
        cwd=place, input=b"message\n", timeout=50, check=False, **more,
    )  # fmt: skip


def test_each_command_has_its_case() -> None:
    """And none is forgotten when one is added."""
    assert {case.split()[0] for case in CASES.values()} >= set(COMMANDS)


@pytest.mark.parametrize("name", CASES)
def test_a_closed_pipe_ends_it_quietly(place: Path, name: str) -> None:
    """With 0: the reader has seen enough."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(place, CASES[name], stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if b"passwords of" not in line]
    assert told == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("name", [name for name in CASES if name != "run"])
def test_a_full_disk_is_one_line(place: Path, name: str) -> None:
    """With 1, and without a traceback."""
    with open("/dev/full", "wb") as full:
        done = run(place, CASES[name], stdout=full, stderr=subprocess.PIPE)
    told = [line for line in done.stderr.splitlines() if b"passwords of" not in line]
    if name == "watch":
        told = [line for line in told if b"watching" not in line]
    assert done.returncode == 1, done.stderr
    assert told[-1] == b"limpet: cannot write to standard output: No space left on device"
    assert len(told) == 1


def test_a_bot_on_a_full_disk_keeps_its_event(place: Path) -> None:
    """As for each action that fails: the event becomes a dead letter, and the bot goes on."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no device that is always full")
    with open("/dev/full", "wb") as full:
        done = run(place, CASES["run"] + " --backoff 0.01", stdout=full, stderr=subprocess.PIPE)
    assert b"Traceback" not in done.stderr
    assert b"No space left on device" in done.stderr
    (letter,) = (place / "state" / "dead-letters.jsonl").read_text().splitlines()
    assert json.loads(letter)["error"]["type"] == "OSError"


def test_a_bot_whose_reader_has_gone_keeps_its_event(place: Path) -> None:
    """The next start begins with it."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        run(place, CASES["run"], stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert not (place / "state" / "dead-letters.jsonl").exists()
    done = run(place, CASES["run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.stdout.count(b'"text":"message"') == 2


def test_no_descriptor_is_a_failure(place: Path) -> None:
    """What was asked for was not written."""
    script = 'exec "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "limpet", "check", "--schema"],
        cwd=place, stderr=subprocess.PIPE, timeout=50, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [b"limpet: cannot write to standard output: it is closed"],
    )


def test_messages_that_nobody_reads_are_no_matter(place: Path) -> None:
    """The exit code says the same without them."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(place, "check bad.yaml", stdout=subprocess.PIPE, stderr=writer)
    finally:
        os.close(writer)
    assert done.returncode == 2


def test_text_that_the_encoding_does_not_have_is_escaped(place: Path) -> None:
    """A name that is not UTF-8, and any name in ASCII."""
    name = "\udcff.yaml"
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = run(
        place, f"new audit {name}", stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert (done.returncode, done.stdout) == (0, rb"\udcff.yaml" + b"\n"), done.stderr
    assert (place / name).read_bytes()
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run(
        place, "new audit é.yaml", stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert (done.returncode, done.stdout) == (0, rb"\xe9.yaml" + b"\n"), done.stderr


def test_an_error_of_the_system_is_one_line(place: Path) -> None:
    """And no traceback."""
    (place / "state").write_text("a file where a folder should be")
    done = run(place, CASES["run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(b"limpet: ")
    assert b"state" in line


def test_a_program_that_calls_main_keeps_its_streams(capsys: pytest.CaptureFixture[str]) -> None:
    """They are those of before, also after a failure."""
    before = sys.stdout, sys.stderr
    assert main(["--version"]) == 0
    assert main(["nothing"]) == 2
    assert (sys.stdout, sys.stderr) == before
    assert "limpet" in capsys.readouterr().out

    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            pass

    full: Any = Full()
    sys.stdout = full
    try:
        with pytest.raises(StdoutError, match="No space left"), checked_streams():
            print("x")
        assert sys.stdout is full
    finally:
        sys.stdout = before[0]
