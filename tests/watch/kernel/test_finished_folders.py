"""S26: a folder that came is reported once, when nothing happens in it any more."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path
from typing import Any, Self

import pytest

import limpet
from limpet.testing import check_stream, describe, listing
from limpet.watching import Watcher, make_router
from limpet.watching.index._fs import FileSystemCalls
from tests.waiting import PATIENCE

QUIET = 0.1
SETTLED = "DirSettled "


class Watched:
    """A running watch with its events so far, which are held to the laws."""

    def __init__(
        self,
        path: Path,
        backend: Any,
        *,
        after: Watched | None = None,
        disk: FileSystemCalls | None = None,
        **options: Any,
    ) -> None:
        options = {"settle_dir": QUIET, "poll_interval": 0.02, **options}
        self.watch = limpet.watch_dir(path, backend=backend, **options).sync()
        if disk is None:
            self.watch.__enter__()
        else:
            self.watch._router = make_router()
            core = Watcher(path, self.watch.options, "dir", self.watch._router, disk)
            self.watch._core = core
            core.start()
        self.start = {} if options.get("existing") else self.watch.entries()
        if after is not None:
            self.start = check_stream(after.events, after.start).entries
        self.events: list[limpet.Event] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.watch.close()
        check_stream(self.events, self.start)

    def until(self, wanted: str, *, times: int = 1) -> list[str]:
        """Return all events so far, once one was there so many times."""
        end = time.monotonic() + PATIENCE
        while self.shown().count(wanted) < times:
            assert time.monotonic() < end, (wanted, self.shown())
            event = self.watch.next(0.5)
            if event is not None:
                self.events.append(event)
        return self.shown()

    def pause(self, seconds: float) -> None:
        """Take events for a while, as a consumer does."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            event = self.watch.next(left)
            if event is not None:
                self.events.append(event)

    def shown(self) -> list[str]:
        return [describe(event) for event in self.events]

    def settled(self) -> list[str]:
        return [line.removeprefix(SETTLED) for line in self.shown() if line.startswith(SETTLED)]

    def settled_at(self, name: str) -> float:
        (event,) = (one for one in self.events if describe(one) == SETTLED + name)
        return event.time


def test_a_tree_that_is_copied_in_with_pauses(tmp_path: Path, backend: Any) -> None:
    """One event for the topmost folder, after all in it, and not in a pause of the copy."""
    with Watched(tmp_path, backend, settle_dir=0.3) as watched:
        written = time.time()
        for number in range(4):
            (tmp_path / "a" / f"b{number}" / "c").mkdir(parents=True)
            (tmp_path / "a" / f"b{number}" / "c" / "f").write_text("1")
            written = time.time()
            watched.pause(0.1)
        if time.time() - written < 0.25:  # else this machine made a longer pause than was meant
            assert watched.settled() == []
        shown = watched.until("DirSettled a")
        assert shown[-1] == "DirSettled a"
        assert set(check_stream(watched.events, watched.start).entries) == set(listing(tmp_path))
        assert watched.settled_at("a") - written > 0.29
        event = watched.events[-1]
        assert isinstance(event, limpet.DirSettled)
        assert (event.kind, event.existing, event.own) == ("dir", False, False)
        assert event.stat.inode == (tmp_path / "a").stat().st_ino
        assert event.stat.mtime == pytest.approx((tmp_path / "a").stat().st_mtime)  # as it is now
        # It was reported: what comes now is new.
        (tmp_path / "a" / "late").mkdir()
        watched.until("DirSettled a/late")
        assert watched.settled() == ["a", "a/late"]


def test_each_write_begins_the_quiet_time_again(tmp_path: Path, backend: Any) -> None:
    """A file that grows deep below keeps its topmost folder unfinished, and no other."""
    with Watched(tmp_path, backend, settle_dir=0.3) as watched:
        (tmp_path / "busy" / "below").mkdir(parents=True)
        (tmp_path / "idle").mkdir()
        written = 0.0
        with (tmp_path / "busy" / "below" / "f").open("w") as file:
            while "idle" not in watched.settled():
                written = time.time()
                file.write("more")
                file.flush()
                watched.pause(0.02)
        watched.until("DirSettled busy")
        assert watched.settled() == ["idle", "busy"]
        assert watched.settled_at("busy") - written > 0.29


