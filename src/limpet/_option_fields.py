"""Options as dataclass fields that carry their own help, unit and range.

The checks, the command line, the properties of bots and the files of agents are made from these
fields, so that an option is described in one place.
"""

from __future__ import annotations

import codecs
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import Field, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from limpet._suggest import near
from limpet.errors import UsageError

_T = TypeVar("_T")
_KEY: Final = "limpet"

LONGEST: Final = 1e9
"""Most seconds that an option takes, about 30 years: more does not fit into the clocks' types."""
_MOST_SHOWN: Final = 200
LARGEST: Final = (1 << 63) - 1
"""Largest whole number that an option takes: what the system calls take (``off_t``)."""


class OptionInfo(NamedTuple):
    """What an option's field says besides its type and default."""

    help: str
    """One line without a period, as ``--help`` shows it."""
    help_off: str = ""
    """The same for what turns it off, of an option that is on by default."""
    unit: str = ""
    """What a value is called in help: ``SECONDS``, ``GLOB``."""
    least: float | None = None
    """Smallest number it takes."""
    above: float | None = None
    """It takes larger numbers than this only."""
    default: str = ""
    """What help shows in place of a default of ``None``."""


def option(
    default: _T,
    help: str,  # noqa: A002 - argparse's word
    *,
    help_off: str = "",
    unit: str = "",
    least: float | None = None,
    above: float | None = None,
    shown: str = "",
) -> _T:
    """Return a dataclass field with this default; see ``OptionInfo`` for the rest."""
    info = OptionInfo(
        help=help, help_off=help_off, unit=unit, least=least, above=above, default=shown
    )
    made: Any = field(default=default, metadata={_KEY: info})
    found: _T = made
    return found


def info_without_type(one: Field[Any]) -> OptionInfo:
    """Return the description of a field; its type, which is slow to evaluate, is not needed."""
    found: OptionInfo = one.metadata.get(_KEY, OptionInfo(help=""))
    return found


_known: Final[dict[type, dict[str, tuple[Any, Any, OptionInfo]]]] = {}


def _described(cls: type) -> dict[str, tuple[Any, Any, OptionInfo]]:
    found = _known.get(cls)
    if found is None:
        hints = get_type_hints(cls)
        found = _known[cls] = {
            one.name: (hints[one.name], one.default, info_without_type(one))
            for one in fields(cls)
            if one.init
        }
    return found


def info_of(cls: type, name: str) -> tuple[Any, Any, OptionInfo]:
    """Return the type, the default and the description of one option."""
    return _described(cls)[name]


def words_of(kind: object) -> tuple[str, ...]:
    """Return the words that a ``Literal`` allows, or one with ``None``; none of another type."""
    for one in (kind, *get_args(kind)):
        if get_origin(one) is Literal:
            return get_args(one)
    return ()


def check_options(values: object) -> None:
    """Verify the type, the words and the range of each field of a dataclass.

    Raises:
        UsageError: A value is of another type, not one of its words, or out of its range; the
            message names the option and the value.
    """
    for name, (kind, _, info) in _described(type(values)).items():
        _check(name, getattr(values, name), kind, info)


def check_values(
    values: Mapping[str, object], cls: type, described: Mapping[str, OptionInfo]
) -> None:
    """Verify the type, the words and the range of each value of a ``TypedDict``.

    Raises:
        UsageError: As ``check_options``.
    """
    plain = OptionInfo(help="")
    for name, kind in get_type_hints(cls).items():
        if name in values:
            _check(name, values[name], kind, described.get(name, plain))


def _check(name: str, value: object, kind: object, info: OptionInfo) -> None:
    if not _fits(value, kind):
        message = f"{name} must be {_expected(kind, info.unit)}, not {_shown(value)}"
        raise UsageError(message)
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_range(name, value, info)


def options_from(cls: type[_T], given: Mapping[str, Any]) -> _T:
    """Return the dataclass made of keyword arguments.

    Raises:
        UsageError: One of them does not exist, or its value is wrong; the message names it.
    """
    check_names(given, _described(cls))
    return cls(**given)


