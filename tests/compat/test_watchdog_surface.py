"""The names, signatures and classes of the drop-in are those of the installed watchdog."""

from __future__ import annotations

import inspect
from pathlib import PureWindowsPath
from typing import Any

import pytest
import watchdog.events
import watchdog.observers
import watchdog.observers.api
import watchdog.observers.polling
import watchdog.utils
import watchdog.utils.patterns
import watchdog.version

from limpet.compat.watchdog import events, observers, utils, version
from limpet.compat.watchdog.observers import api, polling
from limpet.compat.watchdog.utils import patterns

METHODS = """schedule unschedule unschedule_all add_handler_for_watch remove_handler_for_watch start
    stop join is_alive should_keep_running on_thread_start on_thread_stop __enter__ run""".split()
EVENTS = [one for one in events.__all__ if one.endswith("Event")]
HANDLERS = [one for one in events.__all__ if one.endswith("Handler")]


def shape(function: Any) -> list[tuple[str, Any, str]]:
    """Return name, kind and default of each parameter."""
    return [
        (one.name, one.kind, str(one.default))
        for one in inspect.signature(function).parameters.values()
    ]


def test_every_event_and_handler_is_there() -> None:
    """Classes and constants, by name."""
    theirs = {
        name
        for name, value in vars(watchdog.events).items()
        if getattr(value, "__module__", "") == "watchdog.events" and inspect.isclass(value)
    } | {name for name in vars(watchdog.events) if name.startswith("EVENT_TYPE_")}
    assert theirs == set(events.__all__)
    for name in theirs:
        if name.startswith("EVENT_TYPE_"):
            assert getattr(events, name) == getattr(watchdog.events, name)
    assert version.VERSION_INFO == watchdog.version.VERSION_INFO
    assert version.VERSION_STRING == watchdog.version.VERSION_STRING


@pytest.mark.parametrize("name", EVENTS)
def test_events_are_the_same(name: str) -> None:
    """Signature, fields, type, text, bases, equality and hash."""
    ours, theirs = getattr(events, name), getattr(watchdog.events, name)
    assert shape(ours) == shape(theirs)
    mine, other = ours("/a", "/b", is_synthetic=True), theirs("/a", "/b", is_synthetic=True)
    assert repr(mine) == repr(other)
    assert vars(mine) == vars(other)
    assert (mine.event_type, mine.is_directory) == (other.event_type, other.is_directory)
    assert [one.__name__ for one in ours.__mro__] == [one.__name__ for one in theirs.__mro__]
    assert mine == ours("/a", "/b", is_synthetic=True)
    assert len({mine, ours("/a", "/b", is_synthetic=True), ours("/c")}) == 2


@pytest.mark.parametrize("name", HANDLERS)
def test_handlers_are_the_same(name: str) -> None:
    """Signatures of the class and of every public method; properties by name."""
    ours, theirs = getattr(events, name), getattr(watchdog.events, name)
    assert shape(ours) == shape(theirs)
    for one in [one for one in dir(theirs) if not one.startswith("_")]:
        mine, other = getattr(ours, one), getattr(theirs, one)
        if inspect.isfunction(other):
            assert shape(mine) == shape(other), one
        else:
            assert type(mine) is type(other), one


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (observers.Observer, watchdog.observers.Observer),
        (polling.PollingObserver, watchdog.observers.polling.PollingObserver),
    ],
)
def test_observers_are_the_same(ours: Any, theirs: Any) -> None:
    """Signatures of the class and of its methods."""
    assert shape(ours) == [one for one in shape(theirs) if one[0] != "generate_full_events"]
    for name in METHODS:
        assert shape(getattr(ours, name)) == shape(getattr(theirs, name)), name
    assert issubclass(ours, api.BaseObserver)
    assert ours().daemon
    assert ours(timeout=0.5).timeout == theirs(timeout=0.5).timeout
    with pytest.raises(TypeError):
        ours(timeout=True)


def test_scheduled_paths_are_the_same(tmp_path: Any) -> None:
    """What ``schedule`` returns: attributes, key, text and equality."""
    ours, theirs = api.ObservedWatch, watchdog.observers.api.ObservedWatch
    assert shape(ours) == shape(theirs)
    file = tmp_path / "a"
    file.write_text("1")
    for path in (".", "/a/", tmp_path, file, str(file)):
        mine, other = ours(path, recursive=True), theirs(path, recursive=True)
        assert vars(mine) == vars(other)
        assert (mine.key, repr(mine)) == (other.key, repr(other))
        assert mine == ours(path, recursive=True)
        assert hash(mine) == hash(ours(path, recursive=True))
    wanted: list[type[events.FileSystemEvent]] = [events.FileCreatedEvent]
    assert "event_filter=FileCreatedEvent" in repr(ours(".", recursive=True, event_filter=wanted))
    assert ours(".", recursive=True) != "."


