"""A small language for names and contents: values in a text, without code.

``{field}`` is a value of the event, ``{field:form}`` a formatted value (a time as by ``strftime``,
a number as by ``format``), ``{field|filter|filter(arguments)}`` a filtered value; ``{{`` and ``}}``
are braces. A field is looked up in the given values and nowhere else: no attribute, call or index
reaches into an object, so even a text from outside is safe to expand. A template is parsed once,
and its errors are reported then.
"""

from __future__ import annotations

import base64
import hashlib
import re
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Final, Protocol

from limpet._suggest import near
from limpet._surrogates import json_text
from limpet.errors import UsageError
from limpet.output import safe_name

_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*")
_FILTER: Final = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_FORM: Final = re.compile(r"(?:.?[<>=^])?[-+ ]?#?0?\d{0,3},?(?:\.\d{1,2})?[a-zA-Z%]?")
_MOST: Final = 16 << 20
"""Most characters of an expansion; webhooks and files have lower limits of their own."""


class Lookup(Protocol):
    """Provides the values of fields."""

    def field(self, name: str) -> object:
        """Return a value; raise ``MissingFieldError`` if there is none."""


class MissingFieldError(UsageError):
    """The event has no such field; ``{field|default(...)}`` provides a default."""


@dataclass(frozen=True, slots=True)
class _Placeholder:
    field: str
    form: str
    filters: tuple[tuple[str, tuple[object, ...]], ...]


class Template:
    """One parsed text; immutable, and usable from any thread."""

    __slots__ = ("_pieces", "source")

    def __init__(self, source: str) -> None:
        """Parse a text.

        Raises:
            UsageError: It has an error; the message names the place.
        """
        self.source = source
        self._pieces = tuple(_parse(source))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(piece.field for piece in self._pieces if isinstance(piece, _Placeholder))

    def text(self, values: Lookup) -> str:
        """Return the text with its values.

        Raises:
            MissingFieldError: A field is missing, and has no default.
            UsageError: A value does not fit its form or filter.
        """
        pieces = [
            piece if isinstance(piece, str) else _shown(_value(piece, values), piece)
            for piece in self._pieces
        ]
        if sum(map(len, pieces)) > _MOST:
            message = f"the text of {self.source[:40]!r} has more than {_MOST} characters"
            raise UsageError(message)
        return "".join(pieces)

    def name(self, values: Lookup) -> str:
        """Return a file name below an output directory that is safe for any values.

        A ``/`` in the template itself separates directories, also in the form of a time
        (``{time:%Y/%m}``), and so do the components of a path such as ``{rel}``. Each component
        then goes through ``limpet.safe_name``: no value can leave the directory or add one.

        Raises:
            MissingFieldError: A field is missing, and has no default.
            UsageError: The name is empty.
        """
        parts = [""]
        for piece in self._pieces:
            if isinstance(piece, str):
                first, *rest = piece.split("/")
                parts[-1] += first
                parts += rest
                continue
            value = _value(piece, values)
            if isinstance(value, datetime):
                form = piece.form or "%Y-%m-%dT%H%M%S"  # a colon is in no portable name
                first, *rest = value.strftime(form).split("/")
            elif isinstance(value, PurePath) and not piece.form:
                components_of = [part for part in value.parts if part != value.anchor]
                first, *rest = components_of or [""]
            else:
                first, rest = _shown(value, piece), []
            parts[-1] += first
            parts += rest
        made = [safe_name(part) for part in parts if part]
        if not made:
            message = f"the name {self.source!r} expands to an empty text"
            raise UsageError(message)
        return "/".join(made)


# -- parsing ---------------------------------------------------------------------------------------


def _parse(source: str) -> Iterable[str | _Placeholder]:
    at, plain = 0, ""
    while at < len(source):
        one = source[at]
        if one in "{}" and source[at : at + 2] == one * 2:
            plain += one
            at += 2
        elif one == "{":
            end = _end(source, at)
            if plain:
                yield plain
            plain = ""
            yield _placeholder(source[at + 1 : end], source)
            at = end + 1
        elif one == "}":
            raise _wrong(source, "a '}' without a '{'; write '}}' for the brace itself")
        else:
            plain += one
            at += 1
    if plain:
        yield plain


def _end(source: str, start: int) -> int:
    """Return the index of the brace that closes a field; one in quotes does not count."""
    quote = ""
    for at in range(start + 1, len(source)):
        one = source[at]
        if quote:
            quote = "" if one == quote else quote
        elif one in "\"'":
            quote = one
        elif one == "}":
            return at
        elif one == "{":
            break
    raise _wrong(source, "a '{' without a '}'; write '{{' for the brace itself")


