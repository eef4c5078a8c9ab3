"""The log of a long-running command: its options, and the block that writes it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager

from limpet.cli._color import LOG_RULES, by_rules, painter, wants_color
from limpet.cli._parser import add_choice


def add_log_options(add: Callable[..., object], level: str | None = "info") -> None:
    """Add the options of a log."""
    add_choice(add, "--log-format", ("text", "json"), "format of the log", "text")
    levels = ("debug", "info", "warning", "error")
    add_choice(add, "--log-level", levels, "lowest level that is logged", level)


def logging_of(given: Namespace) -> AbstractContextManager[None]:
    """Return the block that logs to standard error as the options have it."""
    from limpet._logging import logging_to

    return logging_to(form=given.log_format, level=given.log_level, paint=log_paint())


def log_paint() -> Callable[[str], str] | None:
    """Return what paints a line of the log on standard error; ``None`` if it stays as it is."""
    if not wants_color(sys.stderr):
        return None
    return by_rules(painter(sys.stderr), LOG_RULES)
