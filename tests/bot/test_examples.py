"""The complete example bots: the YAML by ``limpet run``, the programs as they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

import pytest
import yaml
from jsonschema import Draft202012Validator

from limpet.bot.config import schema
from tests.bot.factories import put
from tests.waiting import PATIENCE, until_sync

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "bots"


class Running:
    """A bot in a process and a directory of its own; it ends with the block."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self.log = folder / "the.log"
        self._file = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, *argv], cwd=folder, stdout=self._file, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ, "XDG_STATE_HOME": str(folder / "xdg"), "PYTHONUTF8": "1",
                "PYTHONPATH": os.pathsep.join(
                    [str(EXAMPLES), *filter(None, [os.environ.get("PYTHONPATH")])]
                ),
            },
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)
        self._file.close()

    def until(self, condition: Callable[[], object]) -> None:
        until_sync(condition, self.log.read_text)

    def until_logged(self, *words: str) -> None:
        self.until(lambda: all(word in self.log.read_text() for word in words))

    def ended(self) -> int:
        return self.process.wait(PATIENCE)


def bot(folder: Path, name: str, *more: str) -> Running:
    shutil.copy(EXAMPLES / name, folder)
    return Running(folder, "-m", "limpet", "run", name, *more)


def program(folder: Path, name: str, *argv: str) -> Running:
    return Running(folder, "-W", "error", str(EXAMPLES / name), *argv)


def has(path: Path, words: str) -> bool:
    return words in text(path)


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_audit(tmp_path: Path) -> None:
    """A line for each change, also for those while the bot was down, once."""
    directory, log = tmp_path / "audited", tmp_path / "audit" / "audit.log"
    directory.mkdir()
    with bot(tmp_path, "audit.yaml") as running:
        running.until_logged("watching")
        put(directory / "a")
        running.until(lambda: "file.created" in text(log))
        (directory / "a").rename(directory / "b")
        running.until(lambda: "file.renamed" in text(log))
    put(directory / "c")
    with bot(tmp_path, "audit.yaml") as running:
        running.until(lambda: json.dumps(str(directory / "c")) in text(log))
    assert [line.split()[1] for line in text(log).splitlines()] == [
        "file.created", "file.renamed", "file.created",
    ]  # fmt: skip


def test_case_d14_archive(tmp_path: Path) -> None:
    """D14: a file for each message and for each day, with any author's name."""
    shutil.copy(EXAMPLES / "chat.py", tmp_path)
    with bot(tmp_path, "archive.yaml", "--until-done") as running:
        assert running.ended() == 0, running.log.read_text()
    check_archive(tmp_path / "archive")


def test_archive_without_yaml(tmp_path: Path) -> None:
    """The same files."""
    with program(tmp_path, "archive.py", "archive") as running:
        assert running.ended() == 0, running.log.read_text()
        assert running.log.read_text().splitlines() == ["5 messages, 10 writes"]
    check_archive(tmp_path / "archive")


def check_archive(archive: Path) -> None:
    messages = sorted(p for p in archive.rglob("m*.txt"))
    assert len(messages) == 5
    assert (archive / "general" / "Ann" / "m0.txt").read_text() == "hello, everybody"
    days = {path.name: path.read_text() for path in (archive / "days").glob("*.log")}
    assert len(days) == 3
    assert sum(len(one.splitlines()) for one in days.values()) == 5
    assert "09:46 Ann: hello, everybody\n" in days["2026-11-25.log"]
    assert not (archive.parent.parent / "etc").exists()


def test_inbox(tmp_path: Path) -> None:
    """To done or to failed; subdirectories stay; nothing is left."""
    inbox = tmp_path / "inbox"
    (inbox / "sub").mkdir(parents=True)
    put(inbox / "early", "1\n2\n")
    put(inbox / "empty", "")
    with bot(tmp_path, "inbox.yaml") as running:
        running.until_logged("early: 2 lines")
        put(inbox / "sub" / "late; rm -rf .txt", "1\n")
        running.until(lambda: (tmp_path / "done/sub/late; rm -rf .txt").exists())
        running.until(lambda: (tmp_path / "failed/empty").exists())
    assert [path for path in inbox.rglob("*") if path.is_file()] == []
    dead_letters = list(tmp_path.glob("xdg/limpet/*/dead-letters.jsonl"))
    assert len(dead_letters[0].read_text().splitlines()) == 1


