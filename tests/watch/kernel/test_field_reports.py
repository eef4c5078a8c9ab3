"""Fault cases met in the field by users of file watchers (W numbers), one promise each.

Only what the scenarios, ``test_options``, ``test_weather`` and ``test_location`` do not hold yet.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import shutil
import subprocess
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.backends import HintRouter
from limpet.events import Kind
from limpet.testing import Mirror, check_stream, describe, listing, perform
from limpet.watching._watcher import Watcher
from limpet.watching.index._fs import FileSystemCalls
from tests.unprivileged import start


def shown(events: list[limpet.Event]) -> list[str]:
    return [describe(event) for event in events]


def watched(path: Path, backend: Any, **options: Any) -> limpet.SyncWatch:
    return limpet.watch_dir(path, backend=backend, **{"poll_interval": 3600, **options}).sync()


def waiting(path: Path, backend: Any, **options: Any) -> limpet.SyncWatch:
    """A watch for a consumer that only waits; what is polled is polled often."""
    return limpet.watch_dir(path, backend=backend, **{"poll_interval": 0.05, **options}).sync()


def wait_for(
    watch: limpet.SyncWatch, enough: Callable[[list[limpet.Event]], bool]
) -> list[limpet.Event]:
    """Take events one by one until there are enough of them."""
    events: list[limpet.Event] = []
    while not enough(events):
        event = watch.next(timeout=30)
        assert event is not None, f"silence after {shown(events)}"
        events.append(event)
    return events


def wait_until_there(watch: limpet.SyncWatch, expected: dict[Path, Kind]) -> Mirror:
    """Wait for events that lead to a listing, each created once and nothing else than updates."""
    mirror = Mirror(watch.entries())
    created: Counter[Path] = Counter()
    while mirror.entries != expected:
        event = watch.next(timeout=30)
        assert event is not None, f"silence; missing {set(expected) - mirror.paths()}"
        mirror.apply(event)
        assert not isinstance(event, limpet.FileDeleted | limpet.DirDeleted), describe(event)
        if isinstance(event, limpet.FileCreated | limpet.DirCreated):
            created[event.path] += 1
    assert set(created.values()) <= {1}
    return mirror


def make_tree(root: Path, folders: int, files: int) -> None:
    """Folders in a chain of fours, with files in each."""
    folder = root
    for number in range(folders):
        folder = folder / f"d{number}" if number % 4 else root / f"d{number}"
        folder.mkdir(parents=True)
        for name in range(files):
            (folder / f"f{name}").write_text(str(name))


@contextlib.contextmanager
def at_work(job: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run a job beside the test; it is asked to stop."""
    stop = threading.Event()
    worker = threading.Thread(target=job, args=(stop,))
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


# -- saves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("round_trips", [1, 5])
def test_unlinked_and_written_again(tmp_path: Path, backend: Any, round_trips: int) -> None:
    """W15: deleted and created between two scans is one update of what the consumer holds."""
    (tmp_path / "f").write_text("0")
    perform("age", tmp_path)
    with watched(tmp_path, backend) as watch:
        for number in range(1, 1 + round_trips):
            (tmp_path / "f").unlink()
            (tmp_path / "f").write_text("1" * (number + 1))
        (event,) = watch.fence()
        assert isinstance(event, limpet.FileUpdated)
        assert "content" in event.changes


