"""The status as JSON, and back."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import PurePath
from typing import Any, Final, NoReturn

from limpet._surrogates import writable
from limpet.errors import UsageError
from limpet.events import Event, event_name
from limpet.status._happenings import Happening
from limpet.status._model import STATUS_VERSION, Status

_LONGEST: Final = 2000
"""Characters of a text: an error may contain a whole file."""


def status_to_wire(status: Status) -> dict[str, Any]:
    """Return a status for ``json.dumps``; what no encoding holds is escaped."""
    found = _plain(status)
    assert isinstance(found, dict)  # noqa: S101 - for the type checker
    return found


def status_from_wire(wire: object) -> Status:
    """Return the status of its JSON form; what a newer version has added is ignored.

    Raises:
        UsageError: It is not a status, or one of a newer version.
    """
    version = wire.get("version") if isinstance(wire, Mapping) else None
    if version != STATUS_VERSION:
        message = f"this is not a status of version {STATUS_VERSION}: its version is {version!r}"
        raise UsageError(message)
    try:
        found = _value(Status, wire)
    except (TypeError, ValueError) as error:
        message = f"this is not a status: {error}"
        raise UsageError(message) from error
    assert isinstance(found, Status)  # noqa: S101 - for the type checker
    return found


def happening_to_wire(number: int, one: Happening) -> dict[str, Any]:
    """Return one thing that happened for ``json.dumps``.

    ``path`` and ``type`` are those of its event; ``source`` is where something was renamed from.
    """
    event = getattr(one.subject, "event", one.subject)
    wire: dict[str, Any] = {"number": number, "time": round(one.time, 3), "what": one.what}
    if isinstance(event, Event):
        wire["type"] = event_name(type(event))
        wire["path"] = writable(str(getattr(event, "path", event.location)))
        source = getattr(event, "source", None)
        if source is not None:
            wire["source"] = writable(str(source))
    elif isinstance(one.subject, Mapping):  # an event in its JSON form, as agents have it
        wire |= {
            key: writable(value)[:_LONGEST]
            for key in ("type", "path", "source")
            if isinstance(value := one.subject.get(key), str)
        }
    elif isinstance(one.subject, PurePath):
        wire["path"] = writable(str(one.subject))
    elif (path := getattr(one.subject, "path", None)) is not None:
        wire["type"] = type(one.subject).__name__
        wire["path"] = writable(str(path))
    elif one.subject is not None:
        wire["text"] = writable(str(one.subject))[:_LONGEST]
    if one.by:
        wire["by"] = writable(one.by)
    if one.detail:
        wire["detail"] = writable(one.detail)[:_LONGEST]
    return wire


def _plain(value: object) -> object:
    if isinstance(value, str):
        return writable(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {writable(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(kind: Any, value: object) -> object:  # noqa: ANN401 - a type, or a form of typing
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        if value is None:
            return None
        return _value(next(one for one in arguments if one is not types.NoneType), value)
    if origin is tuple:
        if not isinstance(value, list):
            _refuse("a list", value)
        return tuple(_value(arguments[0], one) for one in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            _refuse("an object", value)
        return {str(key): _value(arguments[1], one) for key, one in value.items()}
    if origin is typing.Literal:  # a newer version may know others
        kind = str
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            _refuse(f"an object for {kind.__name__}", value)
        hints = _hints(kind)
        return kind(**{key: _value(hints[key], one) for key, one in value.items() if key in hints})
    if kind is float and (value is None or isinstance(value, int | float)):
        known = value is not None and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if known and value is not None else 0.0
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        _refuse(kind.__name__, value)
    return value


def _refuse(wanted: str, value: object) -> NoReturn:
    message = f"{wanted} is expected, not {type(value).__name__}"
    raise TypeError(message)