def test_inbox_without_yaml(tmp_path: Path) -> None:
    """With a custom action that raises."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    put(inbox / "good", "1\n2\n")
    put(inbox / "bad", "no line")
    with program(tmp_path, "inbox.py", "inbox") as running:
        running.until_logged("good: 2 lines")
        running.until(lambda: (tmp_path / "failed/bad").exists())
        running.until(lambda: (tmp_path / "done/good").exists())


@pytest.mark.parametrize("way", ["answer.yaml", "answer.py"])
def test_answer(tmp_path: Path, way: str) -> None:
    """D9: one answer to each question, in the same directory, and no answer to answers."""
    desk = tmp_path / "desk"
    desk.mkdir()
    with bot(tmp_path, way) if way.endswith("yaml") else program(tmp_path, way, "desk") as running:
        running.until_logged("watching")
        number = 0

        def begun() -> bool:  # the program prints it a moment before it starts
            put(desk / "first", str(time.monotonic()))
            return (desk / "answer to first.txt").exists()

        running.until(begun)
        for number in range(5):
            put(desk / f"question {number}.md", f"why {number}")
            running.until((desk / f"answer to question {number}.txt").exists)
        put(desk / "last", "x")
        running.until((desk / "answer to last.txt").exists)
    assert "why 3" in (desk / "answer to question 3.txt").read_text()
    assert len(list(desk.iterdir())) == 14


def test_desktop(tmp_path: Path) -> None:
    """B2: two FileSystems, each with its own output."""
    for name in ("downloads", "scratch"):
        (tmp_path / name).mkdir()
    with bot(tmp_path, "desktop.yaml") as running:
        running.until_logged("downloads: watching", "scratch: watching")
        put(tmp_path / "downloads" / "film.mkv", "12345")
        put(tmp_path / "scratch" / "draft", "text")
        running.until(lambda: text(tmp_path / "kept" / "draft") == "text")
        running.until(lambda: text(tmp_path / "notes/downloads.md") == "- film.mkv, 5 bytes\n")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == [
        "downloads", "kept", "notes", "scratch", "xdg",
    ]  # fmt: skip


def test_desktop_without_yaml(tmp_path: Path) -> None:
    """B1: the second path is set while the bot runs."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    notes = tmp_path / "notes" / "notes.md"
    with program(tmp_path, "desktop.py", "one", "two", "notes") as running:
        running.until_logged("watching")
        number = 0

        def more() -> bool:
            nonlocal number
            number += 1
            for name in ("one", "two"):
                put(tmp_path / name / f"f{number}")
            return "- first: f" in text(notes) and "- second: f" in text(notes)

        running.until(more)


def test_log(tmp_path: Path) -> None:
    """Errors, across the log's rotation."""
    log, alerts = tmp_path / "app.log", tmp_path / "alerts" / "alerts.log"
    log.touch()
    with bot(tmp_path, "log.yaml") as running:
        running.until_logged("watching")
        for number in range(3):
            with log.open("a") as file:
                file.write(f"ERROR {number}\n")
            running.until(partial(has, alerts, f"ERROR {number}"))
            log.rename(tmp_path / f"app.log.{number}")
            log.touch()
    assert text(alerts) == "ERROR 0\nERROR 1\nERROR 2\n"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_schema_takes_every_example(path: Path) -> None:
    """So that an editor reports no false error."""
    validator = Draft202012Validator(schema())
    for document in yaml.safe_load_all(path.read_text()):
        assert validator.is_valid(document), list(validator.iter_errors(document))


def test_every_example_is_run() -> None:
    """A new example needs a test here; ``in_python.py`` has one with packages blocked."""
    here = Path(__file__)
    source = "".join(
        path.read_text(encoding="utf-8") for path in (here, here.with_name("test_in_python.py"))
    )
    names = [path.name for path in EXAMPLES.iterdir() if path.suffix in {".py", ".yaml"}]
    assert [name for name in names if f'"{name}"' not in source] == []


def test_audit_without_yaml(tmp_path: Path) -> None:
    """B5: it runs unchanged; its directory is created later."""
    with program(tmp_path, "audit.py", "in", "logs") as running:
        running.until_logged("watching")
        (tmp_path / "in").mkdir()
        number = 0

        def more() -> bool:
            nonlocal number
            number += 1
            put(tmp_path / "in" / f"f{number}")
            return "file.created" in text(tmp_path / "logs" / "audit.log")

        running.until(more)
