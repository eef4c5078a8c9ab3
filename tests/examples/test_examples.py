"""Each example is a whole program, and runs as a reader would run it."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.waiting import until_sync

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

PATIENCE = 30.0
"""Seconds a line may take; reached only by a failing test."""


class Program:
    """An example that runs, and the lines it prints."""

    def __init__(self, name: str, *arguments: object) -> None:
        """Start it and wait for its first line, which says that it watches."""
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUTF8": "1"},
        )
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.first = self.line()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put("(the program ended)")

    def line(self) -> str:
        """Give the next line it prints."""
        try:
            return self._lines.get(timeout=PATIENCE)
        except Empty:
            return "(nothing came)"

    def stop(self) -> None:
        """End it, if it has not ended by itself."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def running(name: str, *arguments: object) -> Iterator[Program]:
    """Run an example, and end it after the block."""
    program = Program(name, *arguments)
    try:
        assert program.first.startswith(("watching", "waiting"))
        yield program
    finally:
        program.stop()


def test_the_demo_ends_by_itself_and_misses_nothing() -> None:
    """It says so itself, by its exit code."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "demo.py")],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MISSING" not in done.stdout
    assert "TargetDirCreated" in done.stdout
    assert done.stderr == ""


def test_the_folder_example_tells_of_its_folder_and_what_is_in_it(folder: Path) -> None:
    """Also of the folder's coming, for it need not be there at the start."""
    target = folder / "later"
    with running("watch_folder.py", target) as program:
        target.mkdir()
        assert program.line() == "the folder itself: TargetDirCreated"
        (target / "a").write_text("text")
        assert program.line() == f"FileCreated: {target / 'a'}"
        (target / "a").rename(target / "b")
        assert program.line() == f"{target / 'a'} is now {target / 'b'}"


def test_the_file_example_takes_over_each_content_once(folder: Path) -> None:
    """Written in place or replaced, wrong or right, gone or back."""
    settings = folder / "settings.json"
    settings.write_text('{"level": 1}')
    new = folder / "new"
    with running("watch_file.py", settings) as program:
        assert program.line() == "settings: {'level': 1}"
        new.write_text('{"level": 2}')
        new.replace(settings)
        assert program.line() == "settings: {'level': 2}"
        settings.write_text("{")
        assert program.line().startswith("not applied")
        settings.unlink()
        assert program.line() == "the file is gone; the last settings stay"
        settings.write_text('{"level": 3}')
        assert program.line() == "settings: {'level': 3}"


def test_the_inbox_takes_what_is_there_and_what_comes(folder: Path) -> None:
    """Each file once, complete, and then it is in the other folder; what fails has a note."""
    inbox, done, failed = folder / "inbox", folder / "done", folder / "failed"
    inbox.mkdir()
    (inbox / "early").write_text("1\n2\n")
    with running("inbox.py", inbox, done, failed, 0.2) as program:
        assert program.line() == "early: 2 lines"
        with (inbox / "late").open("w") as file:
            file.writelines(f"{number}\n" for number in range(5))
        assert program.line() == "late: 5 lines"
        (inbox / "bad").touch()
        until_sync(lambda: not list(inbox.iterdir()))
    assert sorted(path.name for path in done.iterdir()) == ["early", "late"]
    assert "has no lines" in (failed / "bad.error.txt").read_text()


def test_the_script_ends_when_the_file_is_there(folder: Path) -> None:
    """With exit code 0, and what it found."""
    with running("sync_script.py", folder / "report", 60) as program:
        (folder / "report").write_text("text")
        assert program.line() == "there: 4 bytes"
        assert program.process.wait(PATIENCE) == 0


def test_the_script_gives_up_in_time(folder: Path) -> None:
    """With exit code 1, and a message."""
    with running("sync_script.py", folder / "report", 0.2) as program:
        assert program.line() == "not there after 0.2 seconds"
        assert program.process.wait(PATIENCE) == 1


def test_the_message_page_does_what_it_says(folder: Path) -> None:
    """O6: its program runs as it stands there, and leaves the files that it lists."""
    page = (EXAMPLES.parent / "docs/how-to/message-on-disk.md").read_text(encoding="utf-8")
    _, (_, program), (_, listed) = re.findall(
        r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE
    )
    (folder / "archive.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(folder / "archive.py"), str(folder / "archive")],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    (said,) = done.stdout.splitlines()
    (line,) = re.findall(r"prints `(not written.*?)`", page, re.DOTALL)
    start, end = re.split(r" in \.\.\.: ", line)
    assert said.startswith(start)
    assert said.endswith(end.replace("\n", " "))
    found = [path for path in (folder / "archive").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(folder).as_posix() for path in found) == listed.split()
    assert (folder / "archive/ann/hello.txt").read_text() == "Hello, world\n"


def test_every_example_is_run_by_a_test() -> None:
    """A new one needs a test here."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [p.name for p in EXAMPLES.glob("*.py") if f'"{p.name}"' not in text] == []
