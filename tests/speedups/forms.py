"""The two forms of a function, side by side."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from limpet import _compiled

if sys.platform == "linux":
    for _name in (
        "limpet.backends._fanotify_records",
        "limpet.backends._inotify_records",
        "limpet.watching",
        "limpet.watching.diff._fast_path",
    ):
        importlib.import_module(_name)  # each adds its functions to those that are there twice


def compiled_part() -> ModuleType:
    """Return the compiled part, also where the environment chooses Python; skip without one."""
    try:
        return importlib.import_module("limpet._speedups")
    except ImportError as error:
        pytest.skip(f"no compiled part: {error}")


def both(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the Python form and the compiled form of a function."""
    return _compiled.PYTHON[name], getattr(compiled_part(), name)


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    """Return what a call returns, in its order, or what it raises."""
    try:
        return ordered(function(*args))
    except Exception as error:
        return type(error), error.args, getattr(error, "filename", None)


def ordered(value: Any) -> Any:
    """Return a value whose comparison heeds the order of mappings and the types."""
    if isinstance(value, dict):
        return [(ordered(key), ordered(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [ordered(item) for item in value]
    return type(value), value
