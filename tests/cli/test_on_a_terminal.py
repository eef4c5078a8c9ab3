"""The program on a terminal: a pseudo-terminal of a known size stands in for a window."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until_sync

CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Screen:
    """What a program has written to its terminal so far."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self._terminal = terminal
        self.raw = ""

    @property
    def text(self) -> str:
        """Without the codes for colours and the like."""
        return CODES.sub("", self.raw)

    def send(self, keys: str) -> None:
        """Press keys."""
        os.write(self._terminal, keys.encode())

    def until(self, text: str) -> None:
        until_sync(lambda: text in self.text, lambda: f"{text!r} is not in {self.raw!r}")


@contextmanager
def on_terminal(
    *argv: str, columns: int = 80, folder: Path, program: str = "", **environment: str
) -> Iterator[Screen]:
    """Run ``limpet`` on a terminal of its own; it is ended with the block."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    plain = {key: value for key, value in os.environ.items() if "COLOR" not in key}
    process = subprocess.Popen(
        [sys.executable, *(["-c", program] if program else ["-m", "limpet"]), *argv],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=plain | {"TERM": "xterm-256color"} | environment,
    )
    os.close(theirs)
    screen = Screen(process, ours)

    def read() -> None:
        with suppress(OSError):  # EIO: nobody has the other end any more
            while data := os.read(ours, 4096):
                screen.raw += data.decode("utf-8", "replace").replace("\r\n", "\n")

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield screen
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)
        thread.join(60)
        os.close(ours)


@pytest.mark.parametrize("columns", [80, 120])
def test_lines_fit_the_terminal(tmp_path: Path, columns: int) -> None:
    """A deep path loses its middle, its name stays; the root is shown as it was typed."""
    deep = "/".join(["folder"] * 20)
    (tmp_path / "src" / deep).mkdir(parents=True)
    argv = ("watch", "src", "--only", "file.created,file.renamed")
    with on_terminal(*argv, columns=columns, folder=tmp_path) as screen:
        screen.until("watch.ready")
        (tmp_path / "src" / "short").write_text("x")
        screen.until("src/short")
        (tmp_path / "src" / deep / "report.txt").write_text("x")
        screen.until("report.txt")
        os.rename(tmp_path / "src" / deep / "report.txt", tmp_path / "src" / deep / "final.txt")
        screen.until("final.txt")
        lines = screen.text.splitlines()[1:]
        assert all(len(line) <= columns for line in lines), lines
        assert "src/…" in "".join(lines) or "…" in "".join(lines)


def test_the_screen_is_cleared(tmp_path: Path) -> None:
    """Before each run, on a terminal; what is not one gets nothing of it."""
    (tmp_path / "src").mkdir()
    argv = ("watch", "src", "-b", "--on-start", "-c", "--exec", "echo", "run of", "{}")
    with on_terminal(*argv, folder=tmp_path) as screen:
        screen.until("run of src\n")
        (tmp_path / "src" / "a").write_text("x")
        screen.until("run of src/a\n")
        before = screen.raw.partition("run of src/a")[0].partition("run of src\n")[2]
        assert "\x1b[2J\x1b[H" in before
    piped: Any = subprocess.run(
        [sys.executable, "-m", "limpet", *argv[:2], "-t", "0.1", *argv[2:]],
        cwd=tmp_path,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert piped.returncode == 124
    assert piped.stdout == b"run of src\n"


LISTING = """
import sys
import threading
from limpet.cli import main
from limpet.cli import _progress
from limpet.watching._watcher import Watcher
_progress.progress.__wrapped__.__kwdefaults__["after"] = 0.0
start, shown = Watcher.start, threading.Event()
def slow(self):
    start(self)
    shown.wait(20)
Watcher.start = slow
write = _progress.stream_sink
def sink(stream):
    inner = write(stream)
    def writing(data):
        inner(data)
        if b"3 entries" in data:
            shown.set()
    return writing
_progress.stream_sink = sink
sys.exit(main(sys.argv[1:]))
"""
"""Lists for so long that its progress is seen."""


@pytest.mark.parametrize("quiet", [False, True])
def test_a_long_listing_shows_how_far_it_is(tmp_path: Path, quiet: bool) -> None:
    """The line is erased before the ready line; ``-q`` has none."""
    (tmp_path / "src").mkdir()
    for name in "abc":
        (tmp_path / "src" / name).touch()
    program = LISTING.replace("wait(20)", "wait(0)") if quiet else LISTING
    argv = ("watch", "src", "--count", "1", *(["-q"] if quiet else []))
    with on_terminal(*argv, folder=tmp_path, program=program) as screen:
        if quiet:
            until_sync(lambda: touched(tmp_path / "src" / "d") and "src/d" in screen.text)
            assert "listing" not in screen.text
            return
        screen.until("watch.ready")
        before, _, _ = screen.raw.partition("watch.ready")
        assert "\r\x1b[Klimpet: listing src: 3 entries" in before
        assert before.rpartition("entries")[2].startswith("\r\x1b[K")


def touched(path: Path) -> bool:
    path.touch()
    return True
