"""Tools to test programs that consume limpet's events, and limpet itself.

``Mirror`` replays events into a listing (law L1), ``check_stream`` holds a stream to the order it
promises (law L2), ``listing`` is a plain walk of the disk to compare with, and ``run_scenario``
runs a written scenario (steps on disk, then the events expected) against any backend.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from limpet import events as ev
from limpet.events import Event, Kind
from limpet.watching import RACY_NS

__all__ = [
    "Mirror",
    "StreamError",
    "check_stream",
    "describe",
    "listing",
    "parse_scenario",
    "perform",
    "run_scenario",
]


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


# -- scenarios -----------------------------------------------------------------------------------

_COMMANDS: Final = (
    "write", "append", "mkdir", "mkdirs", "rename", "swap", "delete", "rmtree", "chmod", "touch",
    "symlink", "link", "fifo", "age",
)  # fmt: skip


def parse_scenario(text: str) -> list[tuple[list[str], list[str]]]:
    """Read a scenario: blocks of steps and the events that one scan must find for them.

    Lines starting with ``$`` are steps, other lines are expected events as ``describe`` writes
    them; ``#`` starts a comment. Blocks follow each other; steps after events begin the next block.
    """
    blocks: list[tuple[list[str], list[str]]] = [([], [])]
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("$"):
            if blocks[-1][1]:
                blocks.append(([], []))
            blocks[-1][0].append(line[1:].strip())
        else:
            blocks[-1][1].append("" if line == "-" else line)
    return [(steps, [line for line in lines if line]) for steps, lines in blocks]


def perform(step: str, location: Path) -> None:
    """Carry out one step; paths are relative to the location, ``.`` is the location itself.

    ``write P TEXT``, ``append P TEXT``, ``mkdir P``, ``mkdirs P``, ``rename P Q``, ``swap P Q``,
    ``delete P`` (file or empty directory), ``rmtree P``, ``chmod MODE P``, ``touch P``, ``symlink
    TARGET P``, ``link P Q``, ``fifo P``, ``age`` (wait until everything there is old enough for the
    file system's clock to distinguish it from what comes next). ``@NAME`` is a path beside the
    location.

    Raises:
        ValueError: The step is not one of these.
        OSError: It failed.
    """
    command, *words = shlex.split(step)

    def at(word: str) -> Path:
        if word.startswith("@"):
            return location.parent / word[1:]
        return location if word == "." else location / word

    actions: dict[str, Callable[[], object]] = {
        "write": lambda: at(words[0]).write_bytes(" ".join(words[1:]).encode()),
        "append": lambda: _append(at(words[0]), " ".join(words[1:])),
        "mkdir": lambda: at(words[0]).mkdir(),
        "mkdirs": lambda: at(words[0]).mkdir(parents=True),
        "rename": lambda: os.replace(at(words[0]), at(words[1])),
        "swap": lambda: _swap(at(words[0]), at(words[1])),
        "delete": lambda: at(words[0]).rmdir() if _is_dir(at(words[0])) else at(words[0]).unlink(),
        "rmtree": lambda: shutil.rmtree(at(words[0])),
        "chmod": lambda: at(words[1]).chmod(int(words[0], 8)),
        "touch": lambda: at(words[0]).touch(),
        "symlink": lambda: at(words[1]).symlink_to(words[0]),
        "link": lambda: os.link(at(words[0]), at(words[1])),
        "fifo": lambda: _fifo(at(words[0])),
        "age": lambda: _age(location),
    }
    if command not in actions:
        message = f"unknown step {step!r}: use one of {', '.join(_COMMANDS)}"
        raise ValueError(message)
    actions[command]()


def run_scenario(
    text: str, location: Path, fence: Callable[[], list[Event]]
) -> list[tuple[list[str], list[str], list[str]]]:
    """Run a scenario against a running watch.

    Args:
        text: The scenario, see ``parse_scenario``.
        location: The location of the watch.
        fence: Returns all events so far, such as ``SyncWatch.fence``.

    Returns:
        For each block its steps, the events expected and the events that came.
    """
    outcome = []
    for steps, expected in parse_scenario(text):
        for step in steps:
            perform(step, location)
        outcome.append((steps, expected, [describe(event) for event in fence()]))
    return outcome


def _fifo(path: Path) -> None:
    make: Callable[[Path], None] | None = getattr(os, "mkfifo", None)
    if make is None:
        message = "there are no FIFOs on this system"
        raise OSError(message)
    make(path)


def _age(location: Path) -> None:
    youngest = max(path.lstat().st_ctime_ns for path in listing(location))
    while time.time_ns() < youngest + 2 * RACY_NS:
        time.sleep(0.001)


def _append(path: Path, text: str) -> None:
    with path.open("ab") as file:
        file.write(text.encode())


def _swap(first: Path, second: Path) -> None:
    between = first.with_name(first.name + ".between")
    first.rename(between)
    second.rename(first)
    between.rename(second)


def _is_dir(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
