"""The fields of an event that templates, conditions and commands can use."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Final

from mewbot.core import InputEvent

from limpet._suggest import near
from limpet._wire import Json, put_path, to_wire, wire_time
from limpet.bot.events._input_events import FileSystemInputEvent, LinesAddedInputEvent
from limpet.bot.settings._template import Template
from limpet.bot.settings._template_values import (
    PATH_ATTRIBUTES,
    MappingView,
    MissingFieldError,
)
from limpet.events import event_name

_SESSION: Final = os.urandom(8).hex()
"""For events created by hand."""


def wire_of(event: InputEvent) -> Json:
    """Return an event as one JSON object.

    An event of limpet's follows ``event.schema.json``. Others have their class and their public
    fields, as far as JSON can express them.
    """
    if isinstance(event, FileSystemInputEvent) and event.remote is not None:
        return dict(event.remote.data)
    if isinstance(event, FileSystemInputEvent) and not isinstance(event, LinesAddedInputEvent):
        wire = to_wire(event.event, session=event.session or _SESSION, name=event.io or None)
        if event.moved is not None:
            put_path(wire, "path", event.moved)
        return wire
    if isinstance(event, LinesAddedInputEvent):
        return _lines_wire(event)
    values = {key: value for key, value in _public(event).items() if key != "event"}
    kind = type(event)
    return {"type": f"{kind.__module__}.{kind.__qualname__}", "event": _jsonable(values, 0)}


def _lines_wire(event: LinesAddedInputEvent) -> Json:
    inner = event.event
    observed = round(inner.time * 1_000_000)
    wire: Json = {
        "v": 1,
        "id": f"{event.session or _SESSION}.{inner.generation}.{inner.start}",
        "type": "lines.added",
        "observed_at": wire_time(observed),
        "observed_us": observed,
        "watch": {"name": event.io or str(inner.path).encode("utf-8", "replace").decode()},
        "generation": inner.generation,
        "start": inner.start,
        "end": inner.end,
        "lines": [_jsonable(line, 0) for line in inner.lines],
    }
    put_path(wire, "path", inner.path)
    return wire


def _public(event: InputEvent) -> dict[str, Any]:
    names = [item.name for item in dataclasses.fields(event)]
    names += [name for name in vars(event) if name not in names]
    return {name: getattr(event, name) for name in names if not name.startswith("_")}


def _jsonable(value: object, depth: int) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    if depth > 4:
        return "..."
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {
            str(_jsonable(str(key), 0)): _jsonable(one, depth + 1) for key, one in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(one, depth + 1) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).encode("utf-8", "replace").decode()


_PATHS: Final = frozenset(("old_path", "path", "rel", "root"))
_TIMES: Final = frozenset(("now", "time", "utc"))
_OPEN: Final = frozenset(("event", "state"))
"""Fields with keys of their own, which only the event knows."""


def template(source: str) -> Template:
    """Compile a template, and check that its fields and their attributes exist.

    Raises:
        UsageError: It has an error; the message names the place.
    """
    made = Template(source)
    for use in made.uses:
        if use.name not in FIELDS and use.name not in _OPEN:
            known = [*FIELDS, *sorted(_OPEN)]
            why = f"there is no field {use.name!r}{near(use.name, known)}"
            raise made.error(why, use.number)
        if use.attribute is not None and use.name not in _OPEN:
            why = _no_attribute(use.name, use.attribute)
            if why:
                raise made.error(why, use.number)
    return made


def _no_attribute(field: str, attribute: str) -> str:
    if field in _PATHS:
        if attribute in PATH_ATTRIBUTES:
            return ""
        guess = near(attribute, PATH_ATTRIBUTES) or f"; it has {', '.join(PATH_ATTRIBUTES)}"
        return f"the path {field!r} has no {attribute!r}{guess}"
    if field in _TIMES:
        return f"the time {field!r} has no {attribute!r}; the filter strftime formats it"
    return f"the field {field!r} has no {attribute!r}; only paths, event and state have attributes"


class Fields:
    """The fields of one event, and the ``state`` that earlier actions have left."""

    __slots__ = ("_event", "_state")

    def __init__(self, event: InputEvent, state: Mapping[str, Any] | None = None) -> None:
        self._event = event
        self._state = state or {}

    def field(self, name: str) -> object:
        """Return a field's value: text, a number, a time, bytes, a path, or a mapping.

        Raises:
            MissingFieldError: The event has no such field.
        """
        if name == "event":
            return _EventView(self._event)
        if name == "state":
            return MappingView(self._state, name)
        if name not in FIELDS:
            message = f"there is no field {name!r}{near(name, FIELDS)}"
            raise MissingFieldError(message)
        value = FIELDS[name](self._event)
        if value is None:
            message = f"{type(self._event).__name__} has no field {name!r}"
            if name == "content":
                message = _why_no_content(self._event) or message
            raise MissingFieldError(message)
        return value


class _EventView(MappingView):
    """The event by its keys: those of its JSON, or the public fields of another class."""

    __slots__ = ("_event",)

    def __init__(self, event: InputEvent) -> None:
        values = _public(event)
        if isinstance(event, FileSystemInputEvent):
            values = dict(wire_of(event)) | {"content": _content(event)}
        super().__init__(values, "event")
        self._event = event

    def why_missing(self, key: object) -> str:
        """Return the message for a key without a value, with the reason if the event has it."""
        why = _why_no_content(self._event) if key == "content" else ""
        return why or super().why_missing(key)


def _path(event: InputEvent) -> Path | None:
    if isinstance(event, FileSystemInputEvent):
        return event.path
    found = getattr(event, "path", None)
    return Path(found) if isinstance(found, str | PurePath) and str(found) else None


def _reported(event: InputEvent) -> Path | None:
    """Return the path as it was reported: names stay what they were when a file was moved away."""
    if isinstance(event, FileSystemInputEvent):
        return getattr(event.event, "path", event.event.location)
    return _path(event)


def _rel(event: InputEvent) -> PurePath | None:
    path = _reported(event)
    if path is None or not isinstance(event, FileSystemInputEvent):
        return path if path is None else PurePath(path.name)
    place = event.event.location
    if path != place and path.is_relative_to(place):
        return path.relative_to(place)
    return PurePath(path.name)


def _type(event: InputEvent) -> str:
    if isinstance(event, LinesAddedInputEvent):
        return "lines.added"
    if isinstance(event, FileSystemInputEvent):
        return event_name(type(event.event))
    return type(event).__name__


def _source(event: InputEvent) -> Path | None:
    found = getattr(getattr(event, "event", None), "source", None)
    return found if isinstance(found, Path) else None


def _moment(event: InputEvent) -> datetime:
    """Return the event's time in the time zone of this system, for daily files."""
    found = getattr(event, "time", None)
    seconds = found if isinstance(found, int | float) else time.time()
    return datetime.fromtimestamp(seconds, UTC).astimezone()


