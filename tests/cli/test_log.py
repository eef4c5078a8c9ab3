"""The log of every command that runs on and on: one form of lines, one set of keys."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE, until_sync

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ +limpet\.\w+(\.\w+)*: .+")
"""A line of the log as text."""

COMMANDS = {
    "watch": ("watch in --exec false", "ended with status 1"),
    "follow": ("follow in/none in/bad", "there is no such file yet"),
    "inbox": ("inbox in --done done --failed failed --attempts 1 --exec false", "status 1"),
}
"""Command -> how it is typed, and a part of a message that it has."""


def messages(folder: Path, command: str, form: str) -> list[str]:
    """Run a command until it has had something to say; return the lines of its log."""
    (folder / "in").mkdir()
    typed, expected = COMMANDS[command]
    words = typed.split()
    cut = words.index("--exec") if "--exec" in words else len(words)
    words[cut:cut] = ["--log-format", form]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "limpet", *words],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=out,
            env={**os.environ, "NO_COLOR": "1"},
        )
        try:
            count = 0

            def is_told() -> bool:
                nonlocal count
                count += 1
                (folder / "in" / f"x\n{count}").touch()
                return expected in log.read_text()

            until_sync(is_told)
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
    return log.read_text().splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_with_log_format_each_message_is_a_line_of_the_log(tmp_path: Path, command: str) -> None:
    """As that of a bot: time, level, name, message; no name of a file breaks a line."""
    lines = messages(tmp_path, command, "text")
    assert lines
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert all(f" limpet.{command}: " in line for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_as_json_each_has_the_same_keys(tmp_path: Path, command: str) -> None:
    """Those of a bot's log."""
    lines = messages(tmp_path, command, "json")
    assert lines
    for line in lines:
        found = json.loads(line)
        assert found.keys() == {"ts", "level", "logger", "message"}
        assert found["logger"] == f"limpet.{command}"


def test_a_run_that_cannot_start_says_so_in_the_log(tmp_path: Path) -> None:
    """The last line is not lost with the end of the program."""
    (tmp_path / "state").mkdir()
    (tmp_path / "log").touch()
    done = subprocess.run(
        [sys.executable, "-m", "limpet", "follow", "log", "--state", "state",
         "--log-format", "json", "--until-eof"],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode != 0
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["logger"], line["level"]) == ("limpet.follow", "error")
