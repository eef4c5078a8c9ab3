"""What the README promises, as whole programs: this file is the first to look at on a new system.

It runs everywhere; it was written for Windows, where each of these failed once.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.testing import describe
from tests.conftest import BACKENDS
from tests.waiting import PATIENCE, until_sync
from tests.windows.shim import is_wine

SLOW_BACKENDS = [name for name in BACKENDS if name in {"windows", "watchfiles", "poll"}]
ROOT = Path(__file__).resolve().parents[2]

ROTATING = """
import logging.handlers, sys, time
handler = logging.handlers.RotatingFileHandler(
    sys.argv[1], maxBytes=400, backupCount=100, encoding="utf-8"
)
handler.terminator = "\\n"
log = logging.getLogger("app")
log.addHandler(handler)
log.setLevel("INFO")
for number in range(720):
    time.sleep(0.004)
    log.info("%05d a line of some length", number)
"""

APPENDING = """
import sys
from limpet.output import Output, Rotation
rotation = Rotation(max_bytes=2000) if sys.argv[3] == "rotated" else None
with Output(sys.argv[1]) as out:
    for number in range(100):
        line = f"{sys.argv[2]} {number} " + "x" * (number % 50) + "\\n"
        out.append("log", line, rotation=rotation)
"""

HELD = """
import sys, limpet
with limpet.follow(sys.argv[1]).sync() as lines:
    print("open", flush=True)
    sys.stdin.read()
"""


def program(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start a Python program that may import limpet."""
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.Popen([sys.executable, *map(str, arguments)], env=env, **options)


async def some(watch: limpet.Watch, number: int) -> list[str]:
    """Return the next events of a watch, sorted."""
    async with asyncio.timeout(PATIENCE):
        return sorted([describe(await anext(watch)) for _ in range(number)])


@pytest.mark.parametrize("backend", SLOW_BACKENDS)
def test_the_first_example_of_the_readme(tmp_path: Path, backend: Any) -> None:
    """W1: what happens in a watched directory that was not there at the start."""
    inbox = tmp_path / "inbox"

    async def main() -> None:
        async with limpet.watch_dir(inbox, backend=backend, poll_interval=0.1) as watch:
            inbox.mkdir()
            assert await some(watch, 1) == ["TargetDirCreated ."]
            await watch.fence()
            (inbox / "ж中.txt").write_text("new")
            (inbox / "d").mkdir()
            (inbox / "d" / "deep").write_text("1")
            expected = ["DirCreated d", "FileCreated d/deep", "FileCreated ж中.txt"]
            assert await some(watch, 3) == expected
            if os.sep == "/":
                return  # the backends of this system have their own tests of renames
            await asyncio.sleep(0.3)  # older than what a rename may be recognised by
            (inbox / "ж中.txt").replace(inbox / "renamed.txt")
            assert await some(watch, 1) == ["FileRenamed ж中.txt -> renamed.txt"]

    asyncio.run(main())


@pytest.mark.parametrize("backend", SLOW_BACKENDS)
def test_the_second_example_of_the_readme(tmp_path: Path, backend: Any) -> None:
    """W2: a file that exists is watched by its name."""
    file = tmp_path / "config.toml"
    file.write_text("1")

    async def main() -> None:
        async with limpet.watch_file(file, backend=backend, poll_interval=0.1) as watch:
            file.write_text("two")
            async with asyncio.timeout(PATIENCE):
                assert isinstance(await anext(watch), limpet.TargetFileUpdated)

    asyncio.run(main())


def test_the_third_example_of_the_readme(tmp_path: Path) -> None:
    """F1: every line once, over 50 rotations by the standard library in another process."""
    log = tmp_path / "app.log"
    log.touch()

    async def main() -> list[str]:
        found: list[str] = []
        async with limpet.follow(log, start="beginning", rotated="app.log.*") as lines:
            with program("-c", ROTATING, log) as writer:
                async with asyncio.timeout(2 * PATIENCE):
                    while len(found) < 720:
                        found.append((await anext(lines)).text)
                assert writer.wait(PATIENCE) == 0
        return found

    expected = [f"{number:05} a line of some length" for number in range(720)]
    found = asyncio.run(main())
    # Wine's listings of a directory are empty now and then; tests/following holds the order.
    assert (sorted(found) if is_wine() else found) == expected
    assert len(list(tmp_path.glob("app.log.*"))) >= 50


