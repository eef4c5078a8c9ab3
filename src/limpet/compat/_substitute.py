"""Puts the drop-ins in the place of the packages, before a program imports these."""

from __future__ import annotations

import contextlib
import sys
from importlib import import_module
from typing import Final

_MODULES: Final = {
    "watchfiles": ("", "cli", "filters", "main", "run", "version"),
    "watchdog": ("", "events", "observers", "observers.api", "observers.polling", "utils",
                 "utils.patterns", "version"),
}  # fmt: skip
"""Package -> the modules of it that have a drop-in; ``""`` is the package itself."""


def substitute(*packages: str) -> None:
    """Let every later import of watchfiles or watchdog find the drop-in.

    Args:
        *packages: ``watchfiles``, ``watchdog``; none is both.

    Raises:
        ValueError: There is no drop-in for a package.
        RuntimeError: The program has imported one of them already.
    """
    for package in packages or tuple(_MODULES):
        if package not in _MODULES:
            message = f"no drop-in for {package!r}: there are {', '.join(_MODULES)}"
            raise ValueError(message)
        there = sys.modules.get(package)
        home = f"limpet.compat.{package}"
        if there is not None and there.__name__ != home:
            message = f"{package} is imported already: substitute it before the program imports it"
            raise RuntimeError(message)
        if package == "watchfiles":
            _keep_the_engine()
        for name in _MODULES[package]:
            end = f".{name}" if name else ""
            sys.modules[package + end] = import_module(home + end)


def _keep_the_engine() -> None:
    """Load the compiled part of the real watchfiles, where it is installed.

    It is the backend of macOS, which imports it by its name; the name of the package is the
    drop-in's afterwards.
    """
    engine = "watchfiles._rust_notify"
    if engine in sys.modules:
        return
    with contextlib.suppress(ImportError):
        import_module(engine)
    for name in [one for one in sys.modules if one.partition(".")[0] == "watchfiles"]:
        if name != engine:
            del sys.modules[name]
