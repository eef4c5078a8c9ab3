"""Records that never mix, rotation that touches nobody else's files."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import limpet
from limpet.output import AppendToFile, Output, Rotation
from tests.output.system_calls import SystemCalls

Open = Callable[..., Output]

DAY = 86_400.0


class Clock(SystemCalls):
    """A system whose clock the test sets, and whose files are as old as it says."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = at
        self.waited = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.waited

    def pause(self, seconds: float) -> None:
        self.waited += seconds

    def write(self, fd: int, data: bytes | memoryview) -> int:
        count = super().write(fd, data)
        os.utime(fd, (self.at, self.at))
        return count


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".limpet-"))


WRITER = """
import sys
from limpet.output import AppendToFile, Output
root, who, count, lock = sys.argv[1:]
def text(n):
    return f"{who} {n} " + "x" * (n % 300) + "\\n"
with Output(root) as out:
    for first in range(0, int(count), 10):
        out.perform_all([
            AppendToFile(name="log", content=text(n), lock=lock == "lock")
            for n in range(first, first + 10)
        ])
"""


@pytest.mark.parametrize("lock", ["lock", "free"])
def test_records_of_many_writers_never_mix(root: Path, lock: str) -> None:
    """V45: ten threads here and four processes, 1,000 records each; every one there, and whole."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), f"p{n}", "1000", lock], env=environment
        )
        for n in range(4)
    ]
    with Output(root) as out:

        def write(who: str) -> None:
            for n in range(1000):
                text = f"{who} {n} " + "x" * (n % 300) + "\n"
                out.append("log", text, lock=lock == "lock")

        threads = [threading.Thread(target=write, args=(f"t{n}",)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [process.wait(60) for process in processes] == [0] * 4
    seen: dict[str, int] = {}
    for line in (root / "log").read_text().splitlines():
        who, number, rest = line.split(" ")
        assert int(number) == seen.get(who, -1) + 1  # each one's in its order
        assert rest == "x" * (int(number) % 300)
        seen[who] = int(number)
    assert seen == dict.fromkeys([*(f"p{n}" for n in range(4)), *(f"t{n}" for n in range(10))], 999)


@pytest.mark.parametrize(
    ("old", "added", "found"),
    [
        (None, "x\n", "x\n"),
        ("", "x\n", "x\n"),
        ("a\n", "x\n", "a\nx\n"),
        ("cut", "x\n", "cut\nx\n"),
        ("a\ncut", "x", "a\ncut\nx"),
    ],
)
def test_a_missing_line_end_is_put_right(
    out: Output, root: Path, old: str | None, added: str, found: str
) -> None:
    if old is not None:
        (root / "log").write_text(old)
    out.append("log", added, newline_guard=True)
    assert (root / "log").read_text() == found
    (root / "dos").write_bytes(b"cut")
    out.append("dos", "x\n", newline_guard=True, newline="\r\n")
    assert (root / "dos").read_bytes() == b"cut\r\nx\r\n"


def test_a_lock_is_waited_for_and_given_up(root: Path) -> None:
    """``busy`` after ``lock_timeout`` seconds by the clock; free again, it goes on."""
    clock = Clock(0)
    with Output(root, calls=clock, lock_timeout=3) as out, (root / "log").open("w") as other:
        import fcntl

        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(limpet.BusyError, match="3 seconds"):
            out.append("log", "x", lock=True)
        assert 3 <= clock.waited < 4
        assert (root / "log").read_text() == ""
        fcntl.flock(other, fcntl.LOCK_UN)
        out.append("log", "x", lock=True)
    assert (root / "log").read_text() == "x"


def test_a_file_that_goes_between_opening_and_writing(root: Path) -> None:
    """V46: removed or put aside by somebody else, the record is in the file that stands there."""

    class Raced(SystemCalls):
        goes: Callable[[], object] | None = None

        def open_file(self, folder: int, name: str, flags: int, mode: int = 0o666) -> int:
            fd = super().open_file(folder, name, flags, mode)
            if name == "log" and self.goes is not None:
                act, self.goes = self.goes, None
                act()
            return fd

    calls = Raced()
    with Output(root, calls=calls) as out:
        (root / "log").write_text("old")
        calls.goes = (root / "log").unlink
        out.append("log", "one")
        assert (root / "log").read_text() == "one"
        calls.goes = lambda: (root / "log").rename(root / "log.old")
        out.append("log", "two", lock=True)
        assert (root / "log").read_text() == "two"
        assert (root / "log.old").read_text() == "one"


def test_a_file_removed_within_a_batch(root: Path) -> None:
    """V46: what is open for the batch is noticed to be gone; no record is lost with it."""

    class Raced(SystemCalls):
        writes = 0

        def write(self, fd: int, data: bytes | memoryview) -> int:
            self.writes += 1
            if self.writes == 2:
                (root / "log").unlink()
            return super().write(fd, data)

    with Output(root, calls=Raced()) as out:
        answers = out.perform_all([AppendToFile(name="log", content=c) for c in "abc"])
    assert all(answer.ok for answer in answers)
    assert (root / "log").read_text() == "bc"


@given(steps=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.text("xyz\n", max_size=5))))
def test_a_batch_is_the_same_as_one_by_one(
    steps: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Per name the order of the calls, whatever is opened once for many."""
    root = tmp_path_factory.mktemp("root")
    with Output(root) as out:
        out.perform_all([AppendToFile(name=name, content=text) for name, text in steps])
    expected: dict[str, str] = {}
    for name, text in steps:
        expected[name] = expected.get(name, "") + text
    assert {path.name: path.read_text() for path in root.iterdir()} == expected