@pytest.mark.parametrize("change", ["rename", "delete", "replace"])
def test_a_followed_log_belongs_to_its_writer(tmp_path: Path, change: str) -> None:
    """F1: it may be renamed and deleted while limpet has it open."""
    log = tmp_path / "app.log"
    log.write_text("1\n")
    with program("-c", HELD, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        assert follower.stdin is not None
        assert follower.stdout.readline().strip() == b"open"
        if change == "rename":
            os.rename(log, tmp_path / "app.log.1")
        elif change == "delete":
            log.unlink()
        else:  # as programs do there, for which the file is open in another
            os.rename(log, tmp_path / "old")
            (tmp_path / "new").write_text("2\n")
            os.rename(tmp_path / "new", log)
        follower.stdin.close()
        assert follower.wait(PATIENCE) == 0


@pytest.mark.parametrize("backend", SLOW_BACKENDS)
def test_a_watched_folder_belongs_to_everybody(tmp_path: Path, backend: Any) -> None:
    """Others rename and delete it and what is in it while it is watched, and what is watched in it.

    Not shown under Wine: NTFS refuses to rename a directory in which something is open.
    """
    place, away = tmp_path / "place", tmp_path / "away"
    (place / "d" / "e").mkdir(parents=True)
    (place / "f").write_text("1")

    def other(*calls: str) -> None:
        """Make these calls in another process."""
        code = "import os, sys; place, away = sys.argv[1:]; os.chdir('/'); " + "; ".join(calls)
        assert program("-c", code, place, away).wait(PATIENCE) == 0, calls

    async def main() -> None:
        async with (
            limpet.watch_dir(place, backend=backend, poll_interval=0.1) as watch,
            limpet.watch_file(place / "f", backend=backend, poll_interval=0.1),
        ):
            other(
                "os.rename(place + '/f', place + '/g')",
                "os.rename(place + '/d', place + '/h')",
                "os.rename(place + '/h/e', place + '/i')",
                "os.rmdir(place + '/h')",
                "os.unlink(place + '/g')",
            )
            await watch.fence()
            assert sorted(watch.entries()) == [place, place / "i"]
            other("os.rmdir(place + '/i')")
            other("os.rename(place, away)")
            other("os.rename(away, place)")
            await watch.fence()
            if is_wine() and backend == "watchfiles":
                return  # Wine keeps the name of a deleted directory while it is watched
            place.rmdir()
            async with asyncio.timeout(PATIENCE):
                while not isinstance(await anext(watch), limpet.TargetDirDeleted):
                    pass

    asyncio.run(main())


@pytest.mark.parametrize("how", ["plain", "rotated"])
def test_records_of_three_processes_are_whole_and_none_is_lost(tmp_path: Path, how: str) -> None:
    """O2 and O3."""
    writers = [program("-c", APPENDING, tmp_path, name, how) for name in "abc"]
    assert [writer.wait(2 * PATIENCE) for writer in writers] == [0, 0, 0]
    files = [path for path in tmp_path.iterdir() if path.name.startswith("log")]
    lines = [line for path in files for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(
        f"{name} {number} " + "x" * (number % 50) for name in "abc" for number in range(100)
    )
    assert (len(files) > 3) == (how == "rotated")


@pytest.mark.parametrize("backend", SLOW_BACKENDS)
def test_own_writes_are_dropped(tmp_path: Path, backend: Any) -> None:
    """W5: every operation of an output, into the directory that is watched."""

    async def main() -> None:
        async with (
            limpet.watch_dir(tmp_path, backend=backend, poll_interval=0.1) as watch,
            limpet.open_output(tmp_path) as out,
        ):
            await out.create("new.txt", "x")
            await out.append("log.txt", "x")
            await out.append("log.txt", "y")
            await out.overwrite("new.txt", "z")
            await out.move("new.txt", "moved.txt")
            await out.delete("moved.txt")
            with limpet.own_write(tmp_path / "mine"):
                (tmp_path / "mine").write_text("x")
            await watch.fence()
            (tmp_path / "theirs").write_text("x")
            assert await some(watch, 1) == ["FileCreated theirs"]

    asyncio.run(main())
    assert {path.name for path in tmp_path.iterdir()} == {"log.txt", "mine", "theirs"}


def test_limpet_new_inbox(tmp_path: Path) -> None:
    """Made, checked and run as the file itself says; each file is worked on once, and moved."""
    pytest.importorskip("mewbot")
    made = program("-m", "limpet", "new", "inbox", cwd=tmp_path)
    assert made.wait(PATIENCE) == 0
    file = tmp_path / "inbox.yaml"
    script = tmp_path / "work.py"
    script.write_text("import sys\nopen('worked', 'a').write(sys.argv[1] + '\\n')\n")
    command = json.dumps([sys.executable, str(script), "{{ path }}"])
    text = re.sub(r"\[\w+(, -\w+)?, '\{\{ path \}\}'\]", lambda _: command, file.read_text())
    assert command in text
    file.write_text(text.replace("settle: 2", "settle: 0.2"))
    assert program("-m", "limpet", "check", "inbox.yaml", cwd=tmp_path).wait(PATIENCE) == 0
    (tmp_path / "inbox").mkdir(exist_ok=True)
    (tmp_path / "inbox" / "order.csv").write_text("1,2\n")
    running = program("-m", "limpet", "run", "inbox.yaml", cwd=tmp_path)
    try:
        until_sync((tmp_path / "done" / "order.csv").exists, patience=2 * PATIENCE)
    finally:
        running.kill()
        running.wait(PATIENCE)
    assert [Path(line).name for line in (tmp_path / "worked").read_text().splitlines()] == [
        "order.csv"
    ]


@pytest.mark.skipif(os.sep == "/", reason="it is run by make demo here")
@pytest.mark.parametrize("backend", SLOW_BACKENDS)
def test_the_demo(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events come and its bot answers, without a loop."""
    if is_wine() and backend == "watchfiles":
        pytest.skip("Wine keeps the name of a deleted directory while it is watched")
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    demo = importlib.import_module("demo")
    watching = functools.partial(limpet.watch_dir, backend=backend, poll_interval=0.2)  # type: ignore[arg-type]
    monkeypatch.setattr(limpet, "watch_dir", watching)
    monkeypatch.setattr(demo, "PACE", 0.5)  # older than what a rename needs
    assert asyncio.run(demo.main()) == 0


@pytest.mark.skipif(os.sep == "/", reason="every name can be spelled here")
@pytest.mark.parametrize("name", ["trail.", "space ", "CON", "x."])
def test_names_that_win32_cannot_spell(tmp_path: Path, name: str) -> None:
    """W3: such a name is an entry, and the others of its directory are, too."""
    literal = "\\\\?\\" + os.path.join(os.path.realpath(tmp_path), name)
    (tmp_path / "x").write_text("1")
    with limpet.watch_dir(tmp_path, backend="poll").sync() as watch:
        with open(literal, "wb") as file:
            file.write(b"1")
        (tmp_path / "other").write_text("1")
        found = sorted(describe(event) for event in watch.fence())
        assert found == sorted([f"FileCreated {name}", "FileCreated other"])
        os.unlink(literal)
        assert [describe(event) for event in watch.fence()] == [f"FileDeleted {name}"]


def test_a_name_beyond_the_code_page_comes_out_of_a_pipe_as_utf8(tmp_path: Path) -> None:
    """C2."""
    log = tmp_path / "жлог"
    log.write_text("ж中\n")
    with program(
        "-m", "limpet", "follow", "--from-start", "--until-eof", log, stdout=subprocess.PIPE
    ) as shown:
        out, _ = shown.communicate(timeout=PATIENCE)
    assert "ж中" in out.decode()


def test_the_doctor_knows_no_limits_of_linux_elsewhere(tmp_path: Path) -> None:
    """C1: a directory ``/proc`` of the current drive is nobody's process file system."""
    with program("-m", "limpet", "doctor", tmp_path, stdout=subprocess.PIPE) as shown:
        out, _ = shown.communicate(timeout=PATIENCE)
    assert (b"inotify" in out) == (sys.platform == "linux")
    assert b"backend" in out


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """C3."""
    (tmp_path / "first").write_text("1")
    with program(
        "-m", "limpet", "watch", "--existing", "--backend", "poll", "--poll-interval", "0.1",
        tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as shown:  # fmt: skip
        assert shown.stdout is not None
        assert shown.stderr is not None
        assert shown.stdout.readline()
        shown.stdout.close()
        for number in range(1000):
            (tmp_path / str(number)).write_text("1")
            if shown.poll() is not None:
                break
            asyncio.run(asyncio.sleep(0.02))
        assert shown.wait(PATIENCE) == 0
        assert b"rror" not in shown.stderr.read()
