"""Options as dataclass fields that carry their own help, unit and range.

The checks, the command line, the properties of bots and the files of agents are made from these
fields, so that an option is described in one place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from limpet.errors import UsageError

_T = TypeVar("_T")
_KEY: Final = "limpet"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionInfo:
    """What an option's field says besides its type and default."""

    help: str
    """One line without a period, as ``--help`` shows it."""
    help_off: str = ""
    """The same for what turns it off, of an option that is on by default."""
    unit: str = ""
    """What a value is called in help: ``SECONDS``, ``GLOB``."""
    least: float | None = None
    """Smallest number it takes."""
    default: str = ""
    """What help shows in place of a default of ``None``."""


def option(
    default: _T,
    help: str,  # noqa: A002 - argparse's word
    *,
    help_off: str = "",
    unit: str = "",
    least: float | None = None,
    shown: str = "",
) -> _T:
    """Return a dataclass field with this default; see ``OptionInfo`` for the rest."""
    info = OptionInfo(help=help, help_off=help_off, unit=unit, least=least, default=shown)
    made: Any = field(default=default, metadata={_KEY: info})
    found: _T = made
    return found


_known: Final[dict[type, dict[str, tuple[Any, Any, OptionInfo]]]] = {}


def _described(cls: type) -> dict[str, tuple[Any, Any, OptionInfo]]:
    found = _known.get(cls)
    if found is None:
        hints = get_type_hints(cls)
        found = _known[cls] = {
            one.name: (hints[one.name], one.default, one.metadata[_KEY])
            for one in fields(cls)
            if _KEY in one.metadata
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
    """Verify the words and the ranges of all options.

    Raises:
        UsageError: A value is not one of its words, or below its range; the message names it.
    """
    for name, (kind, _, info) in _described(type(values)).items():
        value = getattr(values, name)
        words = words_of(kind)
        if words and value not in words and not (value is None and NoneType in get_args(kind)):
            message = f"{name} must be one of {', '.join(words)}, not {value!r}"
            raise UsageError(message)
        least = info.least
        if least is None or value is None:
            continue
        if not (math.isfinite(value) and value >= least):
            unit = f" {info.unit.lower()}" if info.unit else ""
            message = f"{name} must be at least {least:g}{unit}, got {value!r}"
            raise UsageError(message)
