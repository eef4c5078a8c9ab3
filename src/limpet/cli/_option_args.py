"""Options of the library as options of the command line, made from the fields that hold them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

from limpet._option_fields import info_of, words_of
from limpet.cli._parser import one_of


def _reader(kind: object) -> Callable[[str], object]:
    """Return what reads a value of this type, which may be one with ``None``."""
    return next((one for one in (float, int, Path) if one in (kind, *get_args(kind))), str)


def add_options(add: Callable[..., object], cls: type, names: Iterable[str]) -> None:
    """Add an option for each of these fields, by ``add``, the method of a parser or a group."""
    for name in names:
        kind, default, info = info_of(cls, name)
        flag = name.replace("_", "-")
        if kind is bool:
            help_text = info.help_off if default else info.help
            add(f"--no-{flag}" if default else f"--{flag}", action="store_true", help=help_text)
            continue
        if get_origin(kind) is tuple:
            help_text = f"{info.help}; may be repeated"
            add(f"--{flag}", metavar=info.unit, action="append", help=help_text)
            continue
        shown = info.default if default is None else default
        shown = f"{shown:g}" if isinstance(shown, float) else shown
        words = words_of(kind)
        listed = f": {', '.join(words)}" if words and info.unit else ""
        add(
            f"--{flag}",
            metavar=info.unit or "|".join(words),
            type=one_of(words) if words else _reader(kind),
            help=info.help + listed + (f" ({shown})" if shown != "" else ""),
        )


def given_options(given: argparse.Namespace, cls: type, names: Iterable[str]) -> dict[str, Any]:
    """Return the values that were given for these fields, by name."""
    found: dict[str, Any] = {}
    for name in names:
        kind, default, _ = info_of(cls, name)
        if kind is bool and default:
            if getattr(given, f"no_{name}"):
                found[name] = False
            continue
        value = getattr(given, name)
        if value is not None and value is not False:
            found[name] = tuple(value) if get_origin(kind) is tuple else value
    return found
