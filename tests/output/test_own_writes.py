"""Own writes in a watched folder: none is delivered by default, none of anybody else's is lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet import _own_write_registry as registry
from limpet.events import EntryEvent
from limpet.output import AppendToFile, Output, OverwriteFile, Rotation
from limpet.watching.emit import _own_writes

STEPS: dict[str, Callable[[Output], object]] = {
    "create": lambda out: out.create("new", "x"),
    "create below": lambda out: out.create("p/q/new", "x"),
    "create, synced": lambda out: out.create("new", "x", durability="full"),
    "append": lambda out: out.append("file", "more\n"),
    "append to nothing": lambda out: out.append("log", "more\n"),
    "append, much": lambda out: out.perform_all([AppendToFile(name="file", content="x")] * 50),
    "overwrite": lambda out: out.overwrite("file", "other"),
    "overwrite with the same": lambda out: out.overwrite("file", "there\n"),
    "delete": lambda out: out.delete("file"),
    "make a folder": lambda out: out.make_dir("p/q"),
    "delete a folder": lambda out: out.delete_dir("empty"),
    "move": lambda out: out.move("file", "moved"),
    "move below": lambda out: out.move("file", "p/moved"),
    "move over": lambda out: out.move("file", "other", overwrite=True),
    "move a folder": lambda out: out.move("empty", "full"),
    "write, then move": lambda out: (out.overwrite("file", "xyz"), out.move("file", "moved")),
    "create, write, delete": lambda out: (
        out.create("new", "x"),
        out.append("new", "y"),
        out.delete("new"),
    ),
    "rotate": lambda out: [
        out.append("file", "123456789\n", rotation=Rotation(max_bytes=10, keep=1, compress=packed))
        for packed in (False, False, True, True)
    ],
}


@contextlib.contextmanager
def watched(root: Path, backend: Any, **options: Any) -> Iterator[limpet.SyncWatch]:
    with limpet.watch_dir(root, backend=backend, poll_interval=3600, **options).sync() as watch:
        yield watch


@pytest.fixture
def place(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("there\n")
    (root / "other").write_text("other\n")
    (root / "empty").mkdir()
    # Older than what polling takes for one moment: it can then tell renames from new files.
    time.sleep(0.03)
    return root


def entries(events: list[Any]) -> list[EntryEvent]:
    return [event for event in events if isinstance(event, EntryEvent)]


@pytest.mark.parametrize("spelled", ["plain", "link"])
@pytest.mark.parametrize("step", STEPS)
def test_no_own_change_is_delivered(place: Path, backend: Any, step: str, spelled: str) -> None:
    """O5: on every backend, also when the output's folder was spelled through a symlink."""
    link = place.parent / "link"
    link.symlink_to(place)
    with watched(place, backend) as watch, Output(link if spelled == "link" else place) as out:
        STEPS[step](out)
        assert watch.fence() == []
        (place / "theirs").write_text("x")
        (event,) = watch.fence()
        assert isinstance(event, limpet.FileCreated)
        assert set(watch.entries()) >= {place / "theirs"}


@pytest.mark.parametrize("step", STEPS)
def test_own_changes_are_marked(place: Path, backend: Any, step: str) -> None:
    """All of them, and nothing else; temporary files never show."""
    with watched(place, backend, own="mark") as watch, Output(place) as out:
        STEPS[step](out)
        events = entries(watch.fence())
        assert step == "create, write, delete" or events
        assert [event for event in events if not event.own] == []
        assert not [event for event in events if ".limpet-" in event.path.name]


def test_the_file_watch_too(place: Path, backend: Any) -> None:
    watch = limpet.watch_file(place / "file", backend=backend, poll_interval=3600).sync()
    with watch, Output(place) as out:
        out.append("file", "x")
        out.overwrite("file", "y")
        assert watch.fence() == []
        with (place / "file").open("a") as file:
            file.write("theirs")
        (event,) = watch.fence()
        assert isinstance(event, limpet.TargetFileUpdated)
        out.delete("file")
        assert watch.fence() == []


def theirs(path: Path, how: str) -> None:
    """Somebody else's change; in this process, so that no kernel tells it from ours."""
    if how == "append":
        with path.open("a") as file:
            file.write("theirs")
    elif how == "rewrite":
        path.write_text("theirs!")
    else:
        path.with_name("t").write_text("theirs!!")
        path.with_name("t").replace(path)