@pytest.mark.skipif(shutil.which("sed") is None, reason="needs sed")
def test_sed_in_place(tmp_path: Path, backend: Any) -> None:
    """W16: ``sed -i`` is one update of the real name, again and again, for both kinds of watch."""
    path = tmp_path / "f"
    path.write_text("a")
    with (
        watched(tmp_path, backend) as folder,
        limpet.watch_file(path, backend=backend, poll_interval=3600).sync() as file,
    ):
        for old, new in ("ab", "bc", "cd"):
            subprocess.run(["sed", "-i", f"s/{old}/{new}/", str(path)], check=True)
            assert shown(folder.fence()) == ["FileUpdated f {content,identity}"]
            assert shown(file.fence()) == ["TargetFileUpdated . {content,identity}"]
        with path.open("a") as late:
            late.write("late")
        assert shown(folder.fence()) == ["FileUpdated f {content}"]
        assert shown(file.fence()) == ["TargetFileUpdated . {content}"]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_checkout(tmp_path: Path, backend: Any) -> None:
    """W16: a file that git replaced by unlink and create is still watched by its name."""

    def git(*words: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        command = ["git", "-C", str(tmp_path), *who, *words]
        subprocess.run(command, check=True, capture_output=True)

    git("init", "-q", "-b", "one")
    (tmp_path / "f").write_text("one")
    git("add", "f")
    git("commit", "-q", "-m", "one")
    git("checkout", "-q", "-b", "two")
    (tmp_path / "f").write_text("second")
    (tmp_path / "only").write_text("here")
    git("add", "f", "only")
    git("commit", "-q", "-m", "two")
    with (
        watched(tmp_path, backend, exclude=".git/") as folder,
        limpet.watch_file(tmp_path / "f", backend=backend, poll_interval=3600).sync() as file,
    ):
        for branch, only in (("one", "FileDeleted"), ("two", "FileCreated")):
            git("checkout", "-q", branch)
            update, other = sorted(shown(folder.fence()), reverse=True)
            assert update.startswith("FileUpdated f {content")
            assert other == f"{only} only"
            (event,) = file.fence()
            assert isinstance(event, limpet.TargetFileUpdated)
            with (tmp_path / "f").open("a") as late:
                late.write("late")
            assert shown(folder.fence()) == ["FileUpdated f {content}"]
            assert shown(file.fence()) == ["TargetFileUpdated . {content}"]
            git("checkout", "-q", "--", "f")
            folder.fence()
            file.fence()


def test_one_save_in_many_steps(tmp_path: Path, backend: Any) -> None:
    """W56: truncate, three writes, fsync, chmod and utime of one save are one event."""
    path = tmp_path / "f"
    path.write_text("old")
    perform("age", tmp_path)
    with watched(tmp_path, backend) as watch:
        with path.open("w") as file:
            for text in ("one", "two", "three"):
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        path.chmod(0o640)
        os.utime(path)
        assert shown(watch.fence()) == ["FileUpdated f {content}"]
        assert watch.fence() == []


class LaggingDisk(FileSystemCalls):
    """A disk whose files are stamped by a clock that runs ahead of the one a program can read.

    So it is since Linux 6.13: a stamp is never older than the finest one given to any file, and
    CLOCK_REALTIME_COARSE does not show that.
    """

    latest = 0

    def now(self) -> int:
        return min(super().now(), self.latest)


def test_an_update_of_a_young_file_is_no_replacement(tmp_path: Path, backend: Any) -> None:
    """W15, S2: a file made just before the watch began and written then is the same file."""
    (tmp_path / "f").touch()
    disk, router = LaggingDisk(), HintRouter()
    disk.latest = (tmp_path / "f").stat().st_ctime_ns - 1_000_000
    options = limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600).options
    core = Watcher(tmp_path, options, "dir", router, disk)
    try:
        core.start()
        with (tmp_path / "f").open("a") as file:
            file.write("more")
        core.examine(force=True)
        assert shown(core.pop_all()) == ["FileUpdated f {content}"]
    finally:
        core.close()
        router.close()


# -- races ---------------------------------------------------------------------------------------


def test_nested_folders_with_a_waiting_consumer(tmp_path: Path, backend: Any) -> None:
    """W19: ``mkdir -p 1/2/3/4/5`` with a file at each level: each created once, parents first."""
    place, expected = tmp_path / "place", tmp_path / "expected"
    place.mkdir()
    for number in range(20):
        deep = expected / str(number) / "1" / "2" / "3" / "4" / "5"
        deep.mkdir(parents=True)
        for folder in (deep, *deep.parents[:5]):
            (folder / "f").touch()
    wanted = {place / p.relative_to(expected): kind for p, kind in listing(expected).items()}

    def job(stop: threading.Event) -> None:
        for number in range(20):
            deep = place / str(number) / "1" / "2" / "3" / "4" / "5"
            deep.mkdir(parents=True)
            for folder in (deep, *deep.parents[:5]):
                (folder / "f").touch()

    with waiting(place, backend) as watch, at_work(job):
        wait_until_there(watch, wanted)