def test_renamed_and_deleted_meanwhile(tmp_path: Path, backend: Any) -> None:
    """The event has the name of now; a folder that is gone has none."""
    (tmp_path / "known").mkdir()
    with Watched(tmp_path, backend) as watched:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "gone" / "b").mkdir(parents=True)
        watched.until("DirCreated gone/b")
        watched.until("DirCreated a/b")
        (tmp_path / "a").rename(tmp_path / "known" / "z")
        shutil.rmtree(tmp_path / "gone")
        watched.until("DirSettled known/z")
        watched.pause(2 * QUIET)
        assert watched.settled() == ["known/z"]


def test_moved_out_of_one_that_is_not_finished(tmp_path: Path, kernel_backend: Any) -> None:
    """It came, so it is reported too, by itself."""
    with Watched(tmp_path, kernel_backend) as watched:
        (tmp_path / "a" / "b").mkdir(parents=True)
        watched.until("DirCreated a/b")
        (tmp_path / "a" / "b").rename(tmp_path / "b")
        watched.until("DirSettled b")
        watched.until("DirSettled a")
        assert sorted(watched.settled()) == ["a", "b"]


def test_moved_in(tmp_path: Path, backend: Any) -> None:
    """A tree that is moved in at once is finished a moment later."""
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "t" / "u").mkdir(parents=True)
    (tmp_path / "t" / "u" / "f").write_text("1")
    with Watched(place, backend) as watched:
        (tmp_path / "t").rename(place / "t")
        shown = watched.until("DirSettled t")
        assert shown == ["DirCreated t", "DirCreated t/u", "FileCreated t/u/f", "DirSettled t"]


