"""``limpet inbox``: a command for each file, and the file goes where its exit code says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from limpet.cli._dispatch import dispatch
from tests.waiting import PATIENCE, until_sync

pytestmark = pytest.mark.timeout(60)

OPTIONS = ["in", "--done", "done", "--failed", "failed", "--settle", "0.05", "--backoff", "0.01"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def run(
    place: Path, program: str, until: Callable[[], object], *options: str
) -> tuple[int, str, str]:
    """Run limpet with a program in Python for each job; end it once the condition holds."""
    argv = [sys.executable, "-m", "limpet", "inbox", *OPTIONS, *options]
    argv += ["--exec", sys.executable, "-c", program, "{}", "a{}b"]
    with subprocess.Popen(
        argv, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            until_sync(lambda: until() or running.poll() is not None)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=PATIENCE)
        finally:
            running.kill()
    return running.returncode, out, err


def test_the_exit_code_decides_where_a_file_goes(place: Path) -> None:
    """The note has the end of standard error; the path is in arguments and environment."""
    for name in ("good", "bad\n"):
        (place / "in" / name).write_text(name)
    program = (
        "import os, sys; path = sys.argv[1]\n"
        "assert sys.argv[2] == f'a{path}b' and path == os.environ['LIMPET_PATH']\n"
        "assert os.environ['LIMPET_ROOT'] == os.path.dirname(path)\n"
        "print(os.path.basename(path).strip(), os.environ['LIMPET_ATTEMPT'], flush=True)\n"
        "sys.exit('why it failed' if 'bad' in path else 0)\n"
    )
    code, out, err = run(place, program, lambda: not names(place / "in"), "--attempts", "2")
    assert code == 130
    assert sorted(out.splitlines()) == ["bad 1", "bad 2", "good 1"]
    assert names(place / "done") == ["good"]
    assert names(place / "failed") == ["bad\n", "bad\n.error.txt"]
    note = (place / "failed" / "bad\n.error.txt").read_text()
    assert "why it failed" in note
    assert "ended with status 1" in note
    assert "Traceback" not in note
    assert "limpet: 'bad\\n' failed (try 2 of 2)" in err


def test_a_signal_ends_the_commands_and_their_jobs_stay(place: Path) -> None:
    """As if not begun: the try is not counted."""
    (place / "in" / "f").touch()
    program = (
        "import pathlib, sys, time; pathlib.Path('began').touch(); "
        "time.sleep(0 if pathlib.Path('again').exists() else 600)"
    )
    code, _, err = run(place, program, (place / "began").exists, "--attempts", "1")
    assert (code, err) == (130, "")
    assert names(place / "in") == ["f"]
    (place / "again").touch()
    assert run(place, program, lambda: not names(place / "in"), "--attempts", "1")[0] == 130
    assert names(place / "done") == ["f"]


@pytest.mark.skipif(os.name != "posix", reason="no process inherits a lock there")
def test_a_command_that_outlives_limpet_keeps_its_job(place: Path) -> None:
    """After a kill of limpet no other takes the job until that command has ended."""
    (place / "in" / "f").touch()
    script = (
        "echo $$ >> began; n=$(grep -c . began); "
        "while [ ! -e go$n ]; do sleep 0.02; done; echo over >> ended"
    )
    program = ["sh", "-c", script, "{}"]
    argv = [sys.executable, "-m", "limpet", "inbox", *OPTIONS, "--exec", *program]

    def lines(name: str) -> int:
        return len((place / name).read_text().splitlines()) if (place / name).exists() else 0

    def has(name: str, count: int) -> Callable[[], bool]:
        return lambda: lines(name) >= count

    first = subprocess.Popen(argv, cwd=place)
    until_sync(lambda: lines("began") == 1)
    first.kill()
    first.wait()
    second = subprocess.Popen(argv, cwd=place)
    try:
        (place / "in" / "g").touch()  # proof that the second one works
        until_sync(lambda: lines("began") == 2)
        assert names(place / "in") == [".limpet-inbox", "f", "g"]
        for ended in (1, 2, 3):  # the one that was left, g, and f once more
            until_sync(has("began", ended))
            (place / f"go{ended}").touch()
            until_sync(has("ended", ended))
        until_sync(lambda: names(place / "done") == ["f", "g"])
    finally:
        second.kill()
        second.wait()


def test_a_program_that_is_not_there_ends_the_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A misspelled name must not empty the inbox into the failed folder."""
    (place / "in" / "f").touch()
    monkeypatch.chdir(place)
    assert dispatch(["inbox", *OPTIONS, "--exec", "./no-such-program", "{}"]) == 1
    assert "cannot start ./no-such-program" in capfd.readouterr().err
    assert names(place / "in") == ["f"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["in", "--done", "d", "--failed", "f"], "--exec needs a command"),
        (["in", "--failed", "f", "--exec", "x"], "give --done DIR, or --delete"),
        (["in", "--done", "d", "--delete", "--failed", "f", "--exec", "x"], "give --done DIR, or"),
        (["in", "--done", "d", "--exec", "x"], "--failed DIR is needed"),
        (["--done", "d", "--failed", "f", "--exec", "x"], "expected IN, got 0 arguments"),
        (["in", "--done", "in", "--failed", "f", "--exec", "x"], "done must be another folder"),
        (["in", "--done", "d", "--failed", "f", "--attempts", "0", "--exec", "x"], "at least 1"),
        (["in", "--done", "", "--failed", "f", "--exec", "x"], "--done must not be empty"),
    ],
)
def test_wrong_calls_start_nothing(
    argv: list[str], message: str, capfd: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Exit code 2, and one line says what to do."""
    monkeypatch.chdir(tmp_path)
    assert dispatch(["inbox", *argv]) == 2
    assert message in capfd.readouterr().err
    assert os.listdir() == []
