"""Saying what would be done instead of doing it (``limpet run --dry-run``)."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

__all__ = ["would", "would_say"]

would_say: Final[ContextVar[Callable[[str], None] | None]] = ContextVar("would_say", default=None)
"""Where lines about what would be done go; ``None`` is to do it."""


def would(what: str) -> bool:
    """Say what would be done, if nothing is to be done; tells whether that is so."""
    say = would_say.get()
    if say is None:
        return False
    say(f"would {what}")
    return True