@pytest.mark.parametrize("ours", ["append", "overwrite"])
@pytest.mark.parametrize("how", ["append", "rewrite", "replace"])
@pytest.mark.parametrize("order", ["theirs, ours", "ours, theirs", "ours, theirs, ours"])
def test_somebody_elses_change_beside_ours_is_told(
    place: Path, backend: Any, order: str, how: str, ours: str
) -> None:
    """However soon before or after: one event, and it is not own."""
    with watched(place, backend, own="mark") as watch, Output(place) as out:
        for file in ("file", "fresh"):
            if file == "fresh":
                out.create("fresh", "ours first\n")
                assert all(event.own for event in entries(watch.fence()))
            for who in order.split(", "):
                if who == "theirs":
                    theirs(place / file, how)
                elif ours == "append":
                    out.append(file, "ours\n")
                else:
                    out.overwrite(file, "ours all\n")
            events = [e for e in entries(watch.fence()) if e.path == place / file]
            assert [event.own for event in events] == [False]
            out.append(file, "ours again\n")
            assert [event.own for event in entries(watch.fence())] == [True]


def test_a_file_of_theirs_that_we_write_to_at_once(place: Path, backend: Any) -> None:
    """Its creation is theirs."""
    with watched(place, backend) as watch, Output(place) as out:
        (place / "theirs").write_text("x")
        out.append("theirs", "y")
        (event,) = entries(watch.fence())
        assert isinstance(event, limpet.FileCreated)
        (place / "theirs").unlink()
        out.create("theirs", "z")
        (event,) = entries(watch.fence())
        assert isinstance(event, limpet.FileUpdated)


PRODUCER = """
import os, sys
root, count = sys.argv[1], int(sys.argv[2])
for n in range(count):
    with open(f"{root}/theirs{n}", "w") as file:
        file.write("x")
    if n % 3 == 0:
        with open(f"{root}/theirs{n}", "a") as file:
            file.write("more")
    if n % 5 == 0:
        os.rename(f"{root}/theirs{n}", f"{root}/theirs{n}.moved")
"""


def test_thousands_at_once(place: Path, backend: Any) -> None:
    """From limpet and from another process: all of theirs, and nothing of ours."""
    count = 2000
    mirror: set[str] = set()

    def take(events: list[Any]) -> None:
        for event in entries(events):
            assert not event.path.name.startswith("ours"), event
            assert not event.own
            if isinstance(event, limpet.FileRenamed):
                mirror.discard(event.source.name)
            if isinstance(event, limpet.FileDeleted):
                mirror.discard(event.path.name)
            else:
                mirror.add(event.path.name)

    with watched(place, backend) as watch, Output(place) as out:
        other = subprocess.Popen([sys.executable, "-c", PRODUCER, str(place), str(count)])
        failed: list[BaseException] = []

        def write() -> None:
            try:
                for n in range(count):
                    out.create(f"ours{n}", "x")
                    out.append("ours-log", "line\n")
                    out.overwrite("ours-state", str(n))
                    if n % 3 == 0:
                        out.delete(f"ours{n}")
                    if n % 5 == 1:
                        out.move(f"ours{n}", f"ours{n}.moved", overwrite=True)
            except BaseException as error:
                failed.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        while writer.is_alive() or other.poll() is None:
            take(watch.fence())
        writer.join()
        take(watch.fence())
        assert other.returncode == 0
        assert not [error for error in failed if not isinstance(error, limpet.MissingError)]
    expected = {path.name for path in place.iterdir() if path.name.startswith("theirs")}
    assert mirror == expected
    assert len(expected) == count


def test_one_file_written_by_both(place: Path, backend: Any) -> None:
    """Whenever they have appended, it is told, however fast we append in between."""
    program = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for line in sys.stdin:
    os.write(fd, b"theirs\\n")
    print(os.lseek(fd, 0, os.SEEK_CUR), flush=True)
