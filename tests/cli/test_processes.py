"""The whole program, as a process, over the real engine and a real disk."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
from jsonschema import Draft202012Validator

from limpet._wire import schema
from tests.waiting import until_sync

SCHEMA = Draft202012Validator(schema())
LATIN = "caf\udce9\n.txt"


class Program:
    """``limpet watch`` in a process of its own; it is ended with the block."""

    def __init__(self, *argv: str | Path, **more: Any) -> None:
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", "limpet", "watch", *map(str, argv)],
            stdin=subprocess.DEVNULL,
            **given,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def line(self) -> bytes:
        """The next line of its standard output; what pytest's timeout is for is waiting for it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def wire(self) -> dict[str, Any]:
        """The next line as an object, checked against the schema unless it is the first."""
        line = self.line()
        assert line, self.error()
        wire: dict[str, Any] = json.loads(line)
        if wire["type"] != "watch.ready":
            SCHEMA.validate(wire)
        return wire

    def until(self, kind: str, rel: str | None = None) -> dict[str, Any]:
        """The next event of that type (and name); those before it are passed over."""
        while True:
            wire = self.wire()
            if wire["type"] == kind and rel in {None, wire.get("rel")}:
                return wire

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def error(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    return tree


def test_events_come_as_json_lines(tree: Path, backend: str) -> None:
    """On every backend: ready, then what happened, with names that are no text kept exactly."""
    argv = (tree, "--format", "jsonl", "--backend", backend, "--poll-interval", "0.02")
    with Program(*argv, "--content", "r") as limpet:
        ready = limpet.wire()
        assert (ready["type"], ready["root"]) == ("watch.ready", str(tree))
        assert ready["backend"] == backend
        (tree / LATIN).write_text("text")
        made = limpet.until("file.created")
        assert made["session"] == ready["session"]
        assert made["rel"] == "caf\ufffd\n.txt"
        assert made["rel_b64"] == "Y2Fm6QoudHh0"
        # Polling pairs the names of a file that it has scanned when that was 20 ms old.
        while (born := made["stat"]["birthtime_us"]) and made["observed_us"] - born < 40_000:
            (tree / LATIN).write_text("text")
            made = limpet.until("file.updated")
        while made["content"].get("text") != "text":
            made = limpet.until("file.updated")
        os.rename(tree / LATIN, tree / "b")
        moved = limpet.until("file.renamed", "b")
        assert moved["old_rel_b64"] == "Y2Fm6QoudHh0"
        (tree / "d" / "e").mkdir(parents=True)
        limpet.until("dir.created", "d/e")
        (tree / "b").unlink()
        gone = limpet.until("file.deleted", "b")
        assert gone["stat"] is None
        assert gone["last_known"]["size"] == 4
        assert limpet.end() == 143
        assert limpet.error() == ""


def test_the_target_may_come_later_and_go(tmp_path: Path) -> None:
    """A declared folder is waited for; its end has a reason, and it is waited for again."""
    place = tmp_path / "a" / "b"
    with Program(place, "--dir", "--format", "jsonl") as limpet:
        assert limpet.wire()["root"] == str(place)
        for _ in range(2):
            place.mkdir(parents=True)
            (place / "f").touch()
            made = limpet.until("dir.created", ".")
            assert made["scope"] == "target"
            limpet.until("file.created", "f")
            (place / "f").unlink()
            place.rmdir()
            place.parent.rmdir()
            gone = limpet.until("dir.deleted", ".")
            assert gone["reason"] in {"deleted", "ancestor"}


def test_a_file_and_a_folder_side_by_side(tree: Path) -> None:
    """Each is watched as what is there; both share the output; one ready line each."""
    file = tree / "f"
    file.touch()
    (tree / "d").mkdir()
    with Program(file, tree / "d", "--format", "jsonl") as limpet:
        assert [limpet.wire()["kind"], limpet.wire()["kind"]] == ["file", "dir"]
        file.write_text("x")
        assert limpet.until("file.updated")["scope"] == "target"
        (tree / "d" / "g").touch()
        assert limpet.until("file.created")["root"] == str(tree / "d")


def test_a_finished_folder(tree: Path, tmp_path: Path) -> None:
    """``--settle-dir`` with ``--only``: a line for a folder that was copied in; not for a file."""
    argv = ("--settle-dir", "0.1", "--only", "dir.settled", "--format", "jsonl")
    with Program(tree, *argv) as limpet:
        assert limpet.wire()["type"] == "watch.ready"
        (tree / "new" / "below").mkdir(parents=True)
        found = limpet.wire()
        assert (found["type"], found["rel"], found["entry"]) == ("dir.settled", "new", "dir")
        assert limpet.end() == 143
    (tmp_path / "f").touch()
    with Program(tmp_path / "f", *argv) as limpet:
        assert limpet.process.wait(60) == 2
        assert "settle_dir is for folders" in limpet.error()


def test_several_paths_have_one_stream(tmp_path: Path) -> None:
    """A rename from one into another is one event; a path inside another is reported by itself."""
    a, b, log = tmp_path / "a", tmp_path / "b", tmp_path / "b" / "c.log"
    a.mkdir()
    b.mkdir()
    log.touch()
    argv = (a, b, log, "--format", "jsonl", "--settle-dir", "0.1", "--stats")
    with Program(*argv) as limpet:
        ready = [limpet.wire() for _ in range(3)]
        assert [(one["root"], one["kind"]) for one in ready] == [
            (str(a), "dir"),
            (str(b), "dir"),
            (str(log), "file"),
        ]
        (a / "x").touch()
        first = limpet.until("file.created", "x")
        os.rename(a / "x", b / "y")
        moved = limpet.until("file.renamed")
        assert (moved["path"], moved["old_path"]) == (str(b / "y"), str(a / "x"))
        assert (moved["root"], first["root"]) == (str(b), str(a))
        assert moved["move"] == "in"
        assert "old_rel" not in moved
        log.write_text("x")
        written = limpet.until("file.updated")
        assert (written["root"], written["scope"]) == (str(log), "target")
        assert {one["session"] for one in (*ready, first, moved, written)} == {ready[0]["session"]}
        assert limpet.end() == 143
        roots = [json.loads(line)["root"] for line in limpet.error().splitlines()]
        assert roots == [str(a), str(b), str(log)]


def test_a_rename_between_paths_is_shown_as_they_were_typed(tmp_path: Path) -> None:
    """Both names; the same path twice is a wrong call."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x").touch()
    with Program("a", "b/", "--only", "file.renamed", cwd=tmp_path) as limpet:
        assert [limpet.line().split(b"\t")[2] for _ in "ab"] == [
            os.fsencode(tmp_path / name) for name in "ab"
        ]
        os.rename(tmp_path / "a" / "x", tmp_path / "b" / "y")
        assert limpet.line().split(b"\t")[1:] == [b"file.renamed", b"b/y", b"from=a/x\n"]
    with Program("a", "./a", cwd=tmp_path) as twice:
        assert twice.process.wait(60) == 2
        assert "given twice" in twice.error()


def test_text_in_a_pipe(tree: Path) -> None:
    """Columns without colours, flushed as they happen; a name breaks no line."""
    with Program(tree) as limpet:
        assert limpet.line().split(b"\t")[1:3] == [b"watch.ready", os.fsencode(tree)]
        (tree / LATIN).touch()
        line = limpet.line()
        assert line.split(b"\t")[1:3] == [b"file.created", os.fsencode(tree) + rb"/caf\xe9\n.txt"]
        assert b"\x1b" not in line


def test_paths_for_xargs(tree: Path) -> None:
    """Bytes and NULs; ready is on standard error."""
    with Program(tree, "--format", "paths0", "--count", "1") as limpet:
        assert limpet.process.stderr is not None
        ready = limpet.process.stderr.readline().decode()
        assert ready.startswith(f"limpet: watch.ready {tree} (")
        (tree / LATIN).touch()
        assert limpet.process.stdout is not None
        assert limpet.process.stdout.read() == os.fsencode(tree / LATIN) + b"\0"
        assert limpet.process.wait(60) == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_without_a_message(number: int, code: int, tree: Path) -> None:
    """No traceback; the code that a shell has for that signal."""
    with Program(tree) as limpet:
        limpet.line()
        assert limpet.end(number) == code
        assert limpet.error() == ""


def test_a_signal_ends_it_also_when_nobody_reads(tree: Path) -> None:
    """Standard output is full and stays so; it still comes to its end."""
    with Program(tree, "--format", "jsonl", "--existing") as limpet:
        limpet.line()
        assert limpet.process.stdout is not None
        # 300 lines of more than 1 KiB cannot pass: of 64 KiB at least half is taken by whole lines
        # when the next one has to wait (pipe(7): lines of this size are not cut).
        for number in range(300):
            (tree / f"{number:0200}").touch()
        until_sync(partial(holds, limpet.process.stdout.fileno(), 1 << 15))
        assert limpet.end() == 143


def holds(pipe: int, least: int) -> bool:
    """Return whether at least this number of bytes waits in a pipe."""
    waiting = fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(waiting, sys.byteorder) >= least


def test_a_reader_that_has_enough(tree: Path) -> None:
    """``limpet watch d | head -1`` ends at once, with 0 and without a message."""
    with Program(tree) as limpet:
        limpet.line()
        assert limpet.process.stdout is not None
        limpet.process.stdout.close()
        assert limpet.process.wait(60) == 0
        assert limpet.error() == ""


def test_nothing_is_lost_to_a_slow_reader(tree: Path) -> None:
    """Thousands of names against a reader that sleeps: in the end each was created, once."""
    count = 3000
    with Program(tree, "--format", "jsonl") as limpet:
        limpet.line()
        for number in range(count):
            (tree / f"{number:0100}").touch()
        seen = [limpet.until("file.created")["rel"] for _ in range(count)]
        assert sorted(seen) == [f"{number:0100}" for number in range(count)]


def test_no_standard_output(tree: Path) -> None:
    """A message, not a traceback."""
    argv = [sys.executable, "-m", "limpet", "watch", str(tree)]
    shell = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *argv], stderr=subprocess.PIPE, timeout=60
    )
    assert shell.returncode == 1
    assert shell.stderr == b"limpet: cannot write to standard output: it is closed\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk(tree: Path) -> None:
    """Standard output cannot be written: 1, and why."""
    with open("/dev/full", "wb") as full, Program(tree, stdout=full) as limpet:
        assert limpet.process.wait(60) == 1
        assert limpet.error() == (
            "limpet: cannot write to standard output: No space left on device\n"
        )


def test_output_inside_the_watched_folder_is_no_event(tree: Path) -> None:
    """``limpet watch . > log``: the lines about other files, none about the log."""
    log = tree / "log"
    with log.open("wb") as out, Program(tree, "--format", "jsonl", stdout=out) as limpet:
        until_sync(lambda: b"watch.ready" in log.read_bytes())
        for line in (b'"rel":"a"', b'"rel":"b"', b'"rel":"c"'):
            (tree / line[7:8].decode()).touch()
            until_sync(partial(contains, log, line))
        assert limpet.end() == 143
    assert b'"rel":"log"' not in log.read_bytes()


def test_count_and_state_lose_nothing(tree: Path, tmp_path: Path) -> None:
    """Events after the last one counted are reported at the next start, and none twice."""
    argv = (tree, "--format", "jsonl", "--state", tmp_path / "state", "--count", "2")
    with Program(*argv) as limpet:
        limpet.line()
        for name in "abc":
            (tree / name).touch()
        first = [limpet.wire()["rel"], limpet.wire()["rel"]]
        assert limpet.process.wait(60) == 0
    (tree / "d").touch()
    with Program(*argv) as limpet:
        limpet.line()
        second = [limpet.wire()["rel"], limpet.wire()["rel"]]
        assert limpet.process.wait(60) == 0
    assert sorted(first + second) == list("abcd")


def test_exec_runs_for_each_event(tree: Path, tmp_path: Path) -> None:
    """Everything after ``--exec`` is the command; its output is on our standard output."""
    code = (
        "import json, os, sys; wire = json.load(sys.stdin); "
        "print(sys.argv[1:], wire['rel'], os.environ['LIMPET_EVENT_TYPE'])"
    )
    argv = (tree, "--count", "2", "--only", "file.created", "--exec", sys.executable, "-c", code)
    with Program(*argv, "--count", "9") as limpet:
        assert limpet.process.stderr is not None
        limpet.process.stderr.readline()
        (tree / "a").touch()
        assert limpet.line() == b"['--count', '9'] a file.created\n"
        (tree / "b").touch()
        assert limpet.line() == b"['--count', '9'] b file.created\n"
        assert limpet.process.wait(60) == 0


def test_a_signal_ends_the_commands_too(tree: Path, tmp_path: Path) -> None:
    """Nothing is left running, not even what the command started."""
    note = tmp_path / "note"
    script = f"sleep 600 & echo $! $$ > {note}.new; mv {note}.new {note}; wait"
    with Program(tree, "--exec", "sh", "-c", script) as limpet:
        assert limpet.process.stderr is not None
        limpet.process.stderr.readline()
        (tree / "a").touch()
        until_sync(note.exists)
        assert limpet.end(signal.SIGINT) == 130
    for process in map(int, note.read_text().split()):
        until_sync(partial(ended, process))


def contains(file: Path, line: bytes) -> bool:
    return line in file.read_bytes()


def ended(process: int) -> bool:
    """Return whether it is gone, or a zombie that its new parent has not reaped yet."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_a_backend_that_does_not_work_here(tree: Path) -> None:
    """Or an option the engine refuses: one line, and no watch."""
    with Program(tree, "--include", "[", "--backend", "watchfiles", "--stats") as limpet:
        line = limpet.line()
        assert line.split(b"\t")[1] == b"watch.ready"
        assert limpet.end() == 143
        assert limpet.error().startswith(f"limpet: watch.stats {tree} backend=watchfiles marks=")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal, its reading end first."""
    ends = os.openpty()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def test_a_terminal_gets_colours(
    tree: Path, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no name can drive it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    reading, writing = terminal
    shown = b""
    with Program(tree, stdout=writing) as limpet:
        while b"watch.ready" not in shown:
            shown += os.read(reading, 4096)
        (tree / "a\x1b]0;owned\x07").touch()
        while b"owned" not in shown or not shown.endswith(b"\n"):
            shown += os.read(reading, 4096)
        assert limpet.end() == 143
    assert b"\x1b[32mfile.created" in shown
    assert rb"a\x1b]0;owned\x07" in shown
    assert b"\x07" not in shown
