"""The end of a bot whose standard output nobody reads any more (``limpet run bot.yaml | head``)."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

on_closed_pipe: Final[ContextVar[Callable[[], None] | None]] = ContextVar(
    "on_closed_pipe", default=None
)
"""Stops the program at once; ``None`` in a program that is not limpet's own."""


def stop_for_closed_pipe() -> bool:
    """Stop the program, if it is limpet's own; return whether it is."""
    stop = on_closed_pipe.get()
    if stop is None:
        return False
    stop()
    return True