def _content(event: InputEvent) -> object:
    found = getattr(getattr(event, "event", None), "content", None)
    if found is None:
        found = getattr(event, "content", getattr(event, "text", None))
    return found if isinstance(found, str | bytes) else None


_WHY_NO_CONTENT: Final = {
    "undecodable": "it is not text in the encoding of the option content (mode: rb takes bytes)",
    "too_large": "it has more bytes than max_bytes of the option content",
    "vanished": "the file was gone before it was read",
    "denied": "reading the file was denied",
    "not_regular": "it is not a regular file",
    "error": "reading the file failed",
}
"""``content_error`` of an event -> the reason in words."""


def _why_no_content(event: InputEvent) -> str:
    """Return why an event carries no content, if it is one that could."""
    if not isinstance(event, FileSystemInputEvent) or isinstance(event, LinesAddedInputEvent):
        return ""
    path = _rel(event)
    reason = getattr(event.event, "content_error", None)
    if reason is not None:
        why = _WHY_NO_CONTENT.get(reason, reason)
        return f"the event has no content of {str(path)!r}: {why}"
    if hasattr(event.event, "content"):
        return (
            f"the event has no content of {str(path)!r}: the FileSystem has no option content, "
            "such as content: {mode: r}"
        )
    return f"{type(event).__name__} has no content: only created and updated files have"


def _stat(name: str) -> Callable[[InputEvent], object]:
    return lambda event: getattr(getattr(event, "stat", None), name, None)


def _lines(event: InputEvent) -> str | None:
    found = getattr(event, "lines", None)
    return "\n".join(map(str, found)) if isinstance(found, list | tuple) else None


FIELDS: Final[dict[str, Callable[[InputEvent], object]]] = {
    "content": _content,
    "io": lambda event: getattr(event, "io", None) or None,
    "kind": lambda event: getattr(getattr(event, "event", None), "kind", None),
    "line_count": lambda event: len(getattr(event, "lines", ())) or None,
    "lines": _lines,
    "mtime": _stat("mtime"),
    "name": lambda event: path.name if (path := _reported(event)) is not None else None,
    "now": lambda _: datetime.now(UTC).astimezone(),
    "old_name": lambda event: path.name if (path := _source(event)) is not None else None,
    "old_path": _source,
    "origin": lambda event: getattr(getattr(event, "event", None), "origin", None),
    "parent": lambda event: path.parent.name if (path := _reported(event)) is not None else None,
    "path": _path,
    "rel": _rel,
    "root": lambda event: getattr(getattr(event, "event", None), "location", None),
    "seq": lambda event: getattr(getattr(event, "event", None), "seq", None),
    "size": _stat("size"),
    "stem": lambda event: path.stem if (path := _reported(event)) is not None else None,
    "suffix": lambda event: path.suffix if (path := _reported(event)) is not None else None,
    "time": _moment,
    "type": _type,
    "utc": lambda event: _moment(event).astimezone(UTC),
}
"""Field -> the function that reads it; there are also ``event`` and ``state``, with their keys."""