def test_what_is_there_at_the_start(tmp_path: Path, backend: Any) -> None:
    """With ``existing``, the folders at the first level; without, none of them."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    with Watched(tmp_path, backend, existing=True) as watched:
        watched.until("DirSettled a")
        watched.until("DirSettled c")
        assert sorted(watched.settled()) == ["a", "c"]
        assert all(
            event.existing for event in watched.events if isinstance(event, limpet.DirSettled)
        )
    with Watched(tmp_path, backend) as watched:
        (tmp_path / "d").mkdir()
        watched.until("DirSettled d")
        watched.pause(QUIET)
        assert watched.settled() == ["d"]


def test_a_target_that_appears(tmp_path: Path, backend: Any) -> None:
    """Its folders come with it."""
    place = tmp_path / "place"
    with Watched(place, backend) as watched:
        (tmp_path / "made" / "a" / "b").mkdir(parents=True)
        (tmp_path / "made").rename(place)
        watched.until("DirSettled a")
        assert watched.settled() == ["a"]


def test_a_file_that_is_held(tmp_path: Path, backend: Any) -> None:
    """With ``settle`` the held file comes first, however long it is held."""
    with Watched(tmp_path, backend, settle=0.4, settle_until="quiet", settle_dir=0.02) as watched:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "f").write_text("1")
        shown = watched.until("DirSettled a")
        assert shown == ["DirCreated a", "FileCreated a/f", "DirSettled a"]


def test_between_two_polls(tmp_path: Path) -> None:
    """Where no hints come, the folder is scanned once more before it is called finished."""
    with Watched(tmp_path, "poll", poll_interval=3600) as watched:
        (tmp_path / "a" / "b").mkdir(parents=True)
        watched.events += watched.watch.fence()
        (tmp_path / "a" / "b" / "f").write_text("1")
        shown = watched.until("DirSettled a")
        assert shown == ["DirCreated a", "DirCreated a/b", "FileCreated a/b/f", "DirSettled a"]


def test_over_a_stop(tmp_path: Path, backend: Any) -> None:
    """What was not finished when the watch ended is waited for by the next."""
    place, state = tmp_path / "place", tmp_path / "state"
    (place / "old").mkdir(parents=True)
    with Watched(place, backend, state=state, settle_dir=3600) as watched:
        (place / "a" / "b").mkdir(parents=True)
        (place / "c").mkdir()
        (place / "e").mkdir()
        watched.until("DirCreated a/b")
        watched.until("DirCreated c")
        watched.until("DirCreated e")
        assert watched.settled() == []
    time.sleep(0.03)  # a rename is recognised by its birth time, once that is no longer young
    (place / "a").rename(place / "z")
    (place / "c").rmdir()
    with Watched(place, backend, state=state, after=watched) as second:
        second.until("DirSettled z")
        second.until("DirSettled e")
        assert sorted(second.settled()) == ["e", "z"]
    with Watched(place, backend, state=state, after=second) as third:
        (place / "last").mkdir()
        third.until("DirSettled last")
        assert third.settled() == ["last"]


def test_found_and_not_taken_over_a_stop(tmp_path: Path, backend: Any) -> None:
    """An event that was found and not handed out is handed out by the next run, and once."""
    place, state = tmp_path / "place", tmp_path / "state"
    place.mkdir()
    with Watched(place, backend, state=state) as watched:
        (place / "a").mkdir()
        watched.until("DirCreated a")
        core = watched.watch._core
        assert core is not None
        end = time.monotonic() + PATIENCE
        while not core.is_ready and time.monotonic() < end:
            core.examine()
            time.sleep(0.01)
    with Watched(place, backend, state=state, after=watched) as second:
        (place / "b").mkdir()
        shown = second.until("DirSettled b")
        assert shown.count("DirSettled a") == 1


class Refusing(FileSystemCalls):
    """A disk that opens no folder called ``closed``, while that is on."""

    refuses = True

    def open(self, path: str, *, follow: bool = False) -> Any:
        if self.refuses and path.endswith("/closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return super().open(path, follow=follow)

    def open_in(self, handle: Any, name: str, path: str) -> Any:
        if self.refuses and name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return super().open_in(handle, name, path)


def test_a_folder_that_cannot_be_read(tmp_path: Path, backend: Any) -> None:
    """What is not known is not finished; once it is known, it is."""
    disk = Refusing()
    with Watched(tmp_path, backend, disk=disk) as watched:
        (tmp_path / "a" / "closed").mkdir(parents=True)
        watched.until("Degraded a/closed (permission)")
        watched.pause(3 * QUIET)
        assert watched.settled() == []
        disk.refuses = False
        shown = watched.until("DirSettled a")
        assert shown.index("Recovered a/closed") < shown.index("DirSettled a")


def test_an_own_folder_that_is_left_out(tmp_path: Path, backend: Any) -> None:
    """A folder whose created event was dropped as own is not reported as finished either."""
    with Watched(tmp_path, backend) as watched:
        with limpet.own_write(tmp_path / "own"):
            (tmp_path / "own").mkdir()
        (tmp_path / "other").mkdir()
        watched.until("DirSettled other")
        watched.pause(2 * QUIET)
        assert watched.settled() == ["other"]


def test_it_is_for_folders_with_all_below() -> None:
    with pytest.raises(limpet.UsageError, match="settle_dir"):
        limpet.watch_dir("a", settle_dir=1, recursive=False)
    with pytest.raises(limpet.UsageError, match=r"settle_dir.*watch_dir"):
        limpet.watch_file("a", settle_dir=1)
    with pytest.raises(limpet.UsageError, match="settle_dir must be at least 0"):
        limpet.watch_dir("a", settle_dir=-1)


def test_idle_without_a_folder_that_is_not_finished(tmp_path: Path, kernel_backend: Any) -> None:
    """With nothing to wait for, the option sets no timer."""
    with Watched(tmp_path, kernel_backend) as watched:
        core = watched.watch._core
        assert core is not None
        assert core.timeout() is None
        (tmp_path / "a").mkdir()
        watched.until("DirCreated a")
        assert 0 <= (core.timeout() or 0) <= QUIET
        watched.until("DirSettled a")
        assert core.timeout() is None


async def _settled(path: Path, backend: Any) -> list[str]:
    shown: list[str] = []
    async with limpet.watch_dir(path, backend=backend, settle_dir=QUIET, poll_interval=0.02) as w:
        (path / "a").mkdir()
        async for event in w:
            shown.append(describe(event))
            if shown[-1].startswith(SETTLED):
                break
    return shown


@pytest.mark.anyio
async def test_in_an_event_loop(tmp_path: Path, backend: Any) -> None:
    """The consumer that waits is woken by the time alone."""
    assert await _settled(tmp_path, backend) == ["DirCreated a", "DirSettled a"]