# -- rotation --------------------------------------------------------------------------------------


def test_by_size(out: Output, root: Path) -> None:
    """Before the record that would be too much; the highest number is the newest."""
    rotation = Rotation(max_bytes=10)
    for text in ("12345", "12345", "abc", "x" * 30, "y"):
        out.append("log", text, rotation=rotation)
    assert {n: (root / n).read_text() for n in names(root)} == {
        "log.1": "1234512345",
        "log.2": "abc",
        "log.3": "x" * 30,
        "log": "y",
    }


def test_by_day(root: Path) -> None:
    """V55: by the UTC day of the last change; a clock that is set back makes no new day."""
    clock = Clock(100 * DAY + 10)
    rotation = Rotation(daily=True)
    with Output(root, calls=clock) as out:
        for at, text in (
            (100 * DAY + 10, "a"),
            (101 * DAY - 10, "b"),
            (101 * DAY + 10, "c"),
            (100 * DAY, "back"),
            (99 * DAY, "back"),
            (103 * DAY, "d"),
        ):
            clock.at = at
            out.append("log", text, rotation=rotation)
    assert {n: (root / n).read_text() for n in names(root)} == {
        "log.1": "ab",
        "log.2": "cback",
        "log.3": "back",
        "log": "d",
    } or {n: (root / n).read_text() for n in names(root)} == {
        "log.1": "ab",
        "log.2": "cbackback",
        "log": "d",
    }


def test_packed(out: Output, root: Path) -> None:
    rotation = Rotation(max_bytes=5, compress=True)
    for text in ("12345", "abcde", "x"):
        out.append("d/log", text, rotation=rotation)
    assert names(root / "d") == ["log", "log.1.gz", "log.2.gz"]
    assert gzip.decompress((root / "d/log.1.gz").read_bytes()) == b"12345"
    assert gzip.decompress((root / "d/log.2.gz").read_bytes()) == b"abcde"


@pytest.mark.parametrize("compress", [False, True])
def test_no_more_are_kept_than_asked_for(out: Output, root: Path, compress: bool) -> None:
    rotation = Rotation(max_bytes=5, keep=2, compress=compress)
    for text in ("one__", "two__", "three", "four_", "five_"):
        out.append("log", text, rotation=rotation)
    end = ".gz" if compress else ""
    assert names(root) == ["log", f"log.3{end}", f"log.4{end}"]


def test_no_older_and_no_more_bytes_than_asked_for(root: Path) -> None:
    clock = Clock(100 * DAY)
    with Output(root, calls=clock) as out:
        for day in range(5):
            clock.at = (100 + day) * DAY
            out.append("log", "12345", rotation=Rotation(max_bytes=5, max_age=1.5 * DAY))
        assert names(root) == ["log", "log.3", "log.4"]
        for _ in range(3):
            out.append("log", "12345", rotation=Rotation(max_bytes=5, max_total_bytes=10))
        assert names(root) == ["log", "log.6", "log.7"]