def test_threads_and_globs_have_the_same_signatures() -> None:
    """The module ``utils``."""
    for name in utils.__all__:
        assert hasattr(watchdog.utils, name)
    for name in ("filter_paths", "match_any_paths"):
        assert shape(getattr(patterns, name)) == shape(getattr(watchdog.utils.patterns, name))


@pytest.mark.parametrize(
    ("path", "pattern", "matches"),
    [
        ("/home/me/a.py", "*.py", True),  # not in 7.x
        ("/home/me/a.py", "me/*.py", True),
        ("/home/me/a.py", "/home/*/*.py", True),
        ("/home/me/a.py", "*.txt", False),
        ("/home/me/A.PY", "*.py", False),
        ("a.py", "*.py", True),
        ("/home/.git/x/a.py", "*/.git/*", False),
        ("/home/.git/a.py", "*/.git/*", True),
        ("/home/me/a.py", "a*", True),
    ],
)
def test_globs_match_from_the_right_end(path: str, pattern: str, *, matches: bool) -> None:
    """As those of 6.x do."""
    assert patterns.match_any_paths([path], included_patterns=[pattern]) is matches
    upper = patterns.match_any_paths(
        [path.upper()], included_patterns=[pattern], case_sensitive=False
    )
    assert upper is PureWindowsPath(path).match(pattern)
    found = patterns.filter_paths([path], excluded_patterns=[pattern])
    assert list(found) == ([] if matches else [path])


def test_by_default_all_paths_match() -> None:
    """Absolute ones, too."""
    assert patterns.match_any_paths(["/a/b"])
    assert patterns.match_any_paths(["/a/b", "c"], excluded_patterns=["b"])


def test_globs_that_are_in_conflict() -> None:
    """A pattern is wanted or not."""
    with pytest.raises(ValueError, match="conflicting"):
        list(patterns.filter_paths(["a"], included_patterns=["*"], excluded_patterns=["*"]))
    with pytest.raises(ValueError, match="conflicting"):
        events.PatternMatchingEventHandler(patterns=["*.py"], ignore_patterns=["*.PY"])
    with pytest.raises(ValueError, match="conflicting"):
        events.RegexMatchingEventHandler(regexes=["a"], ignore_regexes=["a"])


class Seen:
    """Remembers what a handler was called with."""

    def __init__(self, handler: events.FileSystemEventHandler) -> None:
        self.found: list[events.FileSystemEvent] = []
        handler.on_any_event = self.found.append  # type: ignore[method-assign, assignment]
        self.handler = handler

    def dispatch(self, event: events.FileSystemEvent) -> bool:
        self.found.clear()
        self.handler.dispatch(event)
        return bool(self.found)


def test_handlers_are_called_for_their_paths() -> None:
    """By glob and by expression; both paths of a rename count."""
    created, moved = events.FileCreatedEvent("/p/a.py"), events.FileMovedEvent("/p/a.py", "/p/b.c")
    for handler in (
        events.PatternMatchingEventHandler(patterns=["*.py"], ignore_patterns=["*.txt"]),
        events.RegexMatchingEventHandler(regexes=[r".*\.py"], ignore_regexes=[r".*\.txt"]),
        events.RegexMatchingEventHandler(regexes=r".*\.PY"),  # type: ignore[arg-type]
    ):
        seen = Seen(handler)
        assert seen.dispatch(created)
        assert seen.dispatch(moved)
        assert not seen.dispatch(events.FileCreatedEvent("/p/a.c"))
    for policy, called in (("any", False), ("all", True)):
        handler = events.PatternMatchingEventHandler(
            ignore_patterns=["*.c"],
            ignore_policy=policy,  # type: ignore[arg-type]
        )
        assert Seen(handler).dispatch(moved) is called
    handler = events.PatternMatchingEventHandler(ignore_directories=True)
    assert not Seen(handler).dispatch(events.DirCreatedEvent("/p"))
    assert Seen(handler).dispatch(events.FileCreatedEvent(b"/p/a"))


def test_the_handler_that_logs(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each event."""
    caplog.set_level("INFO")
    handler = events.LoggingEventHandler()
    for event in (
        events.FileCreatedEvent("/a"),
        events.DirDeletedEvent("/b"),
        events.FileModifiedEvent("/c"),
        events.FileAttribEvent("/d"),
        events.DirMovedEvent("/e", "/f"),
    ):
        handler.dispatch(event)
    assert [one.getMessage() for one in caplog.records] == [
        "Created file: /a",
        "Deleted directory: /b",
        "Modified file: /c",
        "Attrib file: /d",
        "Moved directory: from /e to /f",
    ]
