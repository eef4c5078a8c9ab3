"""Events as bytes for standard output, one renderer for each ``--format``."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, assert_never

from limpet._wire import (
    Json,
    cloudevent_of,
    dump_line,
    put_path,
    to_cloudevent,
    to_json_line,
    wire_time,
)
from limpet.cli._event_text import Ready, Renderer, encoding_of, escape, facts
from limpet.cli._watch_plan import Format
from limpet.events import EntryEvent, Event, event_name

if TYPE_CHECKING:
    from limpet.watch import WatchStats


def renderer_for(form: Format, stream: TextIO | None) -> Renderer:
    """Return the renderer of a format; text has colours and columns if ``stream`` is a terminal."""
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


class Text(Renderer):
    """One line for each event, its columns separated by tabs: time, type, path, facts."""

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


class JsonLines(Renderer):
    """One wire object a line, by ``event.schema.json``."""

    structured = True

    def ready(self, ready: Ready) -> bytes:
        """See `Renderer`."""
        return dump_line(ready_wire(ready))

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        return to_json_line(event, session=session)


class CloudEvents(Renderer):
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


class Paths(Renderer):
    """Each entry event's path as the bytes it has on disk, ended by a NUL: for ``xargs -0``."""

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        del session
        return os.fsencode(event.path) + b"\0" if isinstance(event, EntryEvent) else b""


def ready_wire(ready: Ready) -> Json:
    """Return the first object of a watch, which is not an event and has no ``seq``."""
    wire: Json = {"v": 1, "type": "watch.ready"}
    put_path(wire, "root", ready.root)
    wire |= {"kind": ready.kind, "backend": ready.backend, "session": ready.session}
    return wire


def stats_line(root: Path, stats: WatchStats, *, structured: bool) -> str:
    """Return statistics as a line: a JSON object with its line feed, or words without one."""
    values = asdict(stats)
    if structured:
        wire: Json = {"v": 1, "type": "watch.stats"}
        put_path(wire, "root", root)
        return dump_line(wire | values).decode()
    words = " ".join(f"{key}={value}" for key, value in values.items())
    return f"watch.stats {escape(str(root))} {words}"


def _utc(moment: float) -> str:
    """Return the moment in UTC to the millisecond, as RFC 3339."""
    whole, fraction = divmod(int(moment * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{fraction:03d}Z"