@pytest.mark.skipif(shutil.which("cp") is None, reason="needs cp")
def test_a_large_tree_is_copied_in(tmp_path: Path, backend: Any) -> None:
    """W20: ``cp -a`` of 1,280 files while the consumer waits: none lost, none reported twice."""
    place, origin = tmp_path / "place", tmp_path / "origin"
    place.mkdir()
    make_tree(origin, 64, 20)
    wanted = {place / "copy" / p.relative_to(origin): k for p, k in listing(origin).items()}
    wanted[place] = "dir"
    with waiting(place, backend) as watch:
        with subprocess.Popen(["cp", "-a", str(origin), str(place / "copy")]) as copy:
            mirror = wait_until_there(watch, wanted)
        assert copy.returncode == 0
        for event in watch.fence():
            mirror.apply(event)
            assert isinstance(event, limpet.FileUpdated), describe(event)
        assert mirror.entries == listing(place) == watch.entries()
        (place / "copy" / "d60" / "d61" / "late").write_text("1")
        assert shown(watch.fence()) == ["FileCreated copy/d60/d61/late"]


@pytest.mark.parametrize("parent_first", [False, True])
def test_a_child_and_its_folder_are_renamed(
    tmp_path: Path, backend: Any, parent_first: bool
) -> None:
    """W26: a path that is stale within the batch gives no false deletion."""
    (tmp_path / "d" / "in").mkdir(parents=True)
    (tmp_path / "d" / "in" / "f").write_text("1")
    perform("age", tmp_path)
    with watched(tmp_path, backend) as watch:
        start = watch.entries()
        if parent_first:
            (tmp_path / "d").rename(tmp_path / "e")
            (tmp_path / "e" / "in" / "f").rename(tmp_path / "e" / "in" / "g")
        else:
            (tmp_path / "d" / "in" / "f").rename(tmp_path / "d" / "in" / "g")
            (tmp_path / "d").rename(tmp_path / "e")
        events = watch.fence()
        assert {type(e) for e in events} == {limpet.FileRenamed, limpet.DirRenamed}
        assert len(events) == 2
        assert check_stream(events, start).entries == listing(tmp_path)


def test_an_old_path_is_not_used_again(tmp_path: Path, backend: Any) -> None:
    """W28: after a chain of folder renames, writes come with the new path only."""
    (tmp_path / "d0" / "in").mkdir(parents=True)
    with watched(tmp_path, backend) as watch:
        for number in range(1, 6):
            perform("age", tmp_path)
            assert watch.fence() == []
            (tmp_path / f"d{number - 1}").rename(tmp_path / f"d{number}")
            assert shown(watch.fence()) == [f"DirRenamed d{number - 1} -> d{number}"]
            (tmp_path / f"d{number}" / "in" / f"f{number}").write_text("1")
            assert shown(watch.fence()) == [f"FileCreated d{number}/in/f{number}"]


# -- across the border ---------------------------------------------------------------------------


def test_moved_out_names_each_descendant(tmp_path: Path, backend: Any) -> None:
    """W30: each known descendant of a folder that is moved out is deleted, children first."""
    place = tmp_path / "place"
    make_tree(place / "d", 12, 3)
    with watched(place, backend) as watch:
        start = watch.entries()
        (place / "d").rename(tmp_path / "out")
        events = watch.fence()
        assert len(events) == len(start) - 1
        assert {type(e) for e in events} == {limpet.FileDeleted, limpet.DirDeleted}
        assert check_stream(events, start).entries == {place: "dir"}


def test_moved_in_is_watched(tmp_path: Path, backend: Any) -> None:
    """W31: a waiting consumer hears of all that a moved-in folder holds and of what comes later."""
    place = tmp_path / "place"
    place.mkdir()
    make_tree(tmp_path / "o", 24, 3)
    origin = tmp_path / "o"
    wanted = {place / "o" / p.relative_to(origin): k for p, k in listing(origin).items()}
    wanted[place] = "dir"
    with waiting(place, backend) as watch:
        origin.rename(place / "o")
        wait_until_there(watch, wanted)
        (place / "o" / "d20" / "d21" / "new").write_text("1")
        events = wait_for(watch, lambda events: "FileCreated o/d20/d21/new" in shown(events))
        assert not any(isinstance(e, limpet.FileDeleted | limpet.DirDeleted) for e in events)


