"""The log of a long-running command: its options, and the block that writes it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TextIO

from limpet.cli._color import LOG_RULES, by_rules, is_terminal, painter, wants_color
from limpet.cli._parser import add_choice

_FORMATS: Final = ("text", "json")


def add_log_options(add: Callable[..., object]) -> None:
    """Add the options of a command that logs what it does."""
    add_choice(add, "--log-format", _FORMATS, "format of the log", "text")
    levels = ("debug", "info", "warning", "error")
    add_choice(add, "--log-level", levels, "lowest level that is logged", "info")


def add_log_format(add: Callable[..., object]) -> None:
    """Add the option of a command whose messages are for people, unless a log is asked for."""
    add_choice(add, "--log-format", _FORMATS, "write messages as the log of a service")


def logging_of(given: Namespace) -> AbstractContextManager[None]:
    """Return the block that logs to standard error as the options have it."""
    if given.log_format == "text" and is_terminal(sys.stderr):
        from limpet._logging import logging_to
        from limpet.cli._terminal_log import TerminalLog

        return logging_to(sys.stderr, level=given.log_level, formatter=TerminalLog(sys.stderr))
    return logging_in(given.log_format, sys.stderr, level=given.log_level)


def logging_in(
    form: str, stream: TextIO | None, *, level: str = "info"
) -> AbstractContextManager[None]:
    """Return the block that logs to a stream as a service does, in colours if they are wanted."""
    from limpet._logging import logging_to  # only now: it takes longer than a parser

    paint = by_rules(painter(stream), LOG_RULES) if wants_color(stream) else None
    return logging_to(stream, form="json" if form == "json" else "text", level=level, paint=paint)