def check_names(given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Verify that each keyword argument exists.

    Raises:
        UsageError: One does not; the message names it and the most similar one.
    """
    for name in given:
        if name not in known:
            hint = near(name, known) or f"; known are {', '.join(known)}"
            message = f"unknown option {name!r}{hint}"
            raise UsageError(message)


def path_of(name: str, value: object) -> Path:
    """Return a path that was given, made absolute and not resolved.

    Raises:
        UsageError: It is not a path, empty, or has a NUL; the message names the option.
    """
    try:
        text = os.fsdecode(os.fspath(value))  # type: ignore[call-overload]
    except TypeError:
        message = f"{name} must be a path (str or os.PathLike), not {_shown(value)}"
        raise UsageError(message) from None
    if not text:
        message = f"{name} must not be empty: give the path of a file or folder"
        raise UsageError(message)
    if "\0" in text:
        message = f"{name} must not contain a NUL character, got {text!r}"
        raise UsageError(message)
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        message = f"{name} must be a path that the system can spell, not {text!r}"
        raise UsageError(message) from error
    return Path(os.path.abspath(text))


def texts_of(name: str, value: object) -> tuple[str, ...]:
    """Return one text, or several, as a tuple.

    Raises:
        UsageError: It is neither; the message names the option and the value.
    """
    if isinstance(value, str):
        return (value,)
    found: tuple[object, ...] | None = None
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | Mapping):
        found = tuple(value)
    if found is None or not all(isinstance(one, str) for one in found):
        message = f"{name} must be a text or several texts, not {_shown(value)}"
        raise UsageError(message)
    return cast("tuple[str, ...]", found)


def check_encoding(encoding: str, errors: str) -> None:
    """Verify that a text encoding and an error handler exist.

    Raises:
        UsageError: One does not, or encodes no text (``hex``); the message names it.
    """
    try:
        "a".encode(encoding)
        b"".decode(encoding)
    except (LookupError, ValueError) as error:
        message = f"encoding must be the name of a text encoding, not {encoding!r}: {error}"
        raise UsageError(message) from error
    try:
        codecs.lookup_error(errors)
    except (LookupError, ValueError) as error:
        message = f"errors must be the name of an error handler, not {errors!r}: {error}"
        raise UsageError(message) from error


def _shown(value: object) -> str:
    """Return a value as a message shows it: not all of a long one, and nothing that raises."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - of a class of the user's, or a number of 5,000 digits
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


_COUNT: Final = "N"
"""The unit of what is counted: a placeholder in help texts, and no word for a message."""


def _check_range(name: str, value: float, info: OptionInfo) -> None:
    unit = f" {info.unit.lower()}" if info.unit not in {"", _COUNT} else ""
    least, above = info.least, info.above
    if not _is_finite(value) or (least is not None and value < least):
        bound = f"at least {least:g}{unit}" if least is not None else "a finite number"
        message = f"{name} must be {bound}, got {_shown(value)}"
        raise UsageError(message)
    if above is not None and value <= above:
        message = f"{name} must be more than {above:g}{unit}, got {_shown(value)}"
        raise UsageError(message)
    most = LONGEST if isinstance(value, float) or info.unit == "SECONDS" else LARGEST
    if value > most:
        message = f"{name} must be at most {most:g}{unit}, got {_shown(value)}"
        raise UsageError(message)


def _fits(value: object, kind: Any) -> bool:  # noqa: ANN401 - a type's notation has no type
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return any(_fits(value, one) for one in get_args(kind))
    if origin is Literal:  # 0 and 1 are not words for False and True
        return any(
            value == word
            and isinstance(value, type(word))
            and isinstance(value, bool) is isinstance(word, bool)
            for word in get_args(kind)
        )
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(one, get_args(kind)[0]) for one in value)
    if kind in {int, float}:
        numbers = (int,) if kind is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    return value is None if kind is NoneType else isinstance(value, origin or kind)


def _expected(kind: Any, unit: str) -> str:  # noqa: ANN401 - see _fits
    """Return what a value of this type is called in a message."""
    named: list[str] = []
    words: list[str] = []
    for part in get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,):
        origin = get_origin(part)
        if origin is Literal:
            words += [str(word) for word in get_args(part)]
        elif part is float and unit == "SECONDS":
            named.append("a number of seconds")
        else:
            named += _NAMES.get(origin or part, (part.__name__,))
    if words and not set(named) - {"None"}:
        return f"one of {', '.join(words)}"
    named += words
    return f"{', '.join(named[:-1])} or {named[-1]}" if named[1:] else named[0]


_NAMES: Final[dict[Any, tuple[str, ...]]] = {
    bool: ("True", "False"),
    bytes: ("bytes",),
    float: ("a number",),
    int: ("a whole number",),
    str: ("a text",),
    tuple: ("a tuple of texts",),
    Path: ("a path",),
    NoneType: ("None",),
}
