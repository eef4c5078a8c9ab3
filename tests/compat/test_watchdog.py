"""What the drop-in for watchdog calls handlers with, on the real disk."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limpet.compat.watchdog import events as we
from limpet.compat.watchdog.observers import Observer
from limpet.compat.watchdog.observers.api import BaseObserver
from limpet.compat.watchdog.observers.polling import PollingObserver
from tests.waiting import until_sync


class Seen(we.FileSystemEventHandler):
    """Remembers what it is called with, and in which thread."""

    def __init__(self) -> None:
        self.found: list[we.FileSystemEvent] = []
        self.threads: set[int] = set()

    def on_any_event(self, event: we.FileSystemEvent) -> None:
        self.threads.add(threading.get_ident())
        self.found.append(event)

    def wait(self, *wanted: we.FileSystemEvent) -> None:
        until_sync(
            lambda: all(one in self.found for one in wanted), lambda: f"{wanted}: {self.found}"
        )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def observer() -> Iterator[BaseObserver]:
    with Observer() as running:
        yield running


def created(path: Path | str) -> we.FileSystemEvent:
    return we.FileCreatedEvent(str(path))


def test_created_modified_moved_deleted(root: Path, observer: BaseObserver) -> None:
    """Each by its class; the folder is modified by what comes and goes."""
    seen, a, b = Seen(), str(root / "a"), str(root / "b")
    observer.schedule(seen, str(root), recursive=True)
    Path(a).write_text("1")
    seen.wait(created(a), we.DirModifiedEvent(str(root)), we.FileModifiedEvent(a))
    seen.found.clear()
    Path(a).write_text("two")
    seen.wait(we.FileModifiedEvent(a))
    os.rename(a, b)
    seen.wait(we.FileMovedEvent(a, b))
    os.unlink(b)
    seen.wait(we.FileDeletedEvent(b))
    (root / "d").mkdir()
    seen.wait(we.DirCreatedEvent(str(root / "d")))
    (root / "d").rmdir()
    seen.wait(we.DirDeletedEvent(str(root / "d")))
    assert seen.threads == {observer.ident}


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_modes_are_attributes(root: Path, observer: BaseObserver) -> None:
    """Of a file and of a directory."""
    seen = Seen()
    (root / "a").write_text("1")
    (root / "d").mkdir()
    observer.schedule(seen, root, recursive=True)
    (root / "a").chmod(0o600)
    (root / "d").chmod(0o700)
    seen.wait(we.FileAttribEvent(str(root / "a")), we.DirAttribEvent(str(root / "d")))


def test_a_renamed_directory_takes_all_with_it(root: Path, observer: BaseObserver) -> None:
    """What is in it follows, and is marked as synthetic."""
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "e" / "f").write_text("1")
    seen = Seen()
    observer.schedule(seen, root, recursive=True)
    (root / "d").rename(root / "n")
    old, new = str(root / "d"), str(root / "n")
    seen.wait(
        we.DirMovedEvent(old, new),
        we.DirMovedEvent(os.path.join(old, "e"), os.path.join(new, "e"), is_synthetic=True),
        we.FileMovedEvent(
            os.path.join(old, "e", "f"), os.path.join(new, "e", "f"), is_synthetic=True
        ),
    )


@pytest.mark.parametrize("given", [".", "src", "./src", "src/"])
def test_paths_begin_as_they_were_given(root: Path, observer: BaseObserver, given: str) -> None:
    """Relative ones stay relative."""
    seen = Seen()
    observer.schedule(seen, given, recursive=True)
    (root / "a").write_text("1")
    inside = "src/a" if given == "." else "a"
    seen.wait(created(os.path.join(given, *inside.split("/"))))


def test_folders_below_are_left_out_by_default(root: Path, observer: BaseObserver) -> None:
    """``recursive=False``."""
    (root / "d").mkdir()
    seen = Seen()
    observer.schedule(seen, root)
    (root / "d" / "a").write_text("1")
    (root / "b").write_text("1")
    seen.wait(created(root / "b"))
    assert created(root / "d" / "a") not in seen.found


def test_a_file_alone(root: Path, observer: BaseObserver) -> None:
    """Its neighbours are not reported; an atomic save keeps it watched."""
    path = root / "a"
    path.write_text("1")
    seen = Seen()
    observer.schedule(seen, path)
    for text in ("two", "three!"):
        seen.found.clear()
        (root / "new").write_text(text)
        os.replace(root / "new", path)
        seen.wait(we.FileModifiedEvent(str(path)))
    assert {one.src_path for one in seen.found} == {str(path)}


def test_chosen_events_alone(root: Path, observer: BaseObserver) -> None:
    """``event_filter`` names classes."""
    seen = Seen()
    (root / "a").write_text("1")
    observer.schedule(seen, root, event_filter=[we.FileDeletedEvent, we.FileMovedEvent])
    (root / "b").write_text("1")
    (root / "a").rename(root / "c")
    seen.wait(we.FileMovedEvent(str(root / "a"), str(root / "c")))
    (root / "c").unlink()
    seen.wait(we.FileDeletedEvent(str(root / "c")))
    assert {type(one) for one in seen.found} <= {we.FileDeletedEvent, we.FileMovedEvent}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="closes are not seen")
@pytest.mark.parametrize("by_filter", [False, True])
def test_files_that_were_closed(root: Path, observer: BaseObserver, *, by_filter: bool) -> None:
    """A handler with ``on_closed`` is called once a file is written; so is one by its filter."""
    path = root / "a"

    class Closed(Seen):
        def on_closed(self, event: we.FileClosedEvent) -> None:
            closed.append(event)

    closed: list[we.FileSystemEvent] = []
    seen = Closed()
    wanted: list[type[we.FileSystemEvent]] = [we.FileClosedEvent, we.FileCreatedEvent]
    watch = observer.schedule(seen, root, event_filter=wanted if by_filter else None)
    with path.open("w") as file:
        file.write("1")
        file.flush()
        seen.wait(created(path))
        assert not closed
    seen.wait(we.FileClosedEvent(str(path)))
    assert closed == [we.FileClosedEvent(str(path))]
    observer.unschedule(watch)


def test_polling(root: Path) -> None:
    """The argument is the time between two polls."""
    seen = Seen()
    with PollingObserver(timeout=0.02) as observer:
        observer.schedule(seen, root, recursive=True)
        (root / "a").write_text("1")
        seen.wait(created(root / "a"))
        shutil.rmtree(root)
        seen.wait(we.DirDeletedEvent(str(root)))
        root.mkdir()
        (root / "b").write_text("1")
        seen.wait(created(root / "b"))


def test_the_place_is_deleted_made_again_and_swapped(root: Path, observer: BaseObserver) -> None:
    """It is watched all the time, where watchdog goes deaf."""
    seen = Seen()
    observer.schedule(seen, root, recursive=True)
    shutil.rmtree(root)
    seen.wait(we.DirDeletedEvent(str(root)))
    root.mkdir()
    seen.wait(we.DirCreatedEvent(str(root)))
    (root / "a").write_text("1")
    seen.wait(created(root / "a"))
    (root.parent / "new").mkdir()
    (root.parent / "new" / "b").write_text("1")
    root.rename(root.parent / "old")
    (root.parent / "new").rename(root)
    seen.wait(created(root / "b"))
    (root / "c").write_text("1")
    seen.wait(created(root / "c"))


def test_a_package_that_is_made_at_once(root: Path, observer: BaseObserver) -> None:
    """Files are seen in folders that came a moment before."""
    seen = Seen()
    observer.schedule(seen, root, recursive=True)
    paths = [root / f"p{number}" / "q" / "m.py" for number in range(10)]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text("1")
    seen.wait(*map(created, paths))


def test_a_handler_that_fails(
    root: Path, observer: BaseObserver, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged; the handlers beside it and the later events go on."""
    seen, failed = Seen(), Seen()

    class Failing(we.FileSystemEventHandler):
        def on_created(self, event: we.FileSystemEvent) -> None:
            failed.found.append(event)
            raise ZeroDivisionError

    watch = observer.schedule(Failing(), root)
    observer.add_handler_for_watch(seen, watch)
    for name in ("a", "b"):
        (root / name).write_text("1")
        seen.wait(created(root / name))
    assert observer.is_alive()
    assert created(root / "b") in failed.found
    assert "a handler failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_handlers_come_and_go(root: Path, observer: BaseObserver) -> None:
    """A path is scheduled once, for all its handlers; what is not there is a KeyError."""
    one, two = Seen(), Seen()
    watch = observer.schedule(one, str(root))
    assert observer.schedule(two, str(root)) == watch
    (root / "a").write_text("1")
    one.wait(created(root / "a"))
    two.wait(created(root / "a"))
    observer.remove_handler_for_watch(one, watch)
    with pytest.raises(KeyError):
        observer.remove_handler_for_watch(one, watch)
    (root / "b").write_text("1")
    two.wait(created(root / "b"))
    assert created(root / "b") not in one.found
    observer.unschedule(watch)
    with pytest.raises(KeyError):
        observer.unschedule(watch)
    watch = observer.schedule(one, str(root))
    (root / "c").write_text("1")
    one.wait(created(root / "c"))
    assert created(root / "c") not in two.found


