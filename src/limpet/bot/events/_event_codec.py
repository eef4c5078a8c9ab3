"""Events as plain JSON and back: for the journal and for dead letters.

An event of limpet has its form on the wire. A dataclass of a bot, of mewbot or of a third party
becomes the name of its class and its fields. Decoding imports no module and runs no code of the
class: only classes that the bot has loaded are created, field by field. A value without a form in
JSON is refused, not guessed.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any, Final

from mewbot.core import InputEvent, OutputEvent

from limpet._error_text import error_text
from limpet._wire import from_wire, to_wire
from limpet.bot.events._action_result import Outcome
from limpet.bot.events._host_path import HostPath, make_host_path
from limpet.events import Event

_DEEPEST: Final = 20

_MOST_BITS: Final = 1024
"""Longer integers are written in hexadecimal: Python refuses to write and to read one of more than
4,300 decimal digits (documentation of ``int``, "Integer string conversion length limitation")."""

_PATHS: Final = {"root": "location", "path": "path", "old_path": "source"}
"""Key of ``from_wire`` -> the field of an event."""

_SINGLES: Final = (str, int, float, bool, type(None))


class CodecError(ValueError):
    """A value has no form in JSON, or the JSON is not from ``encode``; the message has details."""


def encode(value: object) -> object:
    """Return a value in the form that ``json.dumps`` accepts.

    Raises:
        CodecError: A part of it has no form in JSON; the message names its type.
    """
    try:
        return _encode(value, 0)
    except CodecError:
        raise
    except Exception as error:  # a property of a foreign class may raise anything
        message = f"it cannot be read: {type(error).__name__}: {error_text(error)}"
        raise CodecError(message) from error


def decode(given: object) -> Any:  # noqa: ANN401 - whatever was encoded
    """Return the value that was encoded.

    Raises:
        CodecError: It is not from ``encode``, or a class in it is not loaded.
    """
    try:
        return _decode(given)
    except CodecError:
        raise
    except Exception as error:  # what is damaged may fail anywhere, also by depth or by size
        message = f"it is damaged: {type(error).__name__}: {error_text(error)}"
        raise CodecError(message) from error


def _encode(value: object, depth: int) -> object:
    if depth > _DEEPEST:
        message = "it is nested too deeply"
        raise CodecError(message)
    if isinstance(value, str) and type(value) is str:
        return _text(value)
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return value if value.bit_length() <= _MOST_BITS else {"$": "int", "v": hex(value)}
    if type(value) is float:
        return value if abs(value) < float("inf") else {"$": "float", "v": repr(value)}
    if isinstance(value, bytes | bytearray):
        return {"$": "bytes", "v": base64.b64encode(value).decode("ascii")}
    if isinstance(value, HostPath) and isinstance(value, PurePath):
        windows = isinstance(value, PureWindowsPath)
        return {"$": "host-path", "v": [value.host, windows, *map(_text, value.parts)]}
    if isinstance(value, PurePath):
        return {"$": "path", "v": _text(str(value))}
    if isinstance(value, Event):
        return {"$": "event", "v": _event(value, depth)}
    if isinstance(value, datetime):
        return {"$": "datetime", "v": value.isoformat()}
    if isinstance(value, enum.Enum):
        return {"$": "enum", "c": public_name(type(value)), "v": value.name}
    if isinstance(value, list):
        return [_encode(one, depth + 1) for one in value]
    if type(value) in {tuple, set, frozenset}:
        items = [_encode(one, depth + 1) for one in value]  # type: ignore[attr-defined]
        return {"$": type(value).__name__, "v": items}
    if isinstance(value, Mapping):
        pairs = [[_encode(key, depth + 1), _encode(one, depth + 1)] for key, one in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs):
            return {str(key): one for key, one in pairs}
        return {"$": "dict", "v": pairs}
    if dataclasses.is_dataclass(value) or isinstance(value, InputEvent | OutputEvent):
        return {"$": "object", "c": public_name(type(value)), "v": _fields(value, depth)}
    message = f"a {type(value).__module__}.{type(value).__qualname__} has no form in JSON"
    raise CodecError(message)


def _event(event: Event, depth: int) -> dict[str, object]:
    """Return the wire object, and the paths of another host that it has only as text."""
    paths = {key: getattr(event, field, None) for key, field in _PATHS.items()}
    elsewhere = {
        key: _encode(path, depth + 1) for key, path in paths.items() if isinstance(path, HostPath)
    }
    return {"wire": to_wire(event, session="stored", exact=True), "paths": elsewhere}


def _fields(value: Any, depth: int) -> dict[str, object]:  # noqa: ANN401 - any dataclass
    names = [item.name for item in dataclasses.fields(value)]
    names += [name for name in getattr(value, "__dict__", {}) if name not in names]
    return {
        name: _encode(found, depth + 1)
        for name in names
        if not name.startswith("_") and not isinstance(found := getattr(value, name), Outcome)
    }


def _text(value: str) -> object:
    try:
        value.encode()
    except UnicodeEncodeError:
        raw = value.encode("utf-8", "surrogatepass")
        return {"$": "text", "v": base64.b64encode(raw).decode("ascii")}
    return value


def public_name(kind: type) -> str:
    """Return ``module:class``, with the public module that offers the class.

    A private module may move from one version to the next, but stored names must stay valid. So of
    the packages above a private module, the first with the class in its ``__all__`` is named.
    """
    parts = kind.__module__.split(".")
    if any(part.startswith("_") for part in parts):
        for end in range(1, len(parts)):
            module = sys.modules.get(".".join(parts[:end]))
            offered = getattr(module, "__all__", ())
            if kind.__name__ in offered and getattr(module, kind.__name__) is kind:
                return f"{'.'.join(parts[:end])}:{kind.__name__}"
    return f"{kind.__module__}:{kind.__qualname__}"


def _decode(given: object) -> object:
    if isinstance(given, _SINGLES):
        return given
    if isinstance(given, list):
        return [_decode(one) for one in given]
    if not isinstance(given, dict):
        message = f"it contains a {type(given).__name__}"
        raise CodecError(message)
    if "$" not in given:
        return {key: _decode(one) for key, one in given.items()}
    value = given["v"]
    match given["$"]:
        case "text":
            return base64.b64decode(value).decode("utf-8", "surrogatepass")
        case "float":
            return float(value)
        case "int":
            return int(value, 16)
        case "bytes":
            return base64.b64decode(value)
        case "path":
            return Path(str(_decode(value)))
        case "host-path":
            host, windows, *parts = value
            return make_host_path(host, windows, tuple(str(_decode(one)) for one in parts))
        case "event":
            paths = {key: _decode(one) for key, one in value["paths"].items()}
            return from_wire(value["wire"], paths=paths)  # type: ignore[arg-type]  # host paths
        case "datetime":
            return datetime.fromisoformat(value)
        case "tuple":
            return tuple(_decode(one) for one in value)
        case "set":
            return {_decode(one) for one in value}
        case "frozenset":
            return frozenset(_decode(one) for one in value)
        case "dict":
            return {_decode(key): _decode(one) for key, one in value}
        case "enum":
            return _class(given["c"], enum.Enum)[value]
        case "object":
            return _object(given["c"], {key: _decode(one) for key, one in value.items()})
        case other:
            message = f"it contains {other!r}"
            raise CodecError(message)


def _object(name: str, fields: dict[str, Any]) -> object:
    kind = _class(name, object)
    if not (dataclasses.is_dataclass(kind) or issubclass(kind, InputEvent | OutputEvent)):
        message = f"{name} is not an event class"
        raise CodecError(message)
    made = kind.__new__(kind)
    known = {item.name for item in dataclasses.fields(kind)}
    for item in dataclasses.fields(kind):
        if item.name not in fields and item.default is not dataclasses.MISSING:
            object.__setattr__(made, item.name, item.default)
    for key, value in fields.items():
        if key in known or hasattr(made, "__dict__"):
            object.__setattr__(made, key, value)
    return made


def _class(name: str, base: type) -> type[Any]:
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, base)):
        message = f"the class {name} is not loaded; is this the bot that stored it?"
        raise CodecError(message)
    return found
