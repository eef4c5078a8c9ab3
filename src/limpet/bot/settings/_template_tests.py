"""The tests of templates (``is``): what kind of value something is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from jinja2 import Undefined

from limpet.bot.settings._template_operators import number
from limpet.bot.settings._template_values import ListView, shown


def _defined(value: object) -> bool:
    return not isinstance(value, Undefined)


def _undefined(value: object) -> bool:
    return isinstance(value, Undefined)


def _none(value: object) -> bool:
    return value is None


def _is_string(value: object) -> bool:
    return isinstance(value, str | bytes)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_float(value: object) -> bool:
    return isinstance(value, float)


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_sequence(value: object) -> bool:
    return isinstance(value, list | tuple | range | ListView)


def _is_true(value: object) -> bool:
    return value is True


def _is_false(value: object) -> bool:
    return value is False


def _is_odd(value: object) -> bool:
    return bool(number(value, "odd") % 2 == 1)


def _is_even(value: object) -> bool:
    return bool(number(value, "even") % 2 == 0)


def _divisibleby(value: object, by: object) -> bool:
    return bool(number(value, "divisibleby") % number(by, "divisibleby") == 0)


def _is_lower(value: object) -> bool:
    return shown(value).islower()


def _is_upper(value: object) -> bool:
    return shown(value).isupper()


TESTS: Final[dict[str, Callable[..., bool]]] = {
    "boolean": _is_boolean,
    "defined": _defined,
    "divisibleby": _divisibleby,
    "even": _is_even,
    "false": _is_false,
    "float": _is_float,
    "integer": _is_integer,
    "lower": _is_lower,
    "mapping": _is_mapping,
    "none": _none,
    "number": _is_number,
    "odd": _is_odd,
    "sequence": _is_sequence,
    "string": _is_string,
    "true": _is_true,
    "undefined": _undefined,
    "upper": _is_upper,
}
"""Name -> the function, for ``is``."""
