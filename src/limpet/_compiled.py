"""Chooses between the compiled and the Python form of each function that is there twice.

The Python form is the rule: what a function does is decided there, and ``_speedups.c`` does the
same in less time. Where the compiled part was not built (no compiler, another system than Linux)
or does not fit, the Python form runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, Final, TypeVar

SWITCH: Final = "LIMPET_SPEEDUPS"
"""Variable of the environment; ``0`` leaves the compiled part aside."""

INTERFACE: Final = 8
"""Raised here and in ``_speedups.c`` when a function is added or takes or returns something else,
so that a compiled part of another version of limpet is left aside."""

FUNCTIONS: Final = (
    "emit_rows",
    "fanotify_mark",
    "fanotify_mark_several",
    "find_rows",
    "inotify_mark_several",
    "list_directory",
    "list_sifted",
    "merge_fanotify",
    "merge_inotify",
    "name_to_handle",
    "names_that_stay",
    "open_directories",
    "records_in",
    "statx_directory",
    "statx_records",
    "tie",
)
"""All of them have to be in the compiled part."""

_F = TypeVar("_F", bound=Callable[..., Any])

PYTHON: Final[dict[str, Callable[..., Any]]] = {}
"""Name -> the Python form, of the modules imported so far; tests compare the two."""


def load(modules: Callable[[str], ModuleType] = import_module) -> tuple[ModuleType | None, str]:
    """Return the compiled part, or ``None`` and why it is not used."""
    if os.environ.get(SWITCH) == "0":
        return None, f"{SWITCH}=0"
    if sys.platform != "linux":
        return None, "it is for Linux alone"
    try:
        module = modules("limpet._speedups")
    except ModuleNotFoundError:
        return None, "it was not built when limpet was installed"
    except ImportError as error:
        return None, f"it cannot be loaded: {error}"
    found = getattr(module, "INTERFACE", None)
    if found != INTERFACE or not all(hasattr(module, name) for name in FUNCTIONS):
        return None, "it was built from another version of limpet"
    return module, ""


SPEEDUPS, WHY_NOT = load()
"""The compiled part, and why there is none."""


def form() -> str:
    """Return which form runs: ``compiled`` or ``python``."""
    return "python" if SPEEDUPS is None else "compiled"


def compiled_if_built(function: _F) -> _F:
    """Return the compiled function of the same name, or ``function`` where it is not used."""
    name = function.__name__
    PYTHON[name] = function
    chosen: _F = function if SPEEDUPS is None else getattr(SPEEDUPS, name)
    return chosen
