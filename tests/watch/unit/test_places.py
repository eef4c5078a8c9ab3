"""A watch of several places: one stream, renames between them, places that come and go."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.testing import describe, perform

POLL: dict[str, Any] = {"poll_interval": 3600, "default_ignores": False}


def shown(events: list[limpet.Event], base: Path) -> list[str]:
    """Name events with paths below the folder of all places."""
    found = []
    for event in events:
        if isinstance(event, limpet.EntryEvent):
            name = event.path.relative_to(base).as_posix()
            source = getattr(event, "source", None)
            name = f"{source.relative_to(base).as_posix()} -> {name}" if source else name
            found.append(f"{type(event).__name__} {name}")
        else:
            found.append(describe(event))
    return found


def age(base: Path) -> None:
    """Wait until what is there can be told from what comes next by its times."""
    perform("age", base)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_one_stream_with_one_numbering(base: Path, backend: Any) -> None:
    (base / "f").write_text("1")
    places = (base / "a", limpet.Dir(base / "later"), base / "f", limpet.File(base / "new"))
    with limpet.watch(*places, backend=backend, **POLL).sync() as watch:
        assert [type(one).__name__ for one in watch.places] == ["Dir", "Dir", "File", "File"]
        (base / "a" / "1").write_text("1")
        (base / "f").write_text("22")
        (base / "later").mkdir()
        (base / "later" / "2").write_text("2")
        (base / "new").write_text("n")
        events = watch.fence()
        assert sorted(shown(events, base)) == [
            "FileCreated a/1", "FileCreated later/2", "TargetDirCreated later",
            "TargetFileCreated new", "TargetFileUpdated f",
        ]  # fmt: skip
        assert [event.seq for event in events] == [1, 2, 3, 4, 5]
        assert {event.location for event in events} == {
            base / "a", base / "later", base / "f", base / "new",
        }  # fmt: skip
        assert set(watch.entries()) == {
            base / name for name in ("a", "a/1", "f", "later", "later/2", "new")
        }
        assert set(watch.stats()) == {base / name for name in ("a", "later", "f", "new")}


def test_a_rename_from_one_place_into_another_is_one_event(base: Path, backend: Any) -> None:
    (base / "a" / "old").write_text("old")
    (base / "a" / "d" / "e").mkdir(parents=True)
    (base / "a" / "d" / "1").write_text("1")
    (base / "a" / "d" / "e" / "2").write_text("2")
    (base / "b" / "there").write_text("there")
    age(base)
    with limpet.watch(base / "a", base / "b", backend=backend, **POLL).sync() as watch:
        (base / "a" / "old").rename(base / "b" / "new")
        (event,) = watch.fence()
        assert shown([event], base) == ["FileRenamed a/old -> b/new"]
        assert isinstance(event, limpet.FileRenamed)
        assert (event.location, event.stat.size, event.kind) == (base / "b", 3, "file")

        (base / "a" / "d").rename(base / "b" / "d")
        assert shown(watch.fence(), base) == ["DirRenamed a/d -> b/d"]
        (base / "b" / "d" / "e" / "2").write_text("22")
        assert shown(watch.fence(), base) == ["FileUpdated b/d/e/2"]

        (base / "a" / "x").write_text("x")
        assert shown(watch.fence(), base) == ["FileCreated a/x"]
        age(base)
        watch.fence()
        os.replace(base / "a" / "x", base / "b" / "there")
        events = watch.fence()
        assert shown(events, base)[0] == "FileRenamed a/x -> b/there"
        assert isinstance(events[0], limpet.FileRenamed)
        assert events[0].replaced is not None
        assert events[0].previous is not None
        assert (base / "b" / "there") in watch.entries()
        assert not {base / "a" / "x", base / "a" / "d"} & set(watch.entries())


def test_what_changed_in_a_folder_that_moved_is_reported(base: Path, backend: Any) -> None:
    for name in ("keep", "go", "grow"):
        path = base / "a" / "d" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    age(base)
    with limpet.watch(base / "a", base / "b", backend=backend, **POLL).sync() as watch:
        (base / "a" / "d").rename(base / "b" / "d")
        (base / "b" / "d" / "go").unlink()
        (base / "b" / "d" / "come").write_text("come")
        (base / "b" / "d" / "grow").write_text("grown")
        (base / "a" / "d").mkdir()
        found = shown(watch.fence(), base)
    assert found[0] == "DirRenamed a/d -> b/d"
    assert sorted(found[1:]) == [
        "DirCreated a/d", "FileCreated b/d/come", "FileDeleted b/d/go", "FileUpdated b/d/grow",
    ]  # fmt: skip


def test_a_file_that_moves_between_places_is_not_held(base: Path, backend: Any) -> None:
    (base / "a" / "1").write_text("1")
    (base / "a" / "d").mkdir()
    (base / "a" / "d" / "2").write_text("2")
    age(base)
    options: dict[str, Any] = {"settle": 3600, "backend": backend, **POLL}
    with limpet.watch(base / "a", base / "b", **options).sync() as watch:
        (base / "a" / "1").rename(base / "b" / "1")
        assert shown(watch.fence(), base) == ["FileRenamed a/1 -> b/1"]
        (base / "a" / "d").rename(base / "b" / "d")
        assert shown(watch.fence(), base) == ["DirRenamed a/d -> b/d"]
        assert not sum(one.held for one in watch.stats().values())


def test_content_is_read_though_a_file_moved_in(base: Path, backend: Any) -> None:
    (base / "a" / "1").write_text("text")
    places = (limpet.Dir(base / "a"), limpet.Dir(base / "b", content="r"))
    with limpet.watch(*places, backend=backend, **POLL).sync() as watch:
        (base / "a" / "1").rename(base / "b" / "1")
        events = watch.fence()
        assert sorted(shown(events, base)) == ["FileCreated b/1", "FileDeleted a/1"]
        assert [getattr(e, "content", None) for e in events if e.location == base / "b"] == ["text"]


def test_of_two_places_inside_each_other_the_inner_one_reports(base: Path, backend: Any) -> None:
    (base / "a" / "in").mkdir()
    (base / "a" / "in" / "1").write_text("1")
    places = (limpet.Dir(base / "a" / "in"), limpet.Dir(base / "a"), limpet.File(base / "a" / "f"))
    with limpet.watch(*places, backend=backend, **POLL).sync() as watch:
        (base / "a" / "in" / "1").write_text("changed")
        (base / "a" / "f").write_text("f")
        (base / "a" / "g").write_text("g")
        events = watch.fence()
        assert sorted(shown(events, base)) == [
            "FileCreated a/g", "FileUpdated a/in/1", "TargetFileCreated a/f",
        ]  # fmt: skip
        age(base)
        watch.fence()
        (base / "a" / "in").rename(base / "a" / "out")
        found = shown(watch.fence(), base)
        assert {"DirCreated a/out", "TargetDirDeleted a/in"} <= set(found)
        assert set(watch.entries()) == {
            base / name for name in ("a", "a/f", "a/g", "a/out", "a/out/1")
        }


def test_types_and_only(base: Path, backend: Any) -> None:
    asked: list[str] = []

    def only(event: limpet.Event) -> bool:
        assert isinstance(event, limpet.FileEvent)
        assert getattr(event, "content", None) is None
        asked.append(event.path.name)
        return event.path.suffix == ".txt"

    options: dict[str, Any] = {"backend": backend, "content": "r", **POLL}
    types = (limpet.FileCreated, limpet.FileUpdated)
    for made in (
        limpet.watch(base / "a", types=types, only=only, **options),
        limpet.watch_dir(base / "a", types=types, only=only, **options),
    ):
        asked.clear()
        with made.sync() as watch:
            for name in ("1.txt", "2.bin", "3.txt"):
                (base / "a" / name).write_text(name)
            (base / "a" / "d").mkdir()
            events = watch.fence()
            assert sorted(asked) == ["1.txt", "2.bin", "3.txt"]
            assert sorted((e.seq, getattr(e, "content", 0)) for e in events) in (
                [(1, "1.txt"), (2, "3.txt")], [(1, "3.txt"), (2, "1.txt")],
            )  # fmt: skip
            for name in ("1.txt", "2.bin", "3.txt"):
                (base / "a" / name).unlink()
            (base / "a" / "d").rmdir()
            assert watch.fence() == []


def test_one_class_alone_and_the_target(base: Path, backend: Any) -> None:
    with limpet.watch_file(
        base / "f", types=limpet.events.TargetEvent, backend=backend, **POLL
    ).sync() as watch:
        (base / "f").write_text("")
        assert shown(watch.fence(), base) == ["TargetFileCreated f"]


@pytest.mark.parametrize("several", [True, False])
def test_an_error_of_only_is_raised_and_the_watch_goes_on(base: Path, several: bool) -> None:
    def only(event: limpet.Event) -> bool:
        assert isinstance(event, limpet.EntryEvent)
        if event.path.name == "2":
            message = "two"
            raise ValueError(message)
        return True

    make: Any = limpet.watch if several else limpet.watch_dir
    with make(base / "a", only=only).sync() as watch:
        for name in ("1", "2", "3"):
            (base / "a" / name).write_text("")
            watch._core.examine(force=True)
        batches = watch.batches()
        first = next(batches)
        assert shown(first, base) == ["FileCreated a/1"]
        with pytest.raises(ValueError, match="two"):
            watch.next()
        event = watch.next()
        assert shown([event], base) == ["FileCreated a/3"]
        assert event.seq == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"types": ()}, "types must name one class"),
        ({"types": [1]}, "types must be classes of events"),
        ({"types": [int]}, "types must be classes of events"),
        ({"types": 3}, "types must be classes of events"),
        ({"only": "*.py"}, "only must be a function"),
        ({"settle": "1"}, "settle must be"),
        ({"recursve": True}, "did you mean 'recursive'"),
    ],
)
def test_wrong_arguments(base: Path, arguments: dict[str, Any], words: str) -> None:
    for make in (limpet.watch, limpet.watch_dir, limpet.watch_file):
        with pytest.raises(limpet.UsageError, match=words):
            make(base / "a", **arguments)


@pytest.mark.parametrize("place", [1, None, "", "a\0b"], ids=["number", "none", "empty", "nul"])
def test_wrong_places(place: Any) -> None:
    for make in (limpet.watch, limpet.Dir, limpet.File):
        with pytest.raises(limpet.UsageError):
            make(place)


def test_what_is_not_there_must_say_what_it_will_be(base: Path) -> None:
    with pytest.raises(limpet.UsageError, match=r"limpet\.Dir\(.*limpet\.File\("):
        limpet.watch(base / "a", base / "nothing").sync().__enter__()
    with pytest.raises(limpet.UsageError, match="given twice"):
        limpet.watch(base / "a", limpet.Dir(base / "a", settle=1)).sync().__enter__()
    with pytest.raises(limpet.UsageError, match="for one place alone"):
        limpet.watch(base / "a", base / "b", state=base / "state").sync().__enter__()
    with pytest.raises(limpet.UsageError, match="settle_dir is for folders"):
        limpet.File(base / "f", settle_dir=1)
    limpet.watch(base / "a", limpet.File(base / "f"), settle_dir=1).sync().__enter__().close()


def test_options_of_a_place_come_before_those_of_all(base: Path, backend: Any) -> None:
    places = (limpet.Dir(base / "a", exclude="*.log"), limpet.Dir(base / "b"))
    with limpet.watch(*places, exclude="*.txt", backend=backend, **POLL).sync() as watch:
        for place in ("a", "b"):
            for name in ("1.log", "1.txt"):
                (base / place / name).write_text("")
        assert sorted(shown(watch.fence(), base)) == ["FileCreated a/1.txt", "FileCreated b/1.log"]


def test_what_moved_into_a_place_that_is_removed_is_deleted_where_it_was(
    base: Path, backend: Any
) -> None:
    """With all in it, in the order and with the numbers of the rest; also what moves on."""
    (base / "a" / "d").mkdir()
    for name in ("1", "2", "d/3"):
        (base / "a" / name).write_text("")
    age(base)
    with limpet.watch(base / "a", base / "b", backend=backend, **POLL).sync() as watch:
        os.rename(base / "a" / "1", base / "b" / "1")
        os.rename(base / "a" / "d", base / "b" / "d")
        (base / "b" / "new").write_text("")
        (base / "a" / "new").write_text("")
        watch._start()[0].examine(force=True)
        watch.remove(base / "b")
        os.rename(base / "a" / "2", base / "b" / "2")
        events = watch.fence()
        assert sorted(shown(events, base)) == [
            "DirDeleted a/d", "FileCreated a/new", "FileDeleted a/1", "FileDeleted a/2",
            "FileDeleted a/d/3",
        ]  # fmt: skip
        assert [event.seq for event in events] == [1, 2, 3, 4, 5]
        assert [event.time for event in events] == sorted(event.time for event in events)


def test_places_are_added_and_removed_while_it_runs(base: Path, backend: Any) -> None:
    (base / "b" / "there").write_text("")
    with limpet.watch(base / "a", backend=backend, **POLL).sync() as watch:
        watch.add(base / "b", limpet.File(base / "f"))
        watch.add(base / "b")  # it is watched already
        (base / "b" / "1").write_text("")
        (base / "f").write_text("")
        assert sorted(shown(watch.fence(), base)) == ["FileCreated b/1", "TargetFileCreated f"]
        (base / "b" / "2").write_text("")
        watch._start()[0].examine(force=True)
        watch.remove(base / "b")
        (base / "b" / "3").write_text("")
        (base / "a" / "1").write_text("")
        assert shown(watch.fence(), base) == ["FileCreated a/1"]
        with pytest.raises(limpet.UsageError, match="not a place of this watch"):
            watch.remove(base / "b")
        with pytest.raises(limpet.UsageError, match="cannot tell whether"):
            watch.add(base / "nothing")
        (base / "a" / "in").mkdir()
        with pytest.raises(limpet.UsageError, match="is inside the folder"):
            watch.add(limpet.Dir(base / "a" / "in", settle=2))
        watch.add(base / "a" / "in")  # its folder reports it
        watch.remove(limpet.File(base / "f"))
        assert [one.path for one in watch.places] == [base / "a"]
        watch.add(base / "b", base / "b")
        watch.close()
        watch.add(base / "b", base / "b")
        with watch:
            assert [one.path for one in watch.places] == [base / "a", base / "b"]


def test_what_is_there_of_a_place_that_is_added(base: Path, backend: Any) -> None:
    (base / "b" / "there").write_text("")
    with limpet.watch(base / "a", backend=backend, existing=True, **POLL).sync() as watch:
        assert shown(watch.fence(), base) == ["TargetDirCreated a"]
        watch.add(base / "b")
        assert shown(watch.fence(), base) == ["TargetDirCreated b", "FileCreated b/there"]


def test_state_of_each_place(base: Path, backend: Any) -> None:
    (base / "a" / "1").write_text("1")
    (base / "a" / "2").write_text("2")
    age(base)

    def watch() -> limpet.SyncMultiWatch:
        return limpet.watch(
            limpet.Dir(base / "a", state=base / "s1"), limpet.Dir(base / "b", state=base / "s2"),
            backend=backend, **POLL,
        ).sync()  # fmt: skip

    with watch() as first:
        (base / "a" / "1").rename(base / "b" / "1")
        first._start()[0].examine(force=True)  # one rename, found and not handed out
    with watch() as second:
        (base / "a" / "2").rename(base / "b" / "2")
        found = second.fence()
        assert sorted(shown(found, base)) == [
            "FileCreated b/1", "FileDeleted a/1", "FileRenamed a/2 -> b/2",
        ]  # fmt: skip
        age(base)
        second.fence()
    (base / "b" / "2").rename(base / "a" / "2")
    with watch() as third:
        assert shown(third.fence(), base) == ["FileRenamed b/2 -> a/2"]
    with watch() as fourth:
        assert fourth.fence() == []


def test_wake_and_stop_from_another_thread(base: Path) -> None:
    for make in (limpet.watch, limpet.watch_dir):
        with make(base / "a").sync() as watch:
            threading.Timer(0.05, watch.wake).start()
            assert watch.next() is None
            watch.wake()  # nobody waits: the next one returns
            assert watch.next() is None
            events: list[limpet.Event] = []

            def write_and_stop(watch: Any = watch) -> None:
                watch.wake()  # a loop goes on waiting
                (base / "a" / "1").write_text("")

            threading.Timer(0.05, write_and_stop).start()
            for event in watch:
                events.append(event)
                threading.Timer(0.05, watch.stop).start()
            assert shown(events, base) == ["FileCreated a/1"]
            assert watch.next() is None
            (base / "a" / "1").unlink()


def test_places_are_added_from_another_thread(base: Path) -> None:
    with limpet.watch().sync() as watch:
        added = threading.Event()

        def add() -> None:
            watch.add(base / "a")
            added.set()
            (base / "a" / "1").write_text("")

        threading.Timer(0.05, add).start()
        event = watch.next()
        assert added.is_set()
        assert event is not None
        assert shown([event], base) == ["FileCreated a/1"]


def test_it_is_pickled_as_what_was_asked_for(base: Path) -> None:
    made = limpet.watch(base / "a", limpet.Dir(base / "x", settle=1), types=limpet.FileCreated)
    again = pickle.loads(pickle.dumps(made))  # noqa: S301
    assert again.places == made.places == (limpet.Dir(base / "x", settle=1),)
    assert repr(again) == repr(made)
    with again.sync() as watch:
        (base / "a" / "1").write_text("")
        assert shown(watch.fence(), base) == ["FileCreated a/1"]


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("where", ["drain", "pass_on"])
def test_a_signal_handler_that_raises_leaves_no_lock_held(
    base: Path, several: bool, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ctrl-C may, at any call of an examination: neither the next one nor the end waits."""
    make: Any = limpet.watch if several else limpet.watch_dir
    with make(base / "a").sync() as watch:
        with monkeypatch.context() as patched:

            def interrupt(*_args: object, **_options: object) -> None:
                raise KeyboardInterrupt

            patched.setattr(watch._router, where, interrupt)
            with pytest.raises(KeyboardInterrupt):
                watch.fence()
        (base / "a" / "1").write_text("")
        assert shown(watch.fence(), base) == ["FileCreated a/1"]
