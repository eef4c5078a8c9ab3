"""The records by which running programs are found."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from limpet.status import Announcement, Record, record_in, running
from limpet.status._record import running_dir, token_of
from tests.waiting import until_sync

ON_WINDOWS = sys.platform == "win32"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "home"))
    return tmp_path / "home"


def record(name: str = "bot", **more: object) -> Record:
    given = {"address": "http://127.0.0.1:1", "pid": os.getpid(), "program": "run",
             "name": name, "instance": "i"}  # fmt: skip
    return Record(**{**given, **more})  # type: ignore[arg-type]


def test_a_record_is_there_while_the_program_runs(tmp_path: Path) -> None:
    """It is found, and in the state folder it stays, for the next start to know the address."""
    one = Announcement(tmp_path / "state", pid=1, instance="a")
    assert one.previous is None
    one.prepare()
    one.publish(record())
    assert running() == [record()] == [record_in(tmp_path / "state")]
    one.close()
    one.close()
    assert running() == []
    assert not list(running_dir().iterdir())
    again = Announcement(tmp_path / "state", pid=2, instance="b")
    assert again.previous == record()


def test_several_are_found_by_name_each_with_its_own() -> None:
    """Also two of one name."""
    made = [Announcement(None, pid=number, instance="x") for number in range(3)]
    for one, name in zip(made, "bab", strict=True):
        one.publish(record(name))
    assert [one.name for one in running()] == ["a", "b", "b"]
    for one in made:
        one.close()


@pytest.mark.skipif(ON_WINDOWS, reason="no SIGKILL")
def test_the_record_of_a_killed_program_is_removed() -> None:
    """With its token; the next look finds out by the lock, which the kernel has freed."""
    program = (
        "import os, sys, time; from limpet.status import Announcement, Record\n"
        "one = Announcement(None, pid=os.getpid(), instance='k')\n"
        "one.prepare(); one.token_file.write_text('t')\n"
        "one.publish(Record(address='unix:/x', pid=os.getpid(), program='run', name='k',"
        " instance='k', token_file=str(one.token_file)))\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        (found,) = running()
        assert (found.name, found.pid, token_of(found)) == ("k", process.pid, "t")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    until_sync(lambda: running() == [])
    assert not list(running_dir().iterdir())


def test_a_user_without_a_home_needs_none(tmp_path: Path, home: Path) -> None:
    """The record in the state folder is enough; without a state folder there is none."""
    home.write_text("in the way")
    one = Announcement(tmp_path / "state", pid=1, instance="a")
    one.publish(record())
    assert one.trouble
    assert record_in(tmp_path / "state") == record()
    assert running() == []
    one.close()
    one = Announcement(None, pid=1, instance="a")
    one.publish(record())
    assert (one.token_file, "home" in one.trouble) == (None, True)
    one.close()


@pytest.mark.skipif(ON_WINDOWS, reason="no fork")
def test_a_forked_child_does_not_keep_the_record() -> None:
    """Its parent is gone, and nobody is listed."""
    program = (
        "import os, time; from limpet.status import Announcement, Record\n"
        "one = Announcement(None, pid=os.getpid(), instance='k')\n"
        "one.publish(Record(address='unix:/x', pid=1, program='run', name='k', instance='k'))\n"
        "child = os.fork()\n"
        "if child:\n"
        "    print(child, flush=True)\n"
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            assert len(running()) == 1
            process.kill()
            process.wait()
            until_sync(lambda: running() == [])
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"pid": 1}', '{"address": 5}', "\x00", "[" * 100_000]
)
def test_a_record_that_is_damaged_is_none(text: str, tmp_path: Path) -> None:
    """It keeps nobody from finding the others."""
    good = Announcement(None, pid=1, instance="good")
    good.publish(record("good"))
    bad = Announcement(tmp_path / "state", pid=2, instance="bad")
    bad.publish(record("bad"))
    for path in (running_dir() / "2-bad.json", tmp_path / "state" / "listen.json"):
        path.write_text(text)
    assert [one.name for one in running()] == ["good"]
    assert record_in(tmp_path / "state") is None
    good.close()
    bad.close()


@pytest.mark.skipif(ON_WINDOWS, reason="no modes")
def test_only_the_owner_reads_what_is_written(tmp_path: Path) -> None:
    """Records name paths; the folder is the user's alone."""
    one = Announcement(tmp_path / "state", pid=1, instance="a")
    one.publish(record())
    for path in (running_dir() / "1-a.json", tmp_path / "state" / "listen.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert stat.S_IMODE(running_dir().stat().st_mode) == 0o700
    one.close()
