"""The text of one event: what a terminal and a plain line both show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from limpet._printable import escape
from limpet.cli._watch_plan import TargetKind
from limpet.events import (
    Degraded,
    DirCreated,
    DirRenamed,
    DirSettled,
    DirUpdated,
    EntryEvent,
    Event,
    FileCreated,
    FileRenamed,
    FileUpdated,
    Mismatched,
    Recovered,
    Rescanned,
    TargetDirDeleted,
    TargetEvent,
    TargetFileDeleted,
    event_name,
)

_STYLES: Final = {
    "created": "green",
    "updated": "yellow",
    "renamed": "cyan",
    "deleted": "red",
    "settled": "blue",
    "ready": "dim",
}


class Ready(NamedTuple):
    """Reports that every later change at ``root`` is seen."""

    root: Path
    kind: TargetKind
    backend: str
    session: str
    time: float


class Renderer:
    """How events are written: as a whole number of lines, or nothing."""

    structured = False
    """Whether events about the watch are part of the stream, for a program to read."""

    def ready(self, ready: Ready) -> bytes:
        """Return the first line of a watch; empty if the format has no place for it."""
        del ready
        return b""

    def event(self, event: Event, session: str) -> bytes:
        """Return the event's line; empty if the format has no place for it."""
        raise NotImplementedError


def describe(event: Event) -> str:
    """Return one plain line about an event of the watch itself, for standard error."""
    place = escape(str(event.location))
    match event:
        case Degraded():
            text = f"{escape(str(event.path))}: {escape(event.message)} ({event.reason})"
        case Recovered():
            text = f"{escape(str(event.path))} is watched again"
        case Rescanned():
            text = f"{place} was scanned again ({event.reason})"
        case Mismatched():
            text = f"{place} is a {event.found}, not a {event.expected}: waiting for that to change"
        case _:
            text = place
    return f"{event_name(type(event))} {text}"


def facts(event: Event, shown: Callable[[Path], str] = str) -> Iterator[str]:
    """Yield further facts about an event, each as ``key=value`` or a word, escaped.

    Args:
        event: The event.
        shown: Returns the text for a path.
    """
    if isinstance(event, TargetEvent):
        yield "target"
    if isinstance(event, FileCreated | FileUpdated) and not getattr(event, "transient", False):
        yield f"size={event.stat.size}"
    match event:
        case FileUpdated() | DirUpdated():
            yield f"changes={','.join(sorted(event.changes))}"
        case FileCreated() | DirCreated():
            if event.transient:
                yield "transient"
        case DirSettled():
            if event.existing:
                yield "existing"
        case FileRenamed() | DirRenamed():
            yield f"from={escape(shown(event.source))}"
            if event.replaced is not None:
                yield "replaced"
        case TargetFileDeleted() | TargetDirDeleted():
            yield f"reason={event.reason}"
        case Degraded() | Rescanned():
            yield f"reason={event.reason}"
        case Mismatched():
            yield from (f"found={event.found}", f"expected={event.expected}")
    if isinstance(event, EntryEvent):
        if event.kind in {"symlink", "other"}:
            yield f"kind={event.kind}"
        if event.own:
            yield "own"
        if event.who is not None:
            yield f"pid={event.who.pid}"
            if event.who.program is not None:
                yield f"program={escape(event.who.program)}"
    if isinstance(event, FileCreated | FileUpdated) and event.content_error is not None:
        yield f"content={event.content_error}"
    if event.origin != "live":
        yield f"origin={event.origin}"
    if isinstance(event, Degraded):
        yield escape(event.message)


def style_of(kind: str) -> str:
    """Return the style for the type of an event."""
    return _STYLES.get(kind.partition(".")[2], "magenta")


def encoding_of(stream: TextIO | None) -> str:
    """Return the encoding of a text stream; characters that it does not have are escaped."""
    return getattr(stream, "encoding", None) or "utf-8"