def _placeholder(inside: str, source: str) -> _Placeholder:
    head, *rest = _cut(inside, "|")
    field, _, form = head.partition(":")
    field = field.strip()
    if not _FIELD.fullmatch(field):
        raise _wrong(source, f"{field!r} is not a field")
    filters = []
    for one in rest:
        found = _FILTER.fullmatch(one)
        if found is None:
            raise _wrong(source, f"{one.strip()!r} is not a filter")
        name, arguments = found[1], found[2]
        if name not in FILTERS:
            raise _wrong(source, f"there is no filter {name!r}{near(name, FILTERS)}")
        given = tuple(_literal(one, source) for one in _cut(arguments, ",")) if arguments else ()
        least, most = FILTERS[name][1:]
        if not least <= len(given) <= most:
            raise _wrong(
                source, f"the filter {name!r} takes {least} to {most} arguments, not {len(given)}"
            )
        filters.append((name, given))
    return _Placeholder(field, form, tuple(filters))


def _cut(text: str, mark: str) -> list[str]:
    """Split at a character outside of quotes and parentheses."""
    parts, quote, depth = [""], "", 0
    for one in text:
        if quote:
            quote = "" if one == quote else quote
        elif one in "\"'":
            quote = one
        elif one in "()":
            depth += 1 if one == "(" else -1
        elif one == mark and not depth:
            parts.append("")
            continue
        parts[-1] += one
    return parts


def _literal(word: str, source: str) -> object:
    word = word.strip()
    if len(word) >= 2 and word[0] in "\"'" and word[-1] == word[0]:
        return word[1:-1].replace("\\n", "\n").replace("\\t", "\t")
    if re.fullmatch(r"-?\d{1,9}", word):
        return int(word)
    raise _wrong(source, f"{word!r} is neither a quoted text nor a whole number")


def _wrong(source: str, why: str) -> UsageError:
    shown = source if len(source) < 60 else source[:57] + "..."
    message = f"the template {shown!r} has an error: {why}"
    return UsageError(message)


# -- expanding -------------------------------------------------------------------------------------


def _value(placeholder: _Placeholder, values: Lookup) -> object:
    filters = placeholder.filters
    try:
        value = values.field(placeholder.field)
    except MissingFieldError:
        if not filters or filters[0][0] != "default":
            raise
        value = None
    for name, given in filters:
        value = FILTERS[name][0](value, *given)
    return value


def _shown(value: object, placeholder: _Placeholder) -> str:
    if value is None:
        name = placeholder.field
        message = f"the field {name!r} is empty here; use {{{name}|default('...')}}"
        raise MissingFieldError(message)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not placeholder.form:
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if isinstance(value, datetime):
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if isinstance(value, dict | list | tuple):
            return _json(value)
        return str(value)
    try:
        if isinstance(value, datetime):
            return value.strftime(placeholder.form)
        if isinstance(value, int | float | str) and _FORM.fullmatch(placeholder.form):
            return format(value, placeholder.form)
    except ValueError as error:
        message = f"{placeholder.field!r} cannot be shown as {placeholder.form!r}: {error}"
        raise UsageError(message) from error
    message = (
        f"{placeholder.field!r}, a {type(value).__name__}, cannot be shown as {placeholder.form!r}"
    )
    raise UsageError(message)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _json(value: object) -> str:
    return json_text(value, default=str)


def _limit(value: object, most: object, end: object = "") -> str:
    text, room = _text(value), max(0, int(str(most)))
    return text if len(text) <= room else text[:room] + str(end)


def _time(value: object, form: object) -> str:
    if isinstance(value, datetime):
        return value.strftime(str(form))
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).strftime(str(form))
    message = f"{value!r} is not a time"
    raise UsageError(message)


def _one_line(value: object) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", _text(value)).strip()


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return _text(value).encode("utf-8", "surrogateescape")  # the bytes of a name
    except UnicodeEncodeError:
        return _text(value).encode("utf-8", "surrogatepass")


FILTERS: Final[dict[str, tuple[Callable[..., object], int, int]]] = {
    "base64": (lambda value: base64.b64encode(_bytes(value)).decode("ascii"), 0, 0),
    "default": (lambda value, other: other if value is None or value == "" else value, 1, 1),
    "json": (lambda value: _json(_text(value) if isinstance(value, bytes) else value), 0, 0),
    "limit": (_limit, 1, 2),
    "lower": (lambda value: _text(value).lower(), 0, 0),
    "one_line": (_one_line, 0, 0),
    "replace": (lambda value, old, new: _text(value).replace(str(old), str(new)), 2, 2),
    "safe": (lambda value: safe_name(_text(value)), 0, 0),
    "sha256": (lambda value: hashlib.sha256(_bytes(value)).hexdigest(), 0, 0),
    "strip": (lambda value: _text(value).strip(), 0, 0),
    "time": (_time, 1, 1),
    "upper": (lambda value: _text(value).upper(), 0, 0),
    "url": (lambda value: urllib.parse.quote(_bytes(value), safe=""), 0, 0),
}
"""Name -> the function, and its least and most numbers of arguments."""
