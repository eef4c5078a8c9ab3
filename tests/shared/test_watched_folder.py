"""``WatchedFolder``: real files, a clock that the test moves, and no sleep; ``assert_events``."""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio
import pytest

import limpet
from limpet.testing import WatchedFolder, assert_events, check_stream, describe, listing

LONG = 10_000.0
"""No test waits for so long: what comes after it came by the clock of the test."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return Path(os.path.realpath(tmp_path))


def shown(events: list[limpet.Event]) -> list[str]:
    return [describe(event) for event in events]


def test_events_come_when_the_test_asks(place: Path) -> None:
    """Exactly those of what happened since, in order; the listing follows from them."""
    with WatchedFolder(place) as folder:
        assert folder.settle() == []
        (folder / "a").write_text("text")
        (folder / "sub").mkdir()
        first = folder.settle()
        assert_events(first, ["DirCreated sub", "FileCreated a"], any_order=True)
        (folder / "a").rename(folder / "sub" / "b")
        (folder / "sub" / "b").write_text("more text")
        second = folder.settle()
        (folder / "sub" / "b").unlink()
        third = folder.settle()
        assert shown(third) == ["FileDeleted sub/b"]
        assert folder.settle() == []
    assert "FileRenamed a -> sub/b" in shown(second)
    events = [*first, *second, *third]
    assert check_stream(events, {place: "dir"}).entries == listing(place)


def test_what_is_held_waits_for_the_clock_of_the_test(place: Path) -> None:
    """Not a moment of real time passes for it; each is released at its own moment."""
    begin = time.monotonic()
    with WatchedFolder(place, settle=LONG, settle_until="quiet") as folder:
        (folder / "a").write_text("1")
        assert folder.advance(LONG - 1) == []
        (folder / "b").write_text("1")
        assert shown(folder.advance(1)) == ["FileCreated a"]
        assert folder.now == LONG
        (folder / "b").write_text("22")  # quiet begins anew
        assert folder.advance(LONG - 1) == []
        assert shown(folder.advance(1)) == ["FileCreated b"]
        (folder / "c").write_text("1")
        assert shown(folder.settle()) == ["FileCreated c"]
        assert folder.now == 3 * LONG
    assert time.monotonic() - begin < LONG


def test_a_folder_that_settles_is_reported_when_all_in_it_is_quiet(place: Path) -> None:
    with WatchedFolder(place, settle_dir=LONG, settle=5, settle_until="quiet") as folder:
        (folder / "new").mkdir()
        (folder / "new" / "a").write_text("1")
        assert shown(folder.advance(0)) == ["DirCreated new"]
        assert shown(folder.advance(5)) == ["FileCreated new/a"]
        assert shown(folder.settle()) == ["DirSettled new"]
        assert folder.settle() == []


def test_settle_ends_where_something_is_written_again_and_again(place: Path) -> None:
    """The options are those of ``watch_dir``; what stays open is released at ``settle_max``."""
    with (
        WatchedFolder(place, settle=1, settle_max=LONG, settle_until="closed") as folder,
        (folder / "a").open("w") as file,
    ):
        file.write("text")
        file.flush()
        assert [event.path.name for event in folder.settle() if hasattr(event, "path")] == ["a"]
        assert folder.settle() == []


@pytest.mark.parametrize("backend", ["auto", "poll"])
def test_the_same_size_within_one_tick_is_a_change(place: Path, backend: str) -> None:
    """Deterministic also where time stamps are coarse."""
    with WatchedFolder(place, backend=backend, settle=0) as folder:  # type: ignore[arg-type]
        (folder / "a").write_text("0")
        assert shown(folder.settle()) == ["FileCreated a"]
        for at in range(1, 30):
            (folder / "a").write_text(str(at % 10))
            (event,) = folder.settle()
            assert isinstance(event, limpet.FileUpdated)


def test_a_poll_comes_by_its_clock(place: Path) -> None:
    """Also a re-scan in intervals: an hour passes at once."""
    with WatchedFolder(place, backend="poll", rescan_interval=3600.0) as folder:
        assert shown(folder.advance(3599)) == []
        assert shown(folder.advance(1)) == ["Rescanned (interval)"]
        assert shown(folder.advance(7200)) == ["Rescanned (interval)"] * 2


def test_it_is_opened_closed_and_opened_with_other_options(place: Path) -> None:
    folder = WatchedFolder(place, include="*.txt")
    with pytest.raises(RuntimeError, match="not open"):
        folder.settle()
    assert folder.open() is folder
    (folder / "a.log").touch()
    assert folder.settle() == []
    folder.reopen(exclude="b*", existing=True)
    (folder / "c.txt").touch()
    (folder / "b.txt").touch()
    assert "FileCreated c.txt" in shown(folder.settle())
    folder.close()
    folder.close()
    (folder / "d.txt").touch()  # nobody watches
    with folder:
        assert "FileCreated d.txt" in shown(folder.settle())  # existing=True stayed
    assert os.fspath(folder) == os.fspath(place)
    assert repr(str(place)) in repr(folder)


def test_types_and_only_choose(place: Path) -> None:
    with WatchedFolder(
        place, types=limpet.FileEvent, only=lambda event: describe(event) != "FileCreated b"
    ) as folder:
        (folder / "d").mkdir()
        (folder / "a").touch()
        (folder / "b").touch()
        assert_events(folder, [limpet.FileCreated])


def test_what_is_wrong_is_said_at_once(place: Path) -> None:
    with pytest.raises(limpet.UsageError, match="recursiv"):
        WatchedFolder(place, recursiv=True)  # type: ignore[call-arg]
    with WatchedFolder(place) as folder:
        for seconds in (-1, float("nan")):
            with pytest.raises(limpet.UsageError, match="from 0"):
                folder.advance(seconds)


def created(place: Path, *names: str) -> list[limpet.Event]:
    with WatchedFolder(place) as folder:
        found: list[limpet.Event] = []
        for name in names:
            (folder / name).touch()
            found += folder.settle()
    return found


def test_the_difference_has_a_line_for_each_event(place: Path) -> None:
    """What came, what did not and what was not expected, in their order."""
    events = created(place, "a", "b", "c")
    assert assert_events(events, ["FileCreated a", limpet.FileCreated, "FileCreated c"]) == events
    with pytest.raises(AssertionError) as failure:
        assert_events(events, ["FileCreated a", limpet.FileDeleted, "FileCreated c"])
    assert str(failure.value).splitlines() == [
        "3 events came, 3 were expected",
        "(-: did not come, +: was not expected)",
        "  FileCreated a",
        "- FileDeleted",
        "+ FileCreated b",
        "  FileCreated c",
    ]
    with pytest.raises(AssertionError, match=r"3 events came, 1 were expected"):
        assert_events(events, ["FileCreated a"])


def test_another_order_is_named_as_such_and_can_be_allowed(place: Path) -> None:
    events = created(place, "a", "b")
    wanted = ["FileCreated b", "FileCreated a"]
    with pytest.raises(AssertionError, match="in another order"):
        assert_events(events, wanted)
    assert assert_events(events, wanted, any_order=True) == events
    assert_events(events, [limpet.FileCreated, "FileCreated a"], any_order=True)
    for short in (
        ["FileCreated b"],
        ["FileCreated b", "FileCreated b"],
        [*wanted, "FileCreated c"],
    ):
        with pytest.raises(AssertionError):
            assert_events(events, short, any_order=True)


def test_a_watch_is_asked_for_its_events(place: Path) -> None:
    with limpet.watch_dir(place).sync() as watch:
        (place / "a").touch()
        assert_events(watch, ["FileCreated a"])
    with limpet.watch(place).sync() as several:
        (place / "b").touch()
        assert_events(several, ["FileCreated b"])


def test_what_is_no_event_is_refused(place: Path) -> None:
    """A watch of an event loop would have to be awaited: the message says how."""

    async def asked() -> None:
        async with limpet.watch_dir(place) as watch:
            with pytest.raises(limpet.UsageError, match="event loop"):
                assert_events(watch, [])  # type: ignore[arg-type]  # that is what is tested
            (place / "a").touch()
            await watch.fence()
            assert_events(await anext(watch.batches()), ["FileCreated a"])

    anyio.run(asked)
    for wrong in ("FileCreated a", [None], 5):
        with pytest.raises(limpet.UsageError, match="no event"):
            assert_events(wrong, [])  # type: ignore[arg-type]
    with pytest.raises(limpet.UsageError, match="no expected event"):
        assert_events([], [int])  # type: ignore[list-item]
    with pytest.raises(limpet.UsageError, match="no expected event"):
        assert_events([], [Path("a")])  # type: ignore[list-item]
