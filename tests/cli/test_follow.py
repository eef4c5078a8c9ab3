"""``limpet follow`` as a program of its own, and what is wrong with a call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from limpet.cli import main
from tests.waiting import until_sync

PATIENCE = 30


@contextmanager
def program(*argv: str | Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "limpet", "follow", *map(str, argv)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def lines(process: subprocess.Popen[bytes], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().decode().rstrip("\n") for _ in range(count)]


def run(*argv: str | Path, cwd: Path | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "limpet", "follow", *map(str, argv)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("".join(f"{number}\n" for number in range(20)))
    return path


@pytest.mark.parametrize(
    ("argv", "first"), [([], 10), (["-n", "3"], 17), (["-n", "0"], 20), (["--from-start"], 0)]
)
def test_where_it_begins(log: Path, argv: list[str], first: int) -> None:
    """As ``tail`` has it, or at the beginning."""
    code, out, err = run(log, *argv, "--until-eof")
    assert (code, out.split(), err) == (0, [str(number) for number in range(first, 20)], "")


def test_across_rotation_until_ctrl_c(log: Path) -> None:
    """Renamed, truncated, deleted and created again; then ended in order."""
    with program(log, "-n", "1") as process:
        assert lines(process, 1) == ["19"]
        with log.open("a") as file:
            file.write("late\n")
        log.rename(f"{log}.1")
        log.write_text("new\n")
        assert lines(process, 2) == ["late", "new"]
        log.write_text("emptied and longer\n")
        assert lines(process, 1) == ["emptied and longer"]
        log.unlink()
        log.write_text("again\n")
        assert lines(process, 1) == ["again"]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr is not None
        message = process.stderr.read().decode()
    assert "rewritten" in message or "truncated" in message  # as it was examined before or after
    assert "Traceback" not in message


def test_a_checkpoint_continues(log: Path, tmp_path: Path) -> None:
    """Also across a rotation while nothing ran, and after a kill."""
    state = tmp_path / "state"
    argv: list[str | Path] = [log, "--state", state, "--rotated", "app.log.*"]
    assert run(*argv, "--from-start", "--until-eof")[1].split() == [str(n) for n in range(20)]
    with log.open("a") as file:
        file.write("a\n")
    log.rename(f"{log}.1")
    log.write_text("b\n")
    assert run(*argv, "--until-eof")[1] == "a\nb\n"
    assert run(*argv, "--until-eof")[1] == ""
    with program(*argv) as process:
        with log.open("a") as file:
            file.write("c\n")
        assert lines(process, 1) == ["c"]
        code, _, err = run(*argv)
        assert (code, "in use by another follower" in err) == (1, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 143
    assert run(*argv, "--until-eof")[1] == ""


def test_a_closed_pipe_ends_it(log: Path) -> None:
    """At once, with 0, though no line comes any more."""
    with program(log, "-n", "1") as process:
        assert lines(process, 1) == ["19"]
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(PATIENCE) == 0


def test_several_files_have_their_names_before_each_line(tmp_path: Path) -> None:
    """As given, if they are below the working folder."""
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text(f"{name[0]}\n")
    code, out, _ = run("a.log", "b.log", "--until-eof", cwd=tmp_path)
    assert (code, sorted(out.splitlines())) == (0, ["a.log: a", "b.log: b"])
    code, out, _ = run("*.log", "--until-eof", cwd=tmp_path)
    assert (code, sorted(out.splitlines())) == (0, ["a.log: a", "b.log: b"])


def test_json_lines(tmp_path: Path) -> None:
    """Lines and events, whatever the name is."""
    path = tmp_path / "caf\udce9.log"
    path.write_bytes(b"a\r\n\xff\nrest")
    with program(path, "--from-start", "--format", "jsonl") as process:
        first, second = map(json.loads, lines(process, 2))
        path.write_text("another\n")
        events = [json.loads(lines(process, 1)[0])]
        while events[-1]["type"] != "follow.truncated":
            events.append(json.loads(lines(process, 1)[0]))
        third = json.loads(lines(process, 1)[0])
    assert (first["text"], first["start"], first["end"]) == ("a", 0, 3)
    assert second["text"] == "\ufffd"
    assert "path_b64" in first
    assert [one["text"] for one in events if one["type"] == "follow.line"] == ["rest"]
    assert third["text"] == "another"
    assert third["generation"] == 2


def test_other_encodings_come_as_utf_8(tmp_path: Path) -> None:
    """By their byte order mark, or by the option."""
    path = tmp_path / "app.log"
    path.write_bytes("ж\n".encode("utf-16"))
    assert run(path, "--until-eof")[1] == "ж\n"
    path.write_bytes("caf\xe9\n".encode("latin-1"))
    assert run(path, "--until-eof", "--encoding", "latin-1")[1] == "café\n"


def test_a_fifo_is_read(tmp_path: Path) -> None:
    """Whoever writes to it, one after the other; then the file that takes its place."""
    path = tmp_path / "app.log"
    os.mkfifo(path)
    with program(path) as process:
        for text in ("a\nb\n", "c\n"):
            path.write_text(text)
            assert lines(process, text.count("\n")) == text.split()
        path.unlink()
        path.write_text("file\n")
        assert lines(process, 1) == ["file"]


def test_a_fifo_ends_with_its_writer(tmp_path: Path) -> None:
    """If that was asked for; the last line needs no newline."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with program(path, "--until-eof") as process:
        path.write_text("a\nb")
        assert lines(process, 2) == ["a", "b"]
        assert process.wait(PATIENCE) == 0


