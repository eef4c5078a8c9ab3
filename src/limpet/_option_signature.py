"""The signature and the help of functions whose keyword arguments are described elsewhere.

``**options: Unpack[Options]`` is what type checkers read; ``help``, notebooks and tools that make
pages ask ``inspect.signature`` and the docstring, which would show none of the options.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from limpet._option_fields import OptionInfo, info_without_type

F = TypeVar("F", bound=Callable[..., Any])


class ShownOption(NamedTuple):
    """One keyword argument as help shows it."""

    name: str
    default: object
    text: str
    """One line."""


def options_of(cls: type) -> list[ShownOption]:
    """Return the options that the fields of a dataclass describe."""
    return [
        ShownOption(one.name, one.default, _text(info_without_type(one)))
        for one in dataclasses.fields(cls)
    ]


def _text(info: OptionInfo) -> str:
    if not info.help:
        return ""
    text = f"{info.help[0].upper()}{info.help[1:]}"
    return f"{text}; by default {info.default}." if info.default else f"{text}."


def shows_options(keywords: type, options: Iterable[ShownOption]) -> Callable[[F], F]:
    """Return a decorator that gives a function the signature and the help of its options.

    Args:
        keywords: The ``TypedDict`` of the options: it has their types.
        options: The options.
    """
    kinds = {
        name: getattr(kind, "__forward_arg__", kind)
        for name, kind in keywords.__annotations__.items()
    }
    listed = [one for one in options if one.name in kinds]

    def decorate(function: F) -> F:
        found = inspect.signature(function)
        kept = [
            one
            for one in found.parameters.values()
            if one.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        shown = [
            inspect.Parameter(
                one.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=one.default,
                annotation=kinds[one.name],
            )
            for one in listed
        ]
        function.__signature__ = found.replace(parameters=[*kept, *shown])  # type: ignore[attr-defined]
        function.__doc__ = _with_options(function.__doc__, listed)
        return function

    return decorate


def _with_options(doc: str | None, options: Iterable[ShownOption]) -> str | None:
    """Return a docstring with a line for each option, after the one about all of them."""
    found = re.search(r"^( *)\*\*options:.*\n(?:\1 +\S.*\n)*", doc or "", re.MULTILINE)
    if doc is None or found is None:  # python -OO
        return doc
    lines = [f"{found[1]}{one.name}: {one.text}" for one in options]
    return doc[: found.end()] + "\n".join(lines) + "\n" + doc[found.end() :]
