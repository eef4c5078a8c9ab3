"""Waiting in tests: for a condition, never for a time."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Awaitable, Callable

import anyio

__all__ = ["PATIENCE", "until", "until_sync"]

PATIENCE = 30.0 if os.name == "posix" else 120.0
"""Seconds that a condition may take; only a failing test reaches it. Under Wine all is slower."""

What = str | Callable[[], str]


async def until(
    condition: Callable[[], object | Awaitable[object]],
    what: What = "",
    *,
    patience: float = PATIENCE,
) -> None:
    """Return once the condition holds; under asyncio or trio.

    Args:
        condition: Called again and again; must be cheap. What it returns is awaited if it can be.
        what: Describes the condition when the test fails: a text, or a function that returns it.
        patience: Seconds after which the test fails.
    """
    end = time.monotonic() + patience
    while True:
        holds = condition()
        if inspect.isawaitable(holds):
            holds = await holds
        if holds:
            return
        assert time.monotonic() < end, _text(what)
        await anyio.sleep(0.005)


def until_sync(
    condition: Callable[[], object], what: What = "", *, patience: float = PATIENCE
) -> None:
    """Return once the condition holds; as ``until``, for tests without an event loop."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, _text(what)
        time.sleep(0.005)


def _text(what: What) -> str:
    return (what if isinstance(what, str) else what()) or "the condition never held"