def test_a_file_moved_out_wakes_the_consumer(tmp_path: Path, backend: Any) -> None:
    """W32, W35: a departure without an arrival is a deletion, reported without another change."""
    place = tmp_path / "place"
    place.mkdir()
    for name in ("a", "b", "c"):
        (place / name).write_text("1")
    with waiting(place, backend) as watch:
        for name in ("a", "b", "c"):
            (place / name).rename(tmp_path / name)
            (event,) = wait_for(watch, bool)
            assert describe(event) == f"FileDeleted {name}"


def test_a_drop_box(tmp_path: Path, kernel_backend: Any) -> None:
    """W33: with ``settle`` what is being written is held, and what was written comes at once."""
    place = tmp_path / "place"
    place.mkdir()
    with watched(place, kernel_backend, settle=3600) as watch, (place / "slow").open("w") as file:
        file.write("half")
        file.flush()
        (place / "done").write_text("whole")
        assert shown(watch.fence()) == ["FileCreated done"]
        assert watch.stats().held == 1


def test_a_drop_box_filled_by_rename(tmp_path: Path, kernel_backend: Any) -> None:
    """W33, W61, S5: an atomic save was closed by its writer, so ``settle`` does not hold it."""
    (tmp_path / "f").write_text("1")
    perform("age", tmp_path)
    with watched(tmp_path, kernel_backend, settle=3600) as watch:
        (tmp_path / "t").write_text("22")
        (tmp_path / "t").replace(tmp_path / "f")
        assert shown(watch.fence()) == ["FileUpdated f {content,identity}"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_rename_does_not_hide_a_new_mode(tmp_path: Path, backend: Any, kind: str) -> None:
    """W75, S4: with ``metadata`` a change of mode is reported also of what was renamed at once."""
    (tmp_path / "x").mkdir() if kind == "folder" else (tmp_path / "x").touch()
    perform("age", tmp_path)
    with watched(tmp_path, backend, metadata=True) as watch:
        (tmp_path / "x").chmod(0o700)
        (tmp_path / "x").rename(tmp_path / "y")
        what = "File" if kind == "file" else "Dir"
        assert shown(watch.fence()) == [f"{what}Renamed x -> y", f"{what}Updated y {{mode}}"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_renamed_over_what_was_there_at_the_start(tmp_path: Path, backend: Any, kind: str) -> None:
    """W34: the rename says what it replaced; nobody holds the old name any more."""
    for name in ("a", "b"):
        if kind == "file":
            (tmp_path / name).write_text(name * 3)
        else:
            (tmp_path / name).mkdir()
    perform("age", tmp_path)
    with watched(tmp_path, backend) as watch:
        start = watch.entries()
        (tmp_path / "a").rename(tmp_path / "b")
        events = watch.fence()
        if kind == "file":
            assert shown(events) == ["FileRenamed a -> b (replaced)"]
        else:
            assert shown(events)[-1].startswith("DirRenamed a -> b")
        assert check_stream(events, start).entries == listing(tmp_path)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_case_only_rename(tmp_path: Path, backend: Any, kind: str) -> None:
    """W40: ``foo`` to ``Foo`` is a rename."""
    (tmp_path / "foo").mkdir() if kind == "folder" else (tmp_path / "foo").touch()
    perform("age", tmp_path)
    with watched(tmp_path, backend) as watch:
        (tmp_path / "foo").rename(tmp_path / "Foo")
        what = "FileRenamed" if kind == "file" else "DirRenamed"
        assert shown(watch.fence()) == [f"{what} foo -> Foo"]


def test_case_of_the_location(tmp_path: Path, backend: Any) -> None:
    """W41: where case matters, a location in other letters is another place that may come yet."""
    (tmp_path / "place").mkdir()
    if (tmp_path / "PLACE").exists():
        pytest.skip("needs a case-sensitive file system")
    with watched(tmp_path / "PLACE", backend) as watch:
        (tmp_path / "place" / "f").write_text("1")
        assert watch.fence() == []
        (tmp_path / "PLACE").mkdir()
        (tmp_path / "PLACE" / "f").write_text("1")
        events = watch.fence()
        assert shown(events) == ["TargetDirCreated .", "FileCreated f"]
        assert {e.location for e in events} == {tmp_path / "PLACE"}


# -- loss, limits, leaks -------------------------------------------------------------------------


def queue_length(backend: str) -> int:
    return int(Path(f"/proc/sys/fs/{backend}/max_queued_events").read_text())


def test_repeated_overflow_does_not_loop(tmp_path: Path, kernel_backend: Any) -> None:
    """W43, W46: each overflow is made good by one rescan, none by a second, and the watch lives."""
    count = queue_length(kernel_backend) + 2000
    (tmp_path / "d").mkdir()
    names = [os.fspath(tmp_path / "d" / str(number)) for number in range(count)]
    with watched(tmp_path, kernel_backend) as watch:
        for rounds in range(1, 4):
            for name in names:
                os.mknod(name) if rounds == 1 else os.utime(name)
            events = watch.fence()
            assert shown(events)[0] == "Rescanned (overflow)"
            assert len(events) == count + 1
            for _ in range(3):
                assert watch.fence() == []
            assert watch.stats().rescans == rounds
            (tmp_path / "live").touch()
            (event,) = watch.fence()
            assert (describe(event), event.origin) == ("FileCreated live", "live")
            (tmp_path / "live").unlink()
            assert shown(watch.fence()) == ["FileDeleted live"]


def marks_in_kernel() -> int:
    """Marks of this process as the kernel shows them."""
    count = 0
    for number in os.listdir("/proc/self/fdinfo"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            lines = Path("/proc/self/fdinfo", number).read_text().splitlines()
            count += sum(line.startswith(("fanotify ino:", "inotify wd:")) for line in lines)
    return count


def test_marks_are_given_back(tmp_path: Path, kernel_backend: Any) -> None:
    """W50: after many moves the kernel holds as many marks as a watch that begins now would."""
    place, outside = tmp_path / "place", tmp_path / "outside"
    make_tree(place, 16, 1)
    outside.mkdir()
    chance = random.Random(50)
    before = marks_in_kernel()
    with watched(place, kernel_backend) as watch:
        for number in range(400):
            folders = [p for p, kind in listing(place).items() if kind == "dir" and p != place]
            match chance.randrange(5):
                case 0:
                    (chance.choice([place, *folders]) / f"n{number}" / "in").mkdir(parents=True)
                case 1 if folders:
                    shutil.rmtree(chance.choice(folders))
                case 2 if folders:
                    chance.choice(folders).rename(outside / str(number))
                case 3 if any(outside.iterdir()):
                    chance.choice(list(outside.iterdir())).rename(place / f"b{number}")
                case _ if folders:
                    chance.choice(folders).rename(place / f"r{number}")
                case _:
                    pass
            if number % 3:
                watch.fence()
        watch.fence()
        held, stated = marks_in_kernel() - before, watch.stats().marks
        between = marks_in_kernel()
        with watched(place, kernel_backend) as fresh:
            assert fresh.entries() == watch.entries()
            assert stated == fresh.stats().marks
            assert held == marks_in_kernel() - between
    assert marks_in_kernel() == before


def test_memory_does_not_grow_with_traffic(tmp_path: Path, kernel_backend: Any) -> None:
    """W52: thousands of renames, departures and arrivals leave nothing behind."""
    place = tmp_path / "place"
    (place / "d").mkdir(parents=True)
    with watched(place, kernel_backend) as watch:

        def rounds(count: int) -> int:
            for number in range(count):
                (place / f"f{number}").touch()
                watch.fence()
                (place / f"f{number}").rename(place / "d" / f"g{number}")
                watch.fence()
                (place / "d" / f"g{number}").rename(tmp_path / "out")
                watch.fence()
                (place / "d").rename(tmp_path / "d")
                watch.fence()
                (tmp_path / "d").rename(place / "d")
                watch.fence()
            gc.collect()
            return len(gc.get_objects())

        warm = rounds(50)
        assert rounds(500) - warm < 100
        assert watch.stats().entries == 1


# -- order and batches ---------------------------------------------------------------------------


def test_the_last_state_is_what_counts(tmp_path: Path, backend: Any) -> None:
    """W57: created and deleted quickly leaves the net effect, in an order that can be replayed."""
    (tmp_path / "kept").write_text("1")
    with watched(tmp_path, backend) as watch:
        start = watch.entries()
        for name in ("kept", "new", "gone"):
            for number in range(3):
                (tmp_path / name).unlink(missing_ok=True)
                (tmp_path / name).write_text("x" * (number + 2))
        (tmp_path / "gone").unlink()
        events = watch.fence()
        assert {(type(e), e.path.name) for e in events if isinstance(e, limpet.EntryEvent)} == {
            (limpet.FileUpdated, "kept"),
            (limpet.FileCreated, "new"),
        }
        assert len(events) == 2
        assert check_stream(events, start).entries == listing(tmp_path)


def test_no_ghosts_of_short_lives(tmp_path: Path, backend: Any) -> None:
    """W58: short-lived files are reported whole or not at all while the consumer waits."""

    def job(stop: threading.Event) -> None:
        for number in range(300):
            (tmp_path / f"x{number}").touch()
            (tmp_path / f"x{number}").unlink()
        (tmp_path / "end").touch()

    with waiting(tmp_path, backend) as watch, at_work(job):
        start = watch.entries()
        events = wait_for(
            watch, lambda events: bool(events) and describe(events[-1]) == "FileCreated end"
        )
        events += watch.fence()
        assert check_stream(events, start).entries == listing(tmp_path)


def test_touched_and_removed(tmp_path: Path, backend: Any) -> None:
    """W59: whatever kinds the system merged, a file that is gone is one deletion."""
    (tmp_path / "f").write_text("1")
    with watched(tmp_path, backend) as watch:
        for _ in range(3):
            (tmp_path / "f").touch()
            (tmp_path / "f").chmod(0o600)
            (tmp_path / "f").unlink()
            assert shown(watch.fence()) == ["FileDeleted f"]
            (tmp_path / "f").write_text("1")
            assert shown(watch.fence()) == ["FileCreated f"]


def test_a_busy_tree_does_not_starve_the_consumer(tmp_path: Path, backend: Any) -> None:
    """W60: while changes come without a pause, events come too."""
    path = tmp_path / "f"
    path.touch()
    perform("age", tmp_path)

    def job(stop: threading.Event) -> None:
        with path.open("a") as file:
            while not stop.is_set():
                file.write("x")
                file.flush()

    with waiting(tmp_path, backend) as watch, at_work(job):
        events = wait_for(watch, lambda events: len(events) == 5)
        assert set(shown(events)) == {"FileUpdated f {content}"}


def test_settle_neither_loses_nor_multiplies(tmp_path: Path, kernel_backend: Any) -> None:
    """W62: repeated copies and removals with ``settle``: one event each, and nothing stays held."""
    origin, place = tmp_path / "origin", tmp_path / "place"
    origin.write_text("x" * 100_000)
    place.mkdir()
    with watched(place, kernel_backend, settle=3600) as watch:
        for _ in range(5):
            shutil.copy(origin, place / "f")
            assert shown(watch.fence()) == ["FileCreated f"]
            assert watch.fence() == []
            (place / "f").unlink()
            assert shown(watch.fence()) == ["FileDeleted f"]
        shutil.copy(origin, place / "f")
        (place / "f").unlink()
        assert watch.fence() == []
        assert watch.stats().held == 0


def test_settle_does_not_skip_initial_files(tmp_path: Path, backend: Any) -> None:
    """W62: with ``existing`` and ``settle`` what was there is reported, once."""
    (tmp_path / "f").write_text("1")
    perform("age", tmp_path)
    with waiting(tmp_path, backend, existing=True, settle=0.01) as watch:
        events = wait_for(watch, lambda events: "FileCreated f" in shown(events))
        assert shown(events) == ["TargetDirCreated .", "FileCreated f"]
        assert watch.fence() == []


# -- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("follow", [False, True])
def test_a_cycle_of_links_ends(tmp_path: Path, backend: Any, follow: bool) -> None:
    """W67: ``a/loop -> ..`` is visited once, on every backend."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    with watched(tmp_path, backend, follow_symlinks=follow) as watch:
        assert watch.stats().entries == 3
        (tmp_path / "a" / "f").write_text("1")
        assert shown(watch.fence()) == ["FileCreated a/f"]


def test_two_names_of_one_file(tmp_path: Path, backend: Any) -> None:
    """W69: with two hard links, a change is reported under the name it was made by."""
    (tmp_path / "ab").write_text("1")
    os.link(tmp_path / "ab", tmp_path / "a")
    perform("age", tmp_path)
    with watched(tmp_path, backend) as watch:
        for name in ("a", "ab", "a"):
            perform(f"append {name} more", tmp_path)
            found = shown(watch.fence())
            assert f"FileUpdated {name} {{content}}" in found
            assert set(found) <= {"FileUpdated a {content}", "FileUpdated ab {content}"}
        (tmp_path / "a").unlink()
        assert shown(watch.fence())[-1] == "FileDeleted a"
        perform("append ab more", tmp_path)
        assert shown(watch.fence()) == ["FileUpdated ab {content}"]


def test_a_link_and_its_target(tmp_path: Path, backend: Any) -> None:
    """W69: a write through a symlink is reported of the file, never of the link."""
    (tmp_path / "f").write_text("1")
    (tmp_path / "link").symlink_to("f")
    perform("age", tmp_path)
    with watched(tmp_path, backend) as watch:
        perform("append link more", tmp_path)
        assert shown(watch.fence()) == ["FileUpdated f {content}"]


def test_a_write_through_a_hard_link_outside(tmp_path: Path, backend: Any) -> None:
    """W70 (watch.md, Limits): Linux gives no hint of it; a scan of everything finds it."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "f").write_text("1")
    os.link(place / "f", tmp_path / "outside")
    perform("age", place)
    with watched(place, backend, rescan_interval=0.02) as watch:
        with (tmp_path / "outside").open("a") as file:
            file.write("more")
        events = wait_for(watch, lambda events: "FileUpdated f {content}" in shown(events))
        assert set(shown(events)) <= {"Rescanned (interval)", "FileUpdated f {content}"}


# -- permissions ---------------------------------------------------------------------------------


AS_ANOTHER = textwrap.dedent("""
    import sys
    import limpet
    from limpet.testing import describe
    from tests.unprivileged import drop_rights
    backend, place = sys.argv[1:]
    drop_rights()
    options = {"content": limpet.ContentOptions(), "existing": True, "poll_interval": 3600}
    with limpet.watch_dir(place, backend=backend, **options).sync() as watch:
        for line in sys.stdin:
            events = watch.fence()
            words = [f"{describe(e)} {getattr(e, 'content_error', '')}" for e in events]
            print("|".join(words), flush=True)
""")


def test_what_belongs_to_others(open_path: Path, backend: Any) -> None:
    """W72, W73, W74: what another user keeps to himself is named, and read once it may be."""
    place = open_path / "place"
    (place / "theirs").mkdir(parents=True)
    (place / "theirs" / "in").write_text("1")
    (place / "secret").write_text("1")
    (place / "secret").chmod(0o000)
    (place / "theirs").chmod(0o000)
    place.chmod(0o755)
    with start(AS_ANOTHER, backend, place) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        keyboard, screen = program.stdin, program.stdout

        def fence() -> list[str]:
            keyboard.write("\n")
            keyboard.flush()
            return [word.strip() for word in screen.readline().rstrip("\n").split("|") if word]

        assert sorted(fence()) == [
            "Degraded theirs (permission)",
            "DirCreated theirs",
            "FileCreated secret denied",
            "TargetDirCreated .",
        ]
        (place / "open").write_text("1")
        (place / "secret2").touch(mode=0o000)
        assert sorted(fence()) == ["FileCreated open None", "FileCreated secret2 denied"]
        (place / "theirs").chmod(0o755)
        assert fence() == ["Recovered theirs", "FileCreated theirs/in None"]
        (place / "theirs" / "x").write_text("1")
        assert fence() == ["FileCreated theirs/x None"]
        keyboard.close()
        assert program.wait() == 0


# -- polling -------------------------------------------------------------------------------------


def test_two_writes_in_one_second(tmp_path: Path, backend: Any) -> None:
    """W79: same size, same whole second: the second write is reported too."""
    path = tmp_path / "f"
    path.write_text("one")
    perform("age", tmp_path)
    with watched(tmp_path, backend) as watch:
        path.write_text("two")
        os.utime(path, ns=(10**18, 10**18 + 1))
        assert shown(watch.fence()) == ["FileUpdated f {content}"]
        path.write_text("six")
        os.utime(path, ns=(10**18, 10**18 + 2))
        assert shown(watch.fence()) == ["FileUpdated f {content}"]


class VanishingDisk(FileSystemCalls):
    """A disk whose entries of a given name are gone when a listed folder is opened."""

    armed = False

    def open(self, path: str, *, follow: bool = False) -> Any:
        self.remove(path)
        return super().open(path, follow=follow)

    def open_in(self, handle: Any, name: str, path: str) -> Any:
        self.remove(path)
        return super().open_in(handle, name, path)

    def remove(self, path: str) -> None:
        if self.armed and path.endswith("/doomed"):
            os.rmdir(path)


@pytest.mark.parametrize("moment", ["start", "scan"])
def test_an_entry_vanishes_while_it_is_listed(tmp_path: Path, moment: str) -> None:
    """W81: listed, then gone: that is a deletion, no failure."""
    disk, router = VanishingDisk(), HintRouter()
    options = limpet.watch_dir(tmp_path, backend="poll", poll_interval=3600).options
    core = Watcher(tmp_path, options, "dir", router, disk)
    try:
        if moment == "start":
            (tmp_path / "doomed").mkdir()
            disk.armed = True
        core.start()
        start = core.entries()
        events = core.pop_all()
        if moment == "scan":
            (tmp_path / "doomed").mkdir()
            disk.armed = True
        (tmp_path / "other").touch()
        for _ in range(2):
            core.examine(force=True)
            events += core.pop_all()
        assert not (tmp_path / "doomed").exists()
        assert check_stream(events, start).entries == listing(tmp_path)
        assert not any(isinstance(event, limpet.Degraded) for event in events)
    finally:
        core.close()
        router.close()


# -- what an event says --------------------------------------------------------------------------


@pytest.mark.parametrize("start", [True, False], ids=["there-at-start", "came-later"])
def test_a_deletion_says_what_it_was(tmp_path: Path, backend: Any, start: bool) -> None:
    """W96: type and kind of a deleted entry are those it had."""

    def make() -> None:
        (tmp_path / "d" / "in").mkdir(parents=True)
        (tmp_path / "f").write_text("1")
        (tmp_path / "l").symlink_to("d")
        os.mkfifo(tmp_path / "p")

    if start:
        make()
    with watched(tmp_path, backend) as watch:
        if not start:
            make()
            assert len(watch.fence()) == 5
        shutil.rmtree(tmp_path / "d")
        for name in ("f", "l", "p"):
            (tmp_path / name).unlink()
        events = [e for e in watch.fence() if isinstance(e, limpet.EntryEvent)]
        assert {os.fspath(e.path.relative_to(tmp_path)): (type(e), e.kind) for e in events} == {
            "d/in": (limpet.DirDeleted, "dir"),
            "d": (limpet.DirDeleted, "dir"),
            "f": (limpet.FileDeleted, "file"),
            "l": (limpet.FileDeleted, "symlink"),
            "p": (limpet.FileDeleted, "other"),
        }
        assert len(events) == 5


def test_what_another_process_did_is_never_own(tmp_path: Path, backend: Any) -> None:
    """W97: only what was announced as own is own, not all that this or another process does."""
    with watched(tmp_path, backend, own="mark") as watch:
        with limpet.own_write(tmp_path / "mine"):
            (tmp_path / "mine").write_text("1")
        (tmp_path / "plain").write_text("1")
        subprocess.run(["touch", str(tmp_path / "other")], check=True)
        events = [e for e in watch.fence() if isinstance(e, limpet.EntryEvent)]
        assert {e.path.name: e.own for e in events} == {
            "mine": True,
            "plain": False,
            "other": False,
        }