def test_a_handler_may_unschedule_its_path(root: Path, observer: BaseObserver) -> None:
    """And schedule another one."""
    seen, other = Seen(), root.parent / "other"
    other.mkdir()

    class Once(we.FileSystemEventHandler):
        def on_created(self, event: we.FileSystemEvent) -> None:
            observer.unschedule(watch)
            observer.schedule(seen, other)
            done.set()

    done = threading.Event()
    watch = observer.schedule(Once(), root)
    (root / "a").write_text("1")
    until_sync(done.is_set)
    (other / "b").write_text("1")
    seen.wait(created(other / "b"))


def test_a_slow_handler_loses_nothing(
    root: Path, observer: BaseObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into the queue waits in the watch."""
    observer._items.maxsize = 3
    gate = threading.Event()
    seen = Seen()

    class Slow(Seen):
        def on_any_event(self, event: we.FileSystemEvent) -> None:
            gate.wait(30)
            seen.on_any_event(event)

    observer.schedule(Slow(), root)
    paths = [root / str(number) for number in range(50)]
    for path in paths:
        path.write_text("1")
    until_sync(observer._items.full)
    gate.set()
    seen.wait(*map(created, paths))


def test_what_is_missing_is_an_error(root: Path) -> None:
    """When it starts, or at once if it runs; a later path is not harmed."""
    observer = Observer()
    observer.schedule(Seen(), str(root / "missing"))
    with pytest.raises(FileNotFoundError, match="missing"):
        observer.start()
    seen = Seen()
    with Observer() as running:
        with pytest.raises(FileNotFoundError, match="missing"):
            running.schedule(Seen(), str(root / "missing"))
        running.schedule(seen, root)
        (root / "a").write_text("1")
        seen.wait(created(root / "a"))


@pytest.mark.parametrize("make", [Observer, PollingObserver])
def test_the_end(root: Path, make: Any) -> None:
    """Before the start, twice, and while it runs; no thread is left."""
    before = threading.active_count()
    observer = make()
    observer.stop()
    observer = make()
    assert observer.daemon
    observer.schedule(Seen(), root, recursive=True)
    observer.start()
    assert observer.is_alive()
    observer.stop()
    observer.stop()
    observer.join()
    assert not observer.is_alive()
    until_sync(lambda: threading.active_count() == before)
    with pytest.raises(RuntimeError):
        observer.start()
