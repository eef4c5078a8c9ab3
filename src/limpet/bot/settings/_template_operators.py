"""The operators of templates, each with its limits: ``+ - * / // % ** ~``, slices and ``range``.

Python's own would multiply a text until the memory is used up. Numbers are numbers of reasonable
size, texts are joined as they are shown, and lists are copied: nothing else is combined.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from jinja2 import Undefined

from limpet.bot.settings._template_limits import (
    MOST_STEPS,
    check_bits,
    check_chars,
    check_items,
)
from limpet.bot.settings._template_values import ListView, PathView, data, described, plain, shown
from limpet.errors import UsageError

_NUMBERS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
BINARY: Final = frozenset((*_NUMBERS, "**"))
UNARY: Final = frozenset("+-")


def binary(word: str, left: object, right: object) -> object:
    """Return what an operator makes of two values.

    Raises:
        UsageError: It does not take such values, or the result would be too large.
    """
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _power(left, right) if word == "**" else _NUMBERS[word](left, right)
    if word == "+":
        if isinstance(left, str | bytes | PathView) and isinstance(right, str | bytes | PathView):
            return concat((left, right))
        if isinstance(left, list | tuple | ListView) and isinstance(right, list | tuple | ListView):
            check_items(len(left) + len(right))
            return [*left, *right]
    if word == "*" and isinstance(left, int) and not isinstance(right, int):
        left, right = right, left
    if word == "*" and isinstance(right, int):
        if isinstance(left, str | bytes):
            check_chars(len(left) * max(0, right))
            return shown(left) * right
        if isinstance(left, list | tuple | ListView):
            check_items(len(left) * max(0, right))
            return [*left] * right
    hint = ""
    if word == "+":
        hint = "; ~ joins any values as text"
    elif word == "%" and isinstance(left, str | bytes):
        hint = "; the filter format takes a text such as '%05d'"
    message = f"{word} does not take a {described(left)} and a {described(right)}{hint}"
    for value in (left, right):
        if isinstance(value, Undefined):
            shown(value)
    raise UsageError(message)


def _power(base: float, exponent: float) -> object:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        check_bits(exponent)  # so that the product below is small
        check_bits(base.bit_length() * exponent)
    result = base**exponent
    if isinstance(result, complex):
        message = f"** has no real result for {base} and {exponent}"
        raise UsageError(message)
    return result


def unary(word: str, value: object) -> object:
    """Return a number with its sign."""
    if not isinstance(value, int | float):
        shown(value)
        message = f"{word} does not take a {described(value)}"
        raise UsageError(message)
    return -value if word == "-" else +value


def concat(values: Sequence[object]) -> str:
    """Return values as one text (``~``)."""
    texts = [shown(one) for one in values]
    check_chars(sum(map(len, texts)))
    return "".join(texts)


def operand(value: object) -> object:
    """Return a value in the form that is compared: bytes and paths as text, views as data."""
    if isinstance(value, bytes | PathView | Undefined):
        return shown(value)
    if isinstance(value, Mapping | ListView | range):
        return data(value)
    return value


def cut(value: object, start: object, stop: object, step: object) -> object:
    """Return a part of a text or list (``value[start:stop:step]``)."""
    for one in (start, stop, step):
        if one is not None and (isinstance(one, bool) or not isinstance(one, int)):
            message = f"a slice takes whole numbers, not a {described(one)}"
            raise UsageError(message)
    where: slice[Any, Any, Any] = slice(start, stop, step)
    if isinstance(value, str | bytes):
        return shown(value)[where]
    if isinstance(value, list | tuple | ListView | range):
        check_items(len(range(*where.indices(len(value)))))
        return list(value[where])
    shown(value)
    message = f"a {described(value)} has no slices"
    raise UsageError(message)


def numbers(*bounds: object) -> range:
    """Return the numbers of ``range(...)``."""
    for one in bounds:
        if isinstance(one, bool) or not isinstance(one, int):
            shown(one)
            message = f"range takes whole numbers, not a {described(one)}"
            raise UsageError(message)
    found = range(*cast("tuple[int, int, int]", bounds))
    try:
        many = len(found) > MOST_STEPS
    except OverflowError:  # more than a C integer holds
        many = True
    if many:
        message = f"range has more than {MOST_STEPS} numbers"
        raise UsageError(message)
    return found


def iterated(value: object) -> Sequence[object]:
    """Return the items that a loop or a filter for lists goes through; keys of a mapping.

    Raises:
        UsageError: The value is no list.
    """
    if isinstance(value, list | tuple | range | ListView):
        check_items(len(value))
        return value
    if isinstance(value, Mapping):
        check_items(len(value))
        return [plain(key, "") for key in value]
    shown(value)
    hint = "; split makes a list of it" if isinstance(value, str | bytes) else ""
    message = f"a {described(value)} has no items{hint}"
    raise UsageError(message)


def number(value: object, name: str) -> Any:  # noqa: ANN401 - int or float
    """Return a number that a filter is given; raise ``UsageError`` for anything else."""
    if not isinstance(value, int | float):
        shown(value)
        message = f"{name} takes numbers, not a {described(value)}; int and float make them"
        raise UsageError(message)
    return value


def whole(value: object, name: str) -> int:
    """Return a whole number that a filter is given; raise ``UsageError`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        shown(value)
        message = f"{name} takes a whole number, not a {described(value)}"
        raise UsageError(message)
    return value
