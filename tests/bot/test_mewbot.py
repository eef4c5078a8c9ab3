"""B3: the same files under unmodified mewbot 0.0.3, within what its runner can do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.bot.factories import put
from tests.waiting import PATIENCE, until_sync

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/run-under-mewbot.md"
(MEWBOT,) = [
    code
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    if "configure_bot" in code
]
"""The lines that the page gives to run a file under mewbot."""

BOT = """
import asyncio, sys
from mewbot.loader import configure_bot
asyncio.set_event_loop(asyncio.new_event_loop())
with open(sys.argv[1]) as stream:
    bot = configure_bot("bot", stream)
bot.run()
"""

BOT = """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: aaaaaaaa-aaaa-4aaa-0000-000000000001
properties: {name: here, input_path: in, output_path: out, state: keep/state, content: {mode: r}}
---
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: aaaaaaaa-aaaa-4aaa-0000-000000000002
properties: {name: idle}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: aaaaaaaa-aaaa-4aaa-0000-000000000003
properties: {name: copy, concurrency: 2}
triggers:
  - kind: Trigger
    implementation: limpet.bot.GlobTrigger
    uuid: aaaaaaaa-aaaa-4aaa-0000-000000000004
    properties: {events: [file.created, file.updated], globs: ['*.txt', '*.bad']}
conditions:
  - kind: Condition
    implementation: limpet.bot.ContentCondition
    uuid: aaaaaaaa-aaaa-4aaa-0000-000000000005
    properties: {pattern: '.'}
actions:
  - kind: Action
    implementation: limpet.bot.RunCommandAction
    uuid: aaaaaaaa-aaaa-4aaa-0000-000000000006
    properties: {command: [test, '{{ suffix }}', '=', .txt]}
  - kind: Action
    implementation: limpet.bot.OverwriteFileAction
    uuid: aaaaaaaa-aaaa-4aaa-0000-000000000007
    properties: {name: '{{ rel }}', content: '{{ content | upper }}', io: here}
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: aaaaaaaa-aaaa-4aaa-0000-000000000008
    properties: {name: log, content: '{{ rel }}'}
  - kind: Action
    implementation: limpet.bot.MoveProcessedFileAction
    uuid: aaaaaaaa-aaaa-4aaa-0000-000000000009
    properties: {}
"""


class Bot:
    """The bot under one of the two runners; SIGTERM ends it with the block, with exit code 0."""

    def __init__(self, folder: Path, runner: str, python: str = sys.executable) -> None:
        (folder / "bot.yaml").write_text(BOT, encoding="utf-8")
        self.log = folder / f"{runner}.log"
        self._file = self.log.open("ab")
        argv = ["-c", MEWBOT] if runner == "mewbot" else ["-m", "limpet", "run"]
        self.process = subprocess.Popen(
            [python, *argv, "bot.yaml"],
            cwd=folder,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "XDG_STATE_HOME": str(folder / "xdg")},
        )

    def __enter__(self) -> Self:
        self.until(lambda: "watching in" in self.log.read_text())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self._file.close()
        if kind is None:
            assert code == 0, self.log.read_text()

    def until(self, condition: Callable[[], object]) -> None:
        def holds() -> bool:
            assert self.process.poll() is None or condition(), self.log.read_text()
            return bool(condition())

        until_sync(holds, self.log.read_text)


def check_both(folder: Path, python: str = sys.executable) -> None:
    """Run the same file under both, one after the other, on the same folder."""
    (folder / "in").mkdir()
    for runner in ("mewbot", "limpet"):
        with Bot(folder, runner, python) as bot:
            put(folder / "in" / f"{runner} a.txt", "hello")
            put(folder / "in" / f"{runner}.bad", "hello")
            bot.until((folder / "out" / f"{runner} a.txt").exists)
            bot.until((folder / "done" / f"{runner} a.txt").exists)
            bot.until((folder / "failed" / f"{runner}.bad").exists)
            put(folder / "in" / f"{runner} b.txt", "zwei")
            bot.until((folder / "done" / f"{runner} b.txt").exists)
        assert (folder / "out" / f"{runner} a.txt").read_text() == "HELLO"
        # While no runner runs: the other one reports it, because they share the checkpoint.
        put(folder / "in" / f"after {runner}.txt", "drei")
    assert not (folder / "out" / "limpet.bad").exists()
    assert (folder / "done" / "after mewbot.txt").exists()
    assert (folder / "in" / "after limpet.txt").exists()
    lines = (folder / "out" / "log").read_text().splitlines()
    assert set(lines) == {
        *(f"{who} {what}.txt" for who in ("mewbot", "limpet") for what in "ab"),
        "after mewbot.txt",
    }
    # mewbot does not acknowledge, so its last event may come again after a stop.
    assert len(lines) <= 6


def test_the_same_file_under_both_runners(folder: Path) -> None:
    """Both produce the same files; a failure ends neither; a stop is in order."""
    check_both(folder)


def test_what_mewbot_drops_at_a_stop_is_delivered_again(folder: Path) -> None:
    """At least once, with a checkpoint: mewbot loses queued events when it stops."""
    (folder / "in").mkdir()
    names = [f"{number:02d}.txt" for number in range(40)]
    with Bot(folder, "mewbot") as bot:
        for name in names:
            put(folder / "in" / name, "x")
        bot.until(lambda: len(list((folder / "done").glob("*.txt"))) >= 3)
    dropped = len(names) - len(list((folder / "done").glob("*.txt")))
    with Bot(folder, "limpet") as bot:
        bot.until(lambda: len(list((folder / "done").glob("*.txt"))) == len(names))
    assert sorted(p.name for p in (folder / "done").iterdir() if p.stem.isdigit()) == names
    assert dropped >= 0


MESSAGES = """\
kind: IOConfig
implementation: limpet.bot.StdinMessages
uuid: aaaaaaaa-aaaa-4aaa-0000-000000000021
properties: {}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: aaaaaaaa-aaaa-4aaa-0000-000000000022
properties: {}
triggers:
  - kind: Trigger
    implementation: limpet.bot.AllEventsTrigger
    uuid: aaaaaaaa-aaaa-4aaa-0000-000000000023
    properties: {}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.PrintAction
    uuid: aaaaaaaa-aaaa-4aaa-0000-000000000024
    properties: {text: "<{{ event.text }}>"}
"""


def test_standard_input_does_not_abort_mewbots_runner(folder: Path) -> None:
    """Its thread waits for a line when the interpreter ends."""
    (folder / "bot.yaml").write_text(MESSAGES, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", MEWBOT, "bot.yaml"], cwd=folder, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == "<hello>\n"
        process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE)
        errors = process.stderr.read()
    assert code == 0, errors
    assert "Fatal Python error" not in errors
