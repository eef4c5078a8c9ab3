"""The filters of templates for lists and mappings, and for values that are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from jinja2 import Undefined

from limpet.bot.settings._template_limits import check_chars, check_items
from limpet.bot.settings._template_operators import iterated, number, operand
from limpet.bot.settings._template_values import (
    ListView,
    Missing,
    PathView,
    as_json,
    described,
    plain,
    shown,
)
from limpet.errors import UsageError


def _default(value: object, default_value: object = "", boolean: bool = False) -> object:  # noqa: FBT001, FBT002
    missing = value is None or isinstance(value, Undefined)
    return default_value if missing or (boolean and not value) else value


def _items_of(value: object) -> Sequence[object]:
    if not isinstance(value, str | bytes):
        return iterated(value)
    check_items(len(value))
    return list(shown(value))


def _first(value: object) -> object:
    return _at(value, 0)


def _last(value: object) -> object:
    return _at(value, -1)


def _at(value: object, index: int) -> object:
    found: Any = value if isinstance(value, list | tuple | range | ListView) else None
    if isinstance(value, str | bytes):
        found = shown(value)
    elif found is None:
        found = iterated(value)
    if not len(found):
        return Missing(f"a {described(value)} without items has no first and no last one")
    return found[index]


def _items(value: object) -> list[object]:
    if not isinstance(value, Mapping):
        shown(value)
        message = f"items takes a mapping, not a {described(value)}"
        raise UsageError(message)
    check_items(len(value))
    return [[plain(key, ""), one] for key, one in value.items()]


def _join(value: object, d: object = "") -> str:
    between, texts, size = shown(d), [], 0
    for one in _items_of(value):
        texts.append(shown(one))
        size += len(texts[-1]) + len(between)
        check_chars(size)
    return between.join(texts)


def _length(value: object) -> int:
    if isinstance(value, bytes | PathView):
        return len(shown(value))
    if isinstance(value, str | list | tuple | range | ListView | Mapping):
        return len(value)
    shown(value)
    message = f"a {described(value)} has no length"
    raise UsageError(message)


def _list(value: object) -> list[object]:
    return list(_items_of(value))


def _max(value: object) -> object:
    return _last(_sort(value))


def _min(value: object) -> object:
    return _first(_sort(value))


def _reverse(value: object) -> object:
    return shown(value)[::-1] if isinstance(value, str | bytes) else list(iterated(value))[::-1]


def _sort(value: object, reverse: bool = False, case_sensitive: bool = False) -> list[Any]:  # noqa: FBT001, FBT002
    def key(one: Any) -> Any:  # noqa: ANN401 - any items that compare
        one = operand(one)
        return one.lower() if isinstance(one, str) and not case_sensitive else one

    return sorted(_items_of(value), key=key, reverse=bool(reverse))


def _sum(value: object, start: object = 0) -> object:
    numbers = [number(one, "sum") for one in (start, *iterated(value))]
    return sum(numbers)


def _unique(value: object, case_sensitive: bool = False) -> list[object]:  # noqa: FBT001, FBT002
    found: dict[object, object] = {}
    for one in _items_of(value):
        key = operand(one)
        if not isinstance(key, str | int | float):
            key = as_json(key)
        found.setdefault(key.lower() if isinstance(key, str) and not case_sensitive else key, one)
    return list(found.values())


LIST_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "count": _length,
    "d": _default,
    "default": _default,
    "first": _first,
    "items": _items,
    "join": _join,
    "json": as_json,
    "last": _last,
    "length": _length,
    "list": _list,
    "max": _max,
    "min": _min,
    "reverse": _reverse,
    "sort": _sort,
    "sum": _sum,
    "unique": _unique,
}
"""Name -> the function; its first argument is the value."""
