"""Whole watches whose hints come from the source ``windows``, on a real tree of this system.

The fake says what NTFS would say of each change. So what the watch makes of it is tested on every
system: renames, overflow, the end of the folder and its return, a file system that reports nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import limpet
from limpet.backends._windows_api import INVALID_FUNCTION
from limpet.testing import describe
from limpet.watching.index._entry_record import RACY_NS
from tests.waiting import PATIENCE, until_sync
from tests.watch.windows.buffers import (
    ADDED,
    MODIFIED,
    NEW_NAME,
    OLD_NAME,
    REMOVED,
)
from tests.watch.windows.place import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    path = tmp_path.resolve() / "place"
    path.mkdir()
    made = Place(path)
    made.install(monkeypatch)
    yield made
    made.verify()


def grow_old() -> None:
    """Return once the birth time of what was made until now is a proof; no timer examines it."""
    made = time.time_ns()
    until_sync(lambda: time.time_ns() - made > 4 * RACY_NS)


def following(watch: limpet.SyncWatch, number: int) -> list[str]:
    """The next events, without a fence: only hints name what is examined."""
    found: list[str] = []
    for _ in range(number):
        event = watch.next(timeout=PATIENCE)
        assert event is not None, found
        found.append(describe(event))
    return sorted(found)


def test_a_change_is_found_by_its_hint(place: Place) -> None:
    with place.watch() as watch:
        (place.path / "a").write_text("1")
        place.say((ADDED, "a", 1), (MODIFIED, "a", 1))
        assert following(watch, 1) == ["FileCreated a"]
        assert watch.stats().backend == "windows"


def test_a_young_file_that_moves_to_another_directory_is_renamed(place: Place) -> None:
    """Its birth time is no proof yet; the file id is, which NTFS gives to both records."""
    (place.path / "d").mkdir()
    (place.path / "e").mkdir()
    with place.watch() as watch:
        (place.path / "d" / "a").write_text("1")
        place.say((ADDED, "d\\a", 1))
        assert following(watch, 1) == ["FileCreated d/a"]
        (place.path / "d" / "b").write_text("1")
        os.rename(place.path / "d" / "b", place.path / "d" / "c")
        os.rename(place.path / "d" / "a", place.path / "e" / "b")
        place.say((REMOVED, "d\\a", 1), (ADDED, "e\\b", 1))
        assert following(watch, 1) == ["FileRenamed d/a -> e/b"]


def test_a_rename_of_a_directory_and_of_what_is_in_it(place: Place) -> None:
    (place.path / "d").mkdir()
    (place.path / "d" / "f").write_text("1")
    with place.watch() as watch:
        os.rename(place.path / "d", place.path / "e")
        os.rename(place.path / "e" / "f", place.path / "e" / "g")
        place.say((OLD_NAME, "d\\", 1), (NEW_NAME, "e\\", 1))
        place.say((OLD_NAME, "e\\f", 2), (NEW_NAME, "e\\g", 2), (MODIFIED, "e", 1))
        found = following(watch, 2)
        assert found == ["DirRenamed d -> e", "FileRenamed e/f -> e/g"]


def test_a_change_below_a_directory_that_was_just_renamed(place: Place) -> None:
    """Its path leads through a name that the index does not have yet."""
    (place.path / "d").mkdir()
    (place.path / "d" / "f").write_text("1")
    grow_old()
    with place.watch() as watch:
        os.rename(place.path / "d", place.path / "e")
        with (place.path / "e" / "f").open("a") as file:
            file.write("more")
        # In one buffer: nothing comes later that would name it again.
        place.say((OLD_NAME, "d\\", 1), (NEW_NAME, "e\\", 1), (MODIFIED, "e\\f", 2))
        assert following(watch, 2) == ["DirRenamed d -> e", "FileUpdated e/f {content}"]


def test_what_came_and_went_is_reported_where_that_is_an_option(place: Place) -> None:
    with place.watch(transient=True) as watch:
        place.say((ADDED, "a", 1), (REMOVED, "a", 1))
        assert following(watch, 2) == ["FileCreated a", "FileDeleted a"]


def test_a_hint_about_a_large_directory_lists_nothing(place: Place) -> None:
    """NTFS says of each change that the directory was modified, too."""
    inside = place.path / "d"
    inside.mkdir()
    for number in range(50):
        (inside / str(number)).write_text("1")
    with place.watch() as watch:
        (inside / "new").write_text("1")
        (inside / "7").write_text("silently")
        place.say((MODIFIED, "d", 1), (ADDED, "d\\new", 2))
        assert following(watch, 1) == ["FileCreated d/new"]
        place.say((MODIFIED, "d\\7", 3))
        assert following(watch, 1) == ["FileUpdated d/7 {content}"]


def test_a_directory_that_was_elsewhere_meanwhile_is_listed(place: Place, tmp_path: Path) -> None:
    inside = place.path / "d" / "e"
    inside.mkdir(parents=True)
    grow_old()
    with place.watch() as watch:
        os.rename(place.path / "d", tmp_path / "away")
        (tmp_path / "away" / "e" / "new").write_text("1")
        os.rename(tmp_path / "away", place.path / "d")
        place.say((REMOVED, "d\\", 1), (ADDED, "d\\", 1))
        assert following(watch, 1) == ["FileCreated d/e/new"]


def test_an_overflow_is_told_and_everything_is_examined(place: Place) -> None:
    with place.watch() as watch:
        (place.path / "a").write_text("1")
        place.api.overflow(place.text)
        assert following(watch, 2) == ["FileCreated a", "Rescanned (overflow)"]


def test_the_folder_is_deleted_and_comes_back(place: Place) -> None:
    with place.watch() as watch:
        place.path.rmdir()
        place.api.delete(place.text)
        assert following(watch, 1) == ["TargetDirDeleted . (deleted)"]
        assert place.api.opened == {}
        place.path.mkdir()
        place.api.make(place.text)
        assert following(watch, 1) == ["TargetDirCreated ."]
        (place.path / "a").write_text("1")
        until_sync(lambda: place.api.opened)
        place.say((ADDED, "a", 1))
        assert following(watch, 1) == ["FileCreated a"]


def test_a_read_that_ends_though_the_folder_is_there(place: Place) -> None:
    """Nobody knows what happened until it was begun again."""
    with place.watch() as watch:
        (place.path / "a").write_text("1")
        place.api.end_read(place.text, 64)
        assert following(watch, 2) == ["FileCreated a", "Rescanned (backend)"]


def test_a_file_system_that_reports_nothing_is_polled(place: Place) -> None:
    place.api.refuse = {True: INVALID_FUNCTION, False: INVALID_FUNCTION}
    (place.path / "d").mkdir()
    with limpet.watch_dir(place.path, poll_interval=0.05).sync() as watch:
        (found,) = following(watch, 1)
        assert found.startswith("Degraded")
        assert "unsupported" in found
        assert watch.stats().polled == 2
        (place.path / "d" / "a").write_text("1")
        assert following(watch, 1) == ["FileCreated d/a"]


@pytest.mark.parametrize("recursive", [True, False])
def test_what_is_below_is_reported_where_it_is_watched(place: Place, recursive: bool) -> None:
    with place.watch(recursive=recursive):
        (one,) = place.api.opened.values()
        assert one.below == recursive


def test_many_watches_and_their_end(place: Place) -> None:
    """One port for all of them; after the last, none."""
    with place.watch() as first:
        with place.watch() as second:
            assert place.api.ports == 1
            (place.path / "a").write_text("1")
            place.say((ADDED, "a", 1))
            assert following(first, 1) == following(second, 1) == ["FileCreated a"]
        assert len(place.api.opened) == 1
    assert place.api.ports == 0
