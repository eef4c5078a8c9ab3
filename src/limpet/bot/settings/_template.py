"""A small language for names and contents: values in a text, and nothing that runs.

``{field}`` is a value of the event, ``{field:form}`` a value in a form (of a time as ``strftime``
takes it, of a number as ``format`` does), ``{field|filter|filter(arguments)}`` a value that was
worked on; ``{{`` and ``}}`` are braces. A field is looked up in the values it is given and nowhere
else: no attribute, no call, no index reaches into an object, so a text from anywhere can be
expanded. It is parsed once; what is wrong with it is said then.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Final, Protocol

from limpet._suggest import near
from limpet.errors import UsageError
from limpet.output import safe_name

__all__ = ["FILTERS", "Lookup", "MissingFieldError", "Template"]

_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*")
_FILTER: Final = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_FORM: Final = re.compile(r"(?:.?[<>=^])?[-+ ]?#?0?\d{0,3},?(?:\.\d{1,2})?[a-zA-Z%]?")
_MOST: Final = 16 << 20
"""Characters an expansion may have; a webhook or a file has its own limits below that."""


class Lookup(Protocol):
    """Gives the values of fields."""

    def field(self, name: str) -> object:
        """Give a value; raises ``MissingFieldError`` where there is none."""


class MissingFieldError(UsageError):
    """This event has no such field; ``{field|default(...)}`` says what to take then."""


@dataclass(frozen=True, slots=True)
class _Hole:
    field: str
    form: str
    filters: tuple[tuple[str, tuple[object, ...]], ...]


class Template:
    """One parsed text; frozen, and usable from any thread."""

    __slots__ = ("_pieces", "source")

    def __init__(self, source: str) -> None:
        """Parse it.

        Raises:
            UsageError: It is wrong; the message says where.
        """
        self.source = source
        self._pieces = tuple(_parse(source))

    def __eq__(self, other: object) -> bool:
        """Whether both are the same text."""
        return isinstance(other, Template) and self.source == other.source

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.source)

    def __repr__(self) -> str:
        """Show the text."""
        return f"Template({self.source!r})"

    @property
    def fields(self) -> frozenset[str]:
        """The fields it looks up."""
        return frozenset(piece.field for piece in self._pieces if isinstance(piece, _Hole))

    def text(self, values: Lookup) -> str:
        """Give the text with its values.

        Raises:
            MissingFieldError: There is no such field, and no default.
            UsageError: A value does not go with its form or filter.
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
        """Give a name for a file below an output folder, safe whatever the values are.

        ``/`` in the template itself parts folders, also in the form of a time (``{time:%Y/%m}``),
        and so do the folders of a path such as ``{rel}``. Each component is then made by
        ``limpet.safe_name``: what a value holds can neither leave the folder nor make one.

        Raises:
            MissingFieldError: There is no such field, and no default.
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
                parts_of = [part for part in value.parts if part != value.anchor]
                first, *rest = parts_of or [""]
            else:
                first, rest = _shown(value, piece), []
            parts[-1] += first
            parts += rest
        made = [safe_name(part) for part in parts if part]
        if not made:
            message = f"the name {self.source!r} came out empty"
            raise UsageError(message)
        return "/".join(made)


# -- parsing ---------------------------------------------------------------------------------------


def _parse(source: str) -> Iterable[str | _Hole]:
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
            yield _hole(source[at + 1 : end], source)
            at = end + 1
        elif one == "}":
            raise _wrong(source, "a '}' that ends nothing; write '}}' for the brace itself")
        else:
            plain += one
            at += 1
    if plain:
        yield plain


def _end(source: str, start: int) -> int:
    """Find the brace that ends a field; one in quotes is none."""
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
    raise _wrong(source, "a '{' that is not ended; write '{{' for the brace itself")


def _hole(inside: str, source: str) -> _Hole:
    head, *rest = _cut(inside, "|")
    field, _, form = head.partition(":")
    field = field.strip()
    if not _FIELD.fullmatch(field):
        raise _wrong(source, f"{field!r} is no field")
    filters = []
    for one in rest:
        found = _FILTER.fullmatch(one)
        if found is None:
            raise _wrong(source, f"{one.strip()!r} is no filter")
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
    return _Hole(field, form, tuple(filters))


def _cut(text: str, mark: str) -> list[str]:
    """Split at a character that stands in no quotes and no parentheses."""
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


def _value(hole: _Hole, values: Lookup) -> object:
    filters = hole.filters
    try:
        value = values.field(hole.field)
    except MissingFieldError:
        if not filters or filters[0][0] != "default":
            raise
        value = None
    for name, given in filters:
        value = FILTERS[name][0](value, *given)
    return value


def _shown(value: object, hole: _Hole) -> str:
    if value is None:
        message = f"the field {hole.field!r} is empty here; {{{hole.field}|default('...')}} helps"
        raise MissingFieldError(message)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not hole.form:
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if isinstance(value, datetime):
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if isinstance(value, dict | list | tuple):
            return _json(value)
        return str(value)
    try:
        if isinstance(value, datetime):
            return value.strftime(hole.form)
        if isinstance(value, int | float | str) and _FORM.fullmatch(hole.form):
            return format(value, hole.form)
    except ValueError as error:
        message = f"{hole.field!r} cannot be shown as {hole.form!r}: {error}"
        raise UsageError(message) from error
    message = f"{hole.field!r}, a {type(value).__name__}, cannot be shown as {hole.form!r}"
    raise UsageError(message)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _limit(value: object, most: object, end: object = "") -> str:
    text, room = _text(value), max(0, int(str(most)))
    return text if len(text) <= room else text[:room] + str(end)


def _time(value: object, form: object) -> str:
    if isinstance(value, datetime):
        return value.strftime(str(form))
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).strftime(str(form))
    message = f"{value!r} is no time"
    raise UsageError(message)


def _one_line(value: object) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", _text(value)).strip()


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else _text(value).encode("utf-8", "surrogateescape")


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
"""Name -> what it does, and how many arguments it takes at least and at most."""
