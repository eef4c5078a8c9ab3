"""The filters and tests of templates: jinja's where they are harmless, and limpet's own.

A filter takes a value and plain arguments, and returns a plain value. What reaches into objects,
calls other filters by name, or marks a text as HTML is left out (``attr``, ``map``, ``xmlattr``).
``safe`` is limpet's: it makes a text the name of a file.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
import re
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import filters

from limpet.bot.settings._template_limits import MOST_ITEMS, check_chars, check_items
from limpet.bot.settings._template_list_filters import LIST_FILTERS
from limpet.bot.settings._template_operators import number, whole
from limpet.bot.settings._template_values import described, shown
from limpet.errors import UsageError
from limpet.output import safe_name

_DIRECTIVE: Final = re.compile(r"%(?:%|[-+ #0]*\d{0,3}(?:\.\d{1,2})?[diouxXeEfFgGs])")
_MOST_FORMAT: Final = 256
_MOST_DIGITS: Final = 100
_MOST_PLACES: Final = 15
"""Digits after the point of a float that mean something."""
_MOST_INDENT: Final = 200


class TimeText(str):
    """A time that was formatted: in a name, the slashes of its form separate directories.

    The form is a literal of the template, so they are the author's own.
    """

    __slots__ = ()


# -- texts -----------------------------------------------------------------------------------------


def _capitalize(value: object) -> str:
    return shown(value).capitalize()


def _escape(value: object) -> str:
    return html.escape(shown(value))


def _indent(value: object, width: int = 4, first: bool = False) -> str:  # noqa: FBT001, FBT002 - jinja's signature
    if not 0 <= whole(width, "indent") <= _MOST_INDENT:
        message = f"indent takes 0 to {_MOST_INDENT} spaces, not {width}"
        raise UsageError(message)
    text = shown(value)
    check_chars(len(text) + (text.count("\n") + 1) * width)
    space = " " * width
    return (space if first else "") + re.sub(r"\n(?=[^\n])", "\n" + space, text)


def _limit(value: object, most: object, end: object = "") -> str:
    text, room = shown(value), max(0, whole(most, "limit"))
    return text if len(text) <= room else text[:room] + shown(end)


def _lower(value: object) -> str:
    return shown(value).lower()


def _one_line(value: object) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", shown(value)).strip()


def _replace(value: object, old: object, new: object, count: int = -1) -> str:
    text, before, after = shown(value), shown(old), shown(new)
    times = text.count(before)
    if whole(count, "replace") >= 0:
        times = min(times, count)
    check_chars(len(text) + times * max(0, len(after) - len(before)))
    return text.replace(before, after, count)


def _safe(value: object) -> str:
    return safe_name(shown(value))


def _split(value: object, separator: object = None) -> list[str]:
    text = shown(value)
    if separator is None:
        found = text.split(None, MOST_ITEMS + 1)
    else:
        check_items(text.count(shown(separator)))
        found = text.split(shown(separator))
    check_items(len(found))
    return found


def _string(value: object) -> str:
    return shown(value)


def _title(value: object) -> str:
    return filters.do_title(shown(value))


def _trim(value: object, chars: object = None) -> str:
    return shown(value).strip(None if chars is None else shown(chars))


def _truncate(
    value: object,
    length: int = 255,
    killwords: bool = False,  # noqa: FBT001, FBT002 - jinja's signature
    end: str = "...",
    leeway: int = 5,
) -> str:
    text, tail = shown(value), shown(end)
    room = whole(length, "truncate") - len(tail)
    if room < 0:
        message = f"truncate takes a length from {len(tail)}, which {tail!r} needs, not {length}"
        raise UsageError(message)
    if len(text) <= length + whole(leeway, "truncate"):
        return text
    return (text[:room] if killwords else text[:room].rsplit(" ", 1)[0]) + tail


def _upper(value: object) -> str:
    return shown(value).upper()


def _wordcount(value: object) -> int:
    return sum(1 for _ in re.finditer(r"\w+", shown(value)))


# -- encodings -------------------------------------------------------------------------------------


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return shown(value).encode("utf-8", "surrogateescape")  # the bytes of a name
    except UnicodeEncodeError:
        return shown(value).encode("utf-8", "surrogatepass")


def _base64(value: object) -> str:
    return base64.b64encode(_bytes(value)).decode("ascii")


def _sha256(value: object) -> str:
    return hashlib.sha256(_bytes(value)).hexdigest()


def _url(value: object) -> str:
    return urllib.parse.quote(_bytes(value), safe="")


# -- numbers and times -----------------------------------------------------------------------------


def _abs(value: object) -> Any:  # noqa: ANN401 - int or float
    return abs(number(value, "abs"))


def _filesizeformat(value: object, binary: bool = False) -> str:  # noqa: FBT001, FBT002 - jinja's signature
    return filters.do_filesizeformat(number(value, "filesizeformat"), binary)


def _float(value: object, default: object = 0.0) -> object:
    if isinstance(value, int | float):
        return float(value)
    text = shown(value)
    try:
        return float(text) if len(text) <= _MOST_DIGITS else default
    except ValueError:
        return default


def _format(form: object, *values: object) -> str:
    text = shown(form)
    rest = _DIRECTIVE.sub("", text)
    if "%" in rest or len(text) > _MOST_FORMAT:
        message = f"format does not take {text[:40]!r}; it takes forms such as %s, %05d and %.2f"
        raise UsageError(message)
    given = tuple(one if isinstance(one, int | float) else shown(one) for one in values)
    check_chars(sum(len(one) for one in given if isinstance(one, str)))
    return text % given


def _int(value: object, default: object = 0, base: int = 10) -> object:
    if isinstance(value, int | float):
        return int(value)
    text = shown(value)
    if len(text) > _MOST_DIGITS:
        return default
    try:
        return int(text, whole(base, "int"))
    except ValueError:
        pass
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return default


def _round(value: object, precision: int = 0, method: str = "common") -> Any:  # noqa: ANN401 - int or float
    given, places = number(value, "round"), whole(precision, "round")
    if method not in {"common", "ceil", "floor"}:
        message = f"round takes the methods common, ceil and floor, not {shown(method)[:40]!r}"
        raise UsageError(message)
    if abs(places) > _MOST_PLACES:
        message = f"round takes {-_MOST_PLACES} to {_MOST_PLACES} places, not {places}"
        raise UsageError(message)
    if method == "common":
        return round(given, places)
    scale = 10.0**places
    return (math.ceil if method == "ceil" else math.floor)(given * scale) / scale


def _strftime(value: object, form: object) -> TimeText:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime):
        shown(value)
        message = f"strftime takes a time or seconds since 1970, not a {described(value)}"
        raise UsageError(message)
    return TimeText(value.strftime(shown(form)))


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    **LIST_FILTERS,
    "abs": _abs,
    "base64": _base64,
    "capitalize": _capitalize,
    "e": _escape,
    "escape": _escape,
    "filesizeformat": _filesizeformat,
    "float": _float,
    "format": _format,
    "indent": _indent,
    "int": _int,
    "limit": _limit,
    "lower": _lower,
    "one_line": _one_line,
    "replace": _replace,
    "round": _round,
    "safe": _safe,
    "sha256": _sha256,
    "split": _split,
    "strftime": _strftime,
    "string": _string,
    "title": _title,
    "trim": _trim,
    "truncate": _truncate,
    "upper": _upper,
    "url": _url,
    "wordcount": _wordcount,
}
"""Name -> the function; its first argument is the value."""

LITERAL: Final = frozenset(("format", "strftime"))
"""Filters whose form must be a literal of the template: a value is never a form."""