"""
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(place / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    ended = threading.Event()
    with watched(place, backend) as watch, Output(place) as out:

        def write() -> None:
            while not ended.is_set():
                out.append("file", "ours\n")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(200):
                other.stdin.write("go\n")
                size = int(other.stdout.readline())
                told = 0
                while told < size:  # what is lost ends by the test's own timeout
                    told = max([0, *(e.stat.size for e in watch.fence() if hasattr(e, "stat"))])
        finally:
            ended.set()
            writer.join()
            other.stdin.close()
            other.wait()
            other.stdout.close()
        watch.fence()
        for _ in range(500):
            out.append("file", "ours\n")
        assert watch.fence() == []


def test_a_program_that_answers_into_the_same_folder(place: Path, backend: Any) -> None:
    """V60: each of their files is answered once, and answering ends by itself."""
    program = """
import sys, time
root = sys.argv[1]
for n in range(150):
    open(f"{root}/ask{n}", "w").write("?")
    open(f"{root}/log", "a").write("theirs\\n")
    if n % 10 == 0:
        open(f"{root}/ask{n}.answer", "w").write("not the answer")
"""
    answers: dict[str, int] = {}
    with watched(place, backend) as watch, Output(place) as out:
        other = subprocess.Popen([sys.executable, "-c", program, str(place)])

        def answer() -> int:
            found = entries(watch.fence())
            for event in found:
                out.append("log", f"seen {event.path.name}\n")
                if event.path.name.startswith("ask") and event.path.suffix != ".answer":
                    answers[event.path.name] = answers.get(event.path.name, 0) + 1
                    out.overwrite(event.path.name + ".answer", "!")
            return len(found)

        while other.poll() is None:
            answer()
        turns = 0
        while answer():
            turns += 1
            assert turns < 5  # else it answers itself
    assert set(answers) == {f"ask{n}" for n in range(150)}
    # One that was written to twice, a moment apart, may be told of twice.
    assert sum(answers.values()) <= 300


def test_the_ledger_is_bounded(tmp_path: Path) -> None:
    """V59: 100,000 writes that nobody looks at; the newest are remembered."""
    ledger = _own_writes.OwnWrites(lambda: None)
    ledger.open()
    try:
        for start in range(0, 100_000, 1000):
            names = [f"{tmp_path}/{n}" for n in range(start, start + 1000)]
            registry.begin(names)
            registry.end(names, [(name, None, (1, 2, 3, 4)) for name in names])
        assert len(ledger._notes) == _own_writes._LIMIT
        assert f"{tmp_path}/99999" in ledger._notes
    finally:
        ledger.close()
    assert not registry.open_writes


def test_a_loop_in_the_making_is_warned_of(place: Path) -> None:
    """With ``own="keep"`` and nothing that filters, once for each opening; else never."""
    (place / "sub").mkdir()
    with limpet.watch_dir(place, own="keep").sync():
        for folder in (place, place / "sub"):
            with pytest.warns(RuntimeWarning, match="own='keep'") as told, Output(folder):
                pass
            assert len(told) == 1
            assert told[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Output(place.parent):
                pass
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for quiet in ({"own": "drop"}, {"own": "mark"}, {"own": "keep", "exclude": "*.answer"}):
            with limpet.watch_dir(place, **quiet).sync(), Output(place):  # type: ignore[arg-type]
                pass
        with Output(place):
            pass


def test_a_broken_off_batch_leaves_no_claim(place: Path, backend: Any) -> None:
    """Else the watch would put off looking for ever."""
    from tests.output.system_calls import SystemCalls

    class Broken(SystemCalls):
        def rename(self, folder: int, name: str, to: int, new: str) -> None:
            raise KeyboardInterrupt

    with watched(place, backend) as watch, Output(place, calls=Broken()) as out:
        with pytest.raises(KeyboardInterrupt):
            out.perform(OverwriteFile(name="file", content="x"))
        assert not registry.open_writes
        assert watch.fence() == []
        (place / "file").write_text("theirs")
        assert len(watch.fence()) == 1


def test_output_does_not_load_the_watch() -> None:
    """A program that only writes pays for nothing else."""
    program = """
import sys, types
package = types.ModuleType("limpet")
package.__path__ = [sys.argv[1]]
sys.modules["limpet"] = package
import limpet.output, tempfile
with tempfile.TemporaryDirectory() as folder, limpet.output.Output(folder) as out:
    out.create("x", "y")
print(*(name for name in sys.modules if name.startswith(("limpet.watching", "limpet.backends"))))
"""
    folder = os.path.dirname(limpet.__file__)
    done = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