def test_standard_input() -> None:
    """It ends with its writer; that it is no file is said."""
    done = subprocess.run(
        [sys.executable, "-m", "limpet", "follow", "-"],
        input=b"a\n" * 100_000 + b"last",
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0
    assert done.stderr == b"limpet: -: standard input is read; a file of that name is ./-\n"
    assert done.stdout == b"a\n" * 100_000 + b"last\n"


@pytest.mark.parametrize(
    ("name", "says"),
    [("typo.log", "no such file"), ("*.txt", "no file matches"), (".", "give the files in it")],
)
def test_what_is_not_there_is_told(tmp_path: Path, name: str, says: str) -> None:
    """A run that ends by itself has failed then; another one waits, and says so."""
    code, out, err = run(name, "--until-eof", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert says in err
    with program(name, cwd=tmp_path) as process:
        assert process.stderr is not None
        assert says in process.stderr.readline().decode()


def test_habits_of_tail(log: Path) -> None:
    """What the command does in any case is accepted; ``-q`` leaves names out."""
    code, out, _ = run("-f", "-F", log, "--retry", "-n", "1", "--until-eof")
    assert (code, out) == (0, "19\n")
    code, out, _ = run("-q", log, log.with_name("app.*"), "-n", "1", "--until-eof")
    assert (code, out) == (0, "19\n")


def test_a_file_of_another_program_is_no_state(log: Path, tmp_path: Path) -> None:
    """It is refused, and stays as it is; so does a folder."""
    notes = tmp_path / "notes"
    notes.write_text("dear diary\n")
    code, _, err = run(log, "--state", notes, "--until-eof")
    assert (code, notes.read_text()) == (2, "dear diary\n")
    assert "another program" in err
    code, _, err = run(log, "--state", tmp_path, "--until-eof")
    assert code == 2
    assert "a folder" in err
    assert sorted(os.listdir(tmp_path)) == ["app.log", "notes"]


def test_its_own_output_is_not_followed(tmp_path: Path) -> None:
    """``limpet follow '*.log' > all.log`` does not read its own lines."""
    (tmp_path / "a.log").write_text("a\n")
    with (tmp_path / "all.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "limpet", "follow", "*.log"], cwd=tmp_path, stdout=out
        )
    try:
        log = tmp_path / "all.log"
        until_sync(lambda: log.read_text() == "a.log: a\n")
        with (tmp_path / "a.log").open("a") as file:
            file.write("b\n")
        until_sync(lambda: log.read_text() == "a.log: a\na.log: b\n")
    finally:
        process.terminate()
        process.wait(PATIENCE)
    assert (tmp_path / "all.log").read_text() == "a.log: a\na.log: b\n"


def test_figures(log: Path) -> None:
    """On standard error, at the end."""
    _, _, err = run(log, "--until-eof", "--stats")
    assert "lines=10" in err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "FILE"), (["a", "-n", "x"], "whole number"), (["a", "--format", "xml"], "jsonl"),
        (["a", "-n", "1", "--from-start"], "two places"), (["a", "--backend", "no"], "backend"),
        (["a", "--encoding", "no"], "encoding"), (["a", "--max-line", "1"], "--max-line: must"),
        ([""], "path must not be empty"), (["a", "--linger", "-1"], "linger"),
        (["-20", "a"], "give -n 20"), (["-c", "5", "a"], "give -n N"), (["a", "-s", "1"], "-s is"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(
    argv: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the exit code is 2."""
    assert main(["follow", *argv]) == 2
    message, hint, rest = capsys.readouterr().err.split("\n")
    assert says in message
    assert (hint, rest) == ("Try 'limpet follow --help'.", "")


def test_a_state_that_cannot_be_kept_is_one_line(log: Path) -> None:
    """Not a traceback."""
    code, out, err = run(log, "--state", "/proc/no/state")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
