"""``docs/tutorial.md``, done as a reader would do it: commands typed, files saved, output compared.

A shell on a terminal of its own gets the blocks in their order. A block of text is what must appear
before the next block is typed; ``…`` in it stands for anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.waiting import PATIENCE, until_sync

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
AGAIN = 0.5
"""Seconds after which a reader who sees too little runs ``ls`` or ``cat`` again."""


class Block(NamedTuple):
    kind: str
    title: str
    text: str


def blocks() -> list[Block]:
    return [Block(*match) for match in FENCE.findall(PAGE.read_text(encoding="utf-8"))]


class Terminal:
    """A shell, and all that appeared on its terminal."""

    def __init__(self, folder: Path, path: str, clone: Path = ROOT) -> None:
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        environment = {**os.environ, "PATH": path, "TMPDIR": str(folder), "TERM": "dumb"}
        if clone != ROOT:  # what is installed there is what is tested
            environment.pop("PYTHONPATH", None)
        self.shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, cwd=clone,
            env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._ours = ours
        self.seen = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while data := os.read(self._ours, 65536):
                self.seen += data.decode("utf-8", "replace").replace("\r\n", "\n")

    def type(self, text: str) -> None:
        assert self.shell.stdin is not None
        self.shell.stdin.write(text.encode() + b"\n")
        self.shell.stdin.flush()

    def save(self, name: str, text: str) -> None:
        """Save a file where the shell is, as an editor would."""
        self.type(f"cat > {shlex.quote(name)} <<'END-OF-FILE'\n{text}END-OF-FILE")

    def close(self) -> None:
        """End the shell and all that it started: its session is its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.shell.pid, signal.SIGKILL)
        assert self.shell.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.shell.stdin.close()
        self.shell.wait(PATIENCE)
        self._reader.join(PATIENCE)
        os.close(self._ours)


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """Return a PATH on which ``limpet`` is the one under test, as after its installation."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, command in (
        ("limpet", f"exec {sys.executable} -m limpet"),
        ("python3", f"exec {sys.executable}"),
    ):
        (folder / name).write_text(f'#!/bin/sh\n{command} "$@"\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def terminal(tmp_path: Path, programs: str) -> Iterator[Terminal]:
    opened = Terminal(tmp_path, programs)
    yield opened
    opened.close()


def appears(expected: str, seen: str) -> bool:
    """Return whether these lines are among those that were seen, one after the other."""
    lines = [re.escape(line).replace("…", ".*") for line in expected.rstrip("\n").split("\n")]
    return re.search(rf"^{chr(10).join(lines)}\s*$", seen, re.MULTILINE) is not None


def follow(page: list[Block], terminal: Terminal) -> None:
    """Do what the page says, block by block."""
    begin, last = 0, ""
    for block in page:
        if block.kind == "sh":
            begin, last = len(terminal.seen), block.text
            terminal.type(block.text)
        elif block.title:
            terminal.save(block.title, block.text)
        elif block.kind == "text":
            only_looks = re.fullmatch(r"(?:(?:ls|cat) .*\n)+", last) is not None
            tries = int(PATIENCE / AGAIN) if only_looks else 1
            for number in range(1, tries + 1):
                try:
                    until_sync(
                        lambda: appears(block.text, terminal.seen[begin:]),  # noqa: B023
                        lambda: f"expected:\n{block.text}\nseen:\n{terminal.seen[begin:]}",  # noqa: B023
                        patience=AGAIN if only_looks else PATIENCE,
                    )
                    break
                except AssertionError:
                    if number == tries:
                        raise
                    begin = len(terminal.seen)
                    terminal.type(last)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals to type on")
def test_the_tutorial_works_as_it_is_written(terminal: Terminal) -> None:
    """From the watch to the repaired dead letter; the installation has a test of its own."""
    page = [block for block in blocks() if block.title != "install"]
    assert len(page) > 20
    follow(page, terminal)
    terminal.type("exit")
    assert terminal.shell.wait(PATIENCE) == 0


@pytest.mark.pythons
@pytest.mark.timeout(600)
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals to type on")
def test_a_stranger_who_has_a_clone_can_do_it(tmp_path: Path, programs: str) -> None:
    """All of the page, from its first block: what it installs is enough. ``make test-pythons``."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("src", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, clone / name)
    (tmp_path / "programs" / "limpet").unlink()
    terminal = Terminal(tmp_path, programs, clone)
    try:
        install, *page = blocks()
        assert install.title == "install"
        terminal.type(f"{install.text}echo ended with $?")
        until_sync(lambda: "ended with" in terminal.seen, lambda: terminal.seen, patience=400)
        assert "ended with 0" in terminal.seen
        follow(page, terminal)
    finally:
        terminal.close()


def test_what_does_not_appear_is_noticed() -> None:
    """The comparison can fail: a line is whole, and lines follow each other."""
    assert appears("a…c\nd\n", "x\nabc\nd\n")
    assert not appears("b", "abc\n")
    assert not appears("a\nc\n", "a\nb\nc\n")
    assert not appears("done:\n", "done: 1\n")