def test_others_files_are_never_touched(out: Output, root: Path) -> None:
    """V56, V58: neither overwritten nor removed, whatever they are called or were."""
    (root / "log.1").write_text("theirs")
    (root / "log.2.gz").write_text("theirs")
    (root / "log.x").write_text("theirs")
    (root / "log.7").mkdir()
    rotation = Rotation(max_bytes=5, keep=1)
    for text in ("a" * 5, "b" * 5, "c" * 5):
        out.append("log", text, rotation=rotation)
    assert names(root) == ["log", "log.1", "log.2.gz", "log.7", "log.9", "log.x"]
    (root / "log.9").write_text("changed")
    for text in ("d" * 5, "e" * 5):
        out.append("log", text, rotation=rotation)
    assert (root / "log.9").read_text() == "changed"
    assert names(root) == ["log", "log.1", "log.11", "log.2.gz", "log.7", "log.9", "log.x"]
    assert (root / "log.1").read_text() == "theirs"


def test_a_number_that_is_taken_meanwhile(root: Path) -> None:
    """V56: the next one is used, and nothing is replaced."""

    class Raced(SystemCalls):
        def rename_new(self, folder: int, name: str, to: int, new: str) -> None:
            if new in {"log.1", "log.2"} and not (root / new).exists():
                (root / new).write_text("theirs")
            super().rename_new(folder, name, to, new)

    with Output(root, calls=Raced()) as out:
        for text in ("12345", "abcde"):
            out.append("log", text, rotation=Rotation(max_bytes=5, keep=5))
    assert {n: (root / n).read_text() for n in names(root)} == {
        "log.1": "theirs",
        "log.2": "theirs",
        "log.3": "12345",
        "log": "abcde",
    }


@pytest.mark.parametrize(
    "note",
    [
        "not json",
        "[]",
        "{}",
        "[1]",
        json.dumps(
            [{"name": "../x", "inode": 1, "size": 1, "mtime_ns": 1, "since": 1, "packs": ""}]
        ),
        json.dumps(
            [{"name": "other", "inode": 1, "size": 1, "mtime_ns": 1, "since": 1, "packs": ""}]
        ),
        json.dumps(
            [{"name": "log.1", "inode": "a", "size": 1, "mtime_ns": 1, "since": 1, "packs": ""}]
        ),
    ],
)
def test_a_note_that_is_not_ours_lists_nothing(out: Output, root: Path, note: str) -> None:
    """V58: what somebody wrote into it makes nothing outside its file's own names a target."""
    (root / "other").write_text("theirs")
    (root / ".limpet-rotation.log").write_text(note)
    for text in ("12345", "abcde", "x"):
        out.append("log", text, rotation=Rotation(max_bytes=5, keep=1))
    assert names(root) == ["log", "log.2", "other"]


def test_a_note_may_be_anything(out: Output, root: Path, tmp_path: Path) -> None:
    """V58: a symlink or FIFO in its place is neither followed nor waited for."""
    (tmp_path / "outside").write_text("[]")
    (root / ".limpet-rotation.log").symlink_to(tmp_path / "outside")
    os.mkfifo(root / ".limpet-rotation.fifo")
    for name in ("log", "fifo"):
        for text in ("12345", "abcde"):
            out.append(name, text, rotation=Rotation(max_bytes=5))
    assert (tmp_path / "outside").read_text() == "[]"
    assert names(root) == ["fifo", "fifo.1", "log", "log.1"]


def test_many_processes_rotate_one_file(root: Path) -> None:
    """Every record is somewhere, once and whole, in order."""
    program = """
import sys
from limpet.output import Output, Rotation
root, who = sys.argv[1:]
with Output(root) as out:
    for n in range(300):
        out.append("log", f"{who} {n}\\n", rotation=Rotation(max_bytes=500))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(root), f"p{n}"], env=environment)
        for n in range(3)
    ]
    assert [process.wait(100) for process in started] == [0, 0, 0]
    files = sorted(names(root), key=lambda name: int(name[4:] or 10**9))
    lines = "".join((root / name).read_text() for name in files).splitlines()
    for who in ("p0", "p1", "p2"):
        assert [line for line in lines if line.startswith(who)] == [
            f"{who} {n}" for n in range(300)
        ]
    assert all((root / name).stat().st_size <= 500 for name in files)


def test_the_clock_of_the_real_system_is_used(root: Path) -> None:
    """Nothing is put aside on the day it was written."""
    with Output(root) as out:
        out.append("log", "a", rotation=Rotation(daily=True))
        out.append("log", "b", rotation=Rotation(daily=True))
        old = time.time() - 3 * DAY
        os.utime(root / "log", (old, old))
        out.append("log", "c", rotation=Rotation(daily=True))
    assert (root / "log").read_text() == "c"
