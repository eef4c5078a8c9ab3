"""Events as JSON for standard output; loaded where a format asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from limpet._wire import (
    Json,
    cloudevent_of,
    dump_line,
    put_path,
    to_cloudevent,
    to_json_line,
    wire_time,
)
from limpet.cli._event_text import Ready, Renderer
from limpet.events import Event


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


def ready_wire(ready: Ready) -> Json:
    """Return the first object of a watch, which is not an event and has no ``seq``."""
    wire: Json = {"v": 1, "type": "watch.ready"}
    put_path(wire, "root", ready.root)
    wire |= {"kind": ready.kind, "backend": ready.backend, "session": ready.session}
    return wire


def stats_object(root: Path, values: Mapping[str, object]) -> bytes:
    """Return the statistics of a watch as a line."""
    wire: Json = {"v": 1, "type": "watch.stats"}
    put_path(wire, "root", root)
    return dump_line(wire | dict(values))
