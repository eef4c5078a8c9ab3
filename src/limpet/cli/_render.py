"""Events as bytes for standard output, one renderer for each ``--format``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol, TextIO, assert_never

from limpet._wire import (
    Json,
    cloudevent_of,
    dump_line,
    put_path,
    to_cloudevent,
    to_json_line,
    wire_time,
)
from limpet.cli._plan import Format, TargetKind
from limpet.cli._watching import Stats
from limpet.events import (
    Degraded,
    DirCreated,
    DirRenamed,
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

__all__ = [
    "STYLES",
    "TYPE_WIDTH",
    "CloudEvents",
    "JsonLines",
    "Paths",
    "Ready",
    "Renderer",
    "Text",
    "describe",
    "encoding_of",
    "escape",
    "facts",
    "renderer_for",
    "stats_line",
]

TYPE_WIDTH: Final = len("file.created")
"""The longest type of an entry event; all columns after it line up on a terminal."""

STYLES: Final = {
    "created": "green",
    "updated": "yellow",
    "renamed": "cyan",
    "deleted": "red",
    "ready": "dim",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """From here on, all that happens at ``root`` is seen."""

    root: Path
    kind: TargetKind
    backend: str
    session: str
    time: float


class Renderer(Protocol):
    """How events are written; what it gives is a whole number of lines, or nothing."""

    @property
    def structured(self) -> bool:
        """Whether events about the watch belong into the stream, for a program to read."""
        ...

    def ready(self, ready: Ready) -> bytes:
        """Give the first line of a watch; nothing if the format has no place for it."""
        ...

    def event(self, event: Event, session: str) -> bytes:
        """Give the event's line; nothing if the format has no place for it."""
        ...


def renderer_for(form: Format, stream: TextIO | None) -> Renderer:
    """Give the renderer for a format; text is coloured and aligned if ``stream`` is a terminal."""
    match form:
        case "text":
            if stream is not None and stream.isatty():
                from limpet.cli._terminal import Terminal

                return Terminal(stream)
            return Text(encoding_of(stream))
        case "jsonl":
            return JsonLines()
        case "cloudevents":
            return CloudEvents()
        case "paths0":
            return Paths()
        case _:
            assert_never(form)


class Text:
    """One line for each event, its columns separated by tabs: time, type, path, facts."""

    structured = False

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding

    def ready(self, ready: Ready) -> bytes:
        """See `Renderer`."""
        return self._line(
            _utc(ready.time), "watch.ready", escape(str(ready.root)), f"backend={ready.backend}"
        )

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        del session
        path = getattr(event, "path", event.location)
        kind = event_name(type(event))
        return self._line(_utc(event.time), kind, escape(str(path)), *facts(event))

    def _line(self, *columns: str) -> bytes:
        return ("\t".join(columns) + "\n").encode(self._encoding, "backslashreplace")


class JsonLines:
    """One wire object a line, by ``event.schema.json``."""

    structured = True

    def ready(self, ready: Ready) -> bytes:
        """See `Renderer`."""
        return dump_line(ready_wire(ready))

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        return to_json_line(event, session=session)


class CloudEvents:
    """One CloudEvents object a line, in structured mode."""

    structured = True

    def ready(self, ready: Ready) -> bytes:
        """See `Renderer`."""
        wire = ready_wire(ready)
        wire |= {"id": f"{ready.session}.0", "observed_at": wire_time(round(ready.time * 1e6))}
        return dump_line(cloudevent_of(wire, ready.root))

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        return dump_line(to_cloudevent(event, session=session))


class Paths:
    """Each entry event's path as the bytes it has on disk, ended by a NUL: for ``xargs -0``."""

    structured = False

    def ready(self, ready: Ready) -> bytes:
        """See `Renderer`."""
        del ready
        return b""

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        del session
        return os.fsencode(event.path) + b"\0" if isinstance(event, EntryEvent) else b""


def ready_wire(ready: Ready) -> Json:
    """Give the first object of a watch; it is no event, and so has no ``seq``."""
    wire: Json = {"v": 1, "type": "watch.ready"}
    put_path(wire, "root", ready.root)
    wire |= {"kind": ready.kind, "backend": ready.backend, "session": ready.session}
    return wire


def stats_line(root: Path, stats: Stats, *, structured: bool) -> str:
    """Give a watch's figures as a line: a JSON object with its line feed, or words without one."""
    values = asdict(stats)
    if structured:
        wire: Json = {"v": 1, "type": "watch.stats"}
        put_path(wire, "root", root)
        return dump_line(wire | values).decode()
    words = " ".join(f"{key}={value}" for key, value in values.items())
    return f"watch.stats {escape(str(root))} {words}"


def describe(event: Event) -> str:
    """Say in one plain line what a watch has to say about itself, for standard error."""
    match event:
        case Degraded():
            said = f"{escape(str(event.path))}: {escape(event.message)} ({event.reason})"
        case Recovered():
            said = f"{escape(str(event.path))} can be seen again"
        case Rescanned():
            said = f"{escape(str(event.location))} was looked at again ({event.reason})"
        case Mismatched():
            said = (
                f"{escape(str(event.location))} is a {event.found}, not a {event.expected}: "
                "waiting for that to change"
            )
        case _:
            said = escape(str(event.location))
    return f"{event_name(type(event))} {said}"


def facts(event: Event) -> Iterator[str]:
    """Give what else there is to say about an event, each as ``key=value`` or a word, escaped."""
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
        case FileRenamed() | DirRenamed():
            yield f"from={escape(str(event.source))}"
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
    if isinstance(event, FileCreated | FileUpdated) and event.content_error is not None:
        yield f"content={event.content_error}"
    if event.origin != "live":
        yield f"origin={event.origin}"
    if isinstance(event, Degraded):
        yield escape(event.message)


def escape(text: str) -> str:
    r"""Give the text as printable characters only, so that no line breaks and no terminal obeys.

    Control characters, separators other than a space, and marks without a shape of their own become
    ``\n``, ``\x1b`` or ``\u202e``; a byte that is not UTF-8 becomes ``\xff``. A backslash becomes
    two, where it does not separate folders: no two names look the same.
    """
    if text.isprintable() and ("\\" not in text or os.sep == "\\"):
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character == "\\":
        return character if os.sep == "\\" else "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: a byte above 0x7f that could not be decoded
        return f"\\x{code - 0xDC00:02x}"
    if code >= 0x80:
        return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\x{code:02x}")


def encoding_of(stream: TextIO | None) -> str:
    """Give the encoding a text stream wants; what it cannot say is escaped."""
    return getattr(stream, "encoding", None) or "utf-8"


def _utc(moment: float) -> str:
    """Give the moment in UTC to the millisecond, as RFC 3339."""
    whole, fraction = divmod(int(moment * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{fraction:03d}Z"
