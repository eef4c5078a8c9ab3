"""What events say is on disk, and what is there: the laws of the event contract."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from limpet import events as ev
from limpet.events import Event, Kind


class StreamError(AssertionError):
    """A stream breaks a law of the event contract; the text names the event and the law."""


def listing(location: str | os.PathLike[str]) -> dict[Path, Kind]:
    """Walk the disk: return every entry at and below ``location`` with its kind, no link followed.

    Empty if there is no directory; a directory that cannot be read has no content.
    """
    root = Path(location)
    found: dict[Path, Kind] = {}
    if not root.is_dir():
        return found
    found[root] = "dir"
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        try:
            entries = list(os.scandir(directory))
        except OSError:
            continue
        for entry in entries:
            path = directory / entry.name
            if entry.is_symlink():
                found[path] = "symlink"
            elif entry.is_dir(follow_symlinks=False):
                found[path] = "dir"
                waiting.append(path)
            else:
                found[path] = "file" if entry.is_file(follow_symlinks=False) else "other"
    return found


class Mirror:
    """A listing that is kept up to date by events alone.

    ```python
    mirror = Mirror(watch.entries())
    for event in events:
        mirror.apply(event)
    assert mirror.paths() == set(listing(location))
    ```

    Raises:
        StreamError: From ``apply``: the event does not fit what went before (law L2). The mirror is
            unchanged.
    """

    def __init__(self, entries: Mapping[Path, Kind] | None = None) -> None:
        self.entries: dict[Path, Kind] = dict(entries or {})
        self._children: dict[Path, set[Path]] = {}
        for path in self.entries:
            self._children.setdefault(path.parent, set()).add(path)

    def paths(self) -> set[Path]:
        """Return every path that is there, the target included."""
        return set(self.entries)

    def apply(self, event: Event) -> None:
        """Replay one event."""
        match event:
            case ev.FileCreated() | ev.DirCreated():
                self._create(event)
            case ev.FileUpdated() | ev.DirUpdated() | ev.DirSettled():
                self._demand(event, event.path)
                if isinstance(event, ev.FileUpdated):
                    self.entries[event.path] = event.kind
            case ev.FileRenamed() | ev.DirRenamed():
                self._rename(event)
            case ev.FileDeleted() | ev.DirDeleted():
                self._demand(event, event.path)
                if self._children.get(event.path):
                    self._fail(event, "a directory is deleted before what is in it")
                self._remove(event.path)
            case _:
                pass

    def _create(self, event: ev.FileCreated | ev.DirCreated) -> None:
        if event.path in self.entries:
            self._fail(event, "created while present")
        self._demand_parent(event, event.path)
        self._add(event.path, event.kind)

    def _rename(self, event: ev.FileRenamed | ev.DirRenamed) -> None:
        self._demand(event, event.source)
        present = event.path in self.entries
        if present and event.replaced is None:
            self._fail(event, "renamed onto a name that is present, without saying so")
        if not present and event.replaced is not None:
            self._fail(event, "says it replaced something where nothing was")
        if self._children.get(event.path):
            self._fail(event, "renamed onto a directory that is not empty")
        if event.source == event.path or event.path.is_relative_to(event.source):
            self._fail(event, "renamed into itself")
        self._demand_parent(event, event.path)
        if present:
            self._remove(event.path)
        moved = [event.source]
        for path in moved:
            moved.extend(self._children.get(path, ()))
        kinds = [(path, self.entries[path]) for path in moved]
        for path, _ in reversed(kinds):
            self._remove(path)
        for path, kind in kinds:
            self._add(event.path / path.relative_to(event.source), kind)

    def _add(self, path: Path, kind: Kind) -> None:
        self.entries[path] = kind
        self._children.setdefault(path.parent, set()).add(path)

    def _remove(self, path: Path) -> None:
        del self.entries[path]
        self._children.pop(path, None)
        self._children.get(path.parent, set()).discard(path)

    def _demand(self, event: ev.EntryEvent, path: Path) -> None:
        if path not in self.entries:
            self._fail(event, f"{path} is not present")
        is_dir = isinstance(event, ev.DirEvent)
        if (self.entries[path] == "dir") != is_dir:
            self._fail(event, f"{path} is a {self.entries[path]}")

    def _demand_parent(self, event: ev.EntryEvent, path: Path) -> None:
        if path != event.location and self.entries.get(path.parent) != "dir":
            self._fail(event, f"its folder {path.parent} is not present")

    @staticmethod
    def _fail(event: Event, why: str) -> None:
        message = f"event {event.seq} breaks L2: {describe(event)}: {why}"
        raise StreamError(message)


def check_stream(
    events: Iterable[Event], start: Mapping[Path, Kind] | None = None, *, first_seq: int = 1
) -> Mirror:
    """Verify a whole stream: law L2, gapless numbers, and time that never goes back.

    Args:
        events: All events of one watch since ``start``, in order, none left out.
        start: The listing the watch began with; empty if it began with ``existing=True``.
        first_seq: Number of the first event.

    Returns:
        The mirror after the last event, for law L1: compare it with ``listing(location)``.

    Raises:
        StreamError: A law is broken.
    """
    mirror = Mirror(start)
    expected, time = first_seq, 0.0
    for event in events:
        if event.seq != expected:
            message = f"event {event.seq} should have number {expected}: {describe(event)}"
            raise StreamError(message)
        if event.time < time:
            message = f"event {event.seq} goes back in time: {describe(event)}"
            raise StreamError(message)
        expected, time = expected + 1, event.time
        mirror.apply(event)
    return mirror


def describe(event: Event) -> str:
    """Return an event as one short line, as in scenarios: type, path below the location, detail.

    ``FileUpdated f {content,identity}``, ``FileRenamed a -> b``, ``TargetDirDeleted . (moved)``.
    Paths below the location have ``/`` between their parts on every system.
    """
    words = [type(event).__name__]

    def show(path: Path) -> str:
        try:
            return path.relative_to(event.location).as_posix()
        except ValueError:
            return os.fspath(path)

    match event:
        case ev.FileRenamed() | ev.DirRenamed():
            words.append(f"{show(event.source)} -> {show(event.path)}")
            if event.replaced is not None:
                words.append("(replaced)")
        case ev.FileUpdated() | ev.DirUpdated():
            words.append(f"{show(event.path)} {{{','.join(sorted(event.changes))}}}")
        case ev.TargetFileDeleted() | ev.TargetDirDeleted():
            words.append(f"{show(event.path)} ({event.reason})")
        case ev.EntryEvent():
            words.append(show(event.path))
        case ev.Degraded():
            words.append(f"{show(event.path)} ({event.reason})")
        case ev.Recovered():
            words.append(show(event.path))
        case ev.Rescanned():
            words.append(f"({event.reason})")
        case ev.Mismatched():
            words.append(f"({event.found})")
        case _:
            pass
    return " ".join(words)
