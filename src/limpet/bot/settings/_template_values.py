"""What a template can get hold of: plain values, and views that show some of an object.

Texts, numbers, bytes and times are what they are; a mapping or a list of the event is a view that
is read by key; a path is a view with a few attributes. Nothing else reaches a template: another
object is its text. No view has a method that a template could call, and none can be changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import PurePath
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined

from limpet._surrogates import json_text
from limpet.bot.settings._template_limits import MOST_BITS, check_chars, check_items
from limpet.errors import UsageError

PATH_ATTRIBUTES: Final = ("name", "parent", "parts", "stem", "suffix")
_MOST_NESTING: Final = 64
"""Levels of an event's data in JSON; more is a value that contains itself."""
_MOST_KEY: Final = 60
"""Characters of a key in a message."""
_ISO: Final = "%Y-%m-%dT%H:%M:%SZ"


class MissingFieldError(UsageError):
    """The event has no such field; ``{{ field | default(...) }}`` provides a default."""


class Missing(StrictUndefined):
    """A value that is not there: only ``default`` and ``is defined`` take it."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: object = None,
        name: str | None = None,
        exc: type[Exception] = MissingFieldError,
    ) -> None:
        why = hint or f"{name!r} has no value here"
        super().__init__(why, None, name, exc)  # type: ignore[arg-type]  # any error will do


class PathView:
    """A path: its text, and ``PATH_ATTRIBUTES``."""

    __slots__ = ("_path",)

    def __init__(self, path: PurePath) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    @property
    def name(self) -> str:
        return self._path.name

    @property
    def stem(self) -> str:
        return self._path.stem

    @property
    def suffix(self) -> str:
        return self._path.suffix

    @property
    def parent(self) -> PathView:
        return PathView(self._path.parent)

    @property
    def parts(self) -> tuple[str, ...]:
        return self._path.parts

    def components(self) -> list[str]:
        """Return the directories and the name, without what makes it absolute."""
        return [part for part in self._path.parts if part != self._path.anchor]


class MappingView(Mapping[Any, object]):
    """Keys and values of an event, read by ``event.KEY`` or ``event['KEY']``."""

    __slots__ = ("_name", "_raw")

    def __init__(self, raw: Mapping[Any, Any], name: str) -> None:
        self._raw = raw
        self._name = name
        """What a message calls it, such as ``event.stat``."""

    def __getitem__(self, key: Any) -> object:  # noqa: ANN401 - a mapping has any keys
        value = self._raw[key]
        return value if type(value) in _AS_THEY_ARE else plain(value, f"{self._name}.{key}")

    def __iter__(self) -> Iterator[Any]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def why_missing(self, key: object) -> str:
        """Return the message for a key without a value."""
        if isinstance(key, str):
            return f"there is no field {f'{self._name}.{key[:_MOST_KEY]}'!r} here"
        return f"there is no field {self._name}[{brief(key)}] here"


class ListView(Sequence[object]):
    """Items of an event, read by their number."""

    __slots__ = ("_name", "_raw")

    def __init__(self, raw: Sequence[Any], name: str) -> None:
        self._raw = raw
        self._name = name

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - an index, or a slice
        if isinstance(index, slice):
            return [plain(one, self._name) for one in self._raw[index]]
        value = self._raw[index]
        return value if type(value) in _AS_THEY_ARE else plain(value, f"{self._name}[{index}]")

    def __len__(self) -> int:
        return len(self._raw)


def plain(value: object, name: str) -> object:
    """Return a value as templates get it."""
    kind = type(value)
    if kind in _AS_THEY_ARE or isinstance(value, MappingView | ListView | PathView | Undefined):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # without what a subclass adds, such as ``__html__``
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, PurePath):
        return PathView(value)
    if isinstance(value, Mapping):
        return MappingView(value, name)
    if isinstance(value, list | tuple | set | frozenset):
        return ListView(value if isinstance(value, list | tuple) else list(value), name)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, datetime):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in dataclasses.fields(value)]
        public = {name: getattr(value, name) for name in names if not name.startswith("_")}
        return MappingView(public, name)
    own = type(value).__str__ is not object.__str__ or type(value).__repr__ is not object.__repr__
    if callable(value) or not own:
        return Missing(f"{name!r} is an object without a text here")
    return str.__str__(str(value))


_AS_THEY_ARE: Final = frozenset((str, int, float, bool, bytes, type(None), datetime))


def shown(value: object) -> str:
    """Return a value as text.

    Raises:
        MissingFieldError: There is no value.
        UsageError: It has no text.
    """
    if isinstance(value, str):
        return value
    if value is None:
        message = "a value is empty (none) here; use the filter default('...')"
        raise MissingFieldError(message)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float | PathView | Undefined):
        return str(value)  # an undefined value raises its own error
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(_ISO)
    if isinstance(value, Mapping | Sequence):
        return as_json(value)
    message = f"a {described(value)} has no text"
    raise UsageError(message)


def as_json(value: object) -> str:
    """Return a value as JSON, in any encoding of Unicode."""
    return json_text(_data(value, _MOST_NESTING, _Size()))


def data(value: object) -> object:
    """Return a value with its views read: dicts, lists and what they hold."""
    return _data(value, _MOST_NESTING, _Size())


class _Size:
    """The characters and items that were read; a view can refer to one value many times."""

    def __init__(self) -> None:
        self.chars = 0
        self.items = 0

    def add(self, chars: int, items: int = 0) -> None:
        self.chars += chars
        self.items += items
        check_chars(self.chars)
        check_items(self.items)


def _data(value: object, levels: int, size: _Size) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        size.add(0, len(value))
        pairs = [(shown(plain(key, "")), one) for key, one in value.items()]
        return {key: _data(one, _deeper(levels), size) for key, one in pairs}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        size.add(0, len(value))
        return [_data(one, _deeper(levels), size) for one in value]
    text = shown(value)
    size.add(len(text))
    return text


def _deeper(levels: int) -> int:
    if levels <= 0:
        message = f"a value is nested more than {_MOST_NESTING} times"
        raise UsageError(message)
    return levels - 1


def brief(value: object) -> str:
    """Return a key or index for a message, without reading much of it."""
    if isinstance(value, str):
        return repr(value[:_MOST_KEY])
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= MOST_BITS):
        return repr(value)
    return f"that is a {described(value)}"


def described(value: object) -> str:
    """Return what a message calls a value of this kind."""
    if value is None:
        return "empty value"
    if isinstance(value, str | bytes):
        return "text"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, datetime):
        return "time"
    if isinstance(value, PathView):
        return "path"
    if isinstance(value, Mapping):
        return "mapping"
    return "list" if isinstance(value, Sequence) else type(value).__name__
