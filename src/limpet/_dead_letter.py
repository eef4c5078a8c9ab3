"""The record of an event that was given up: what bots write to a file, and workers to the hub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from limpet._error_text import error_text, traceback_text
from limpet._surrogates import writable

_LONGEST: Final = 2000
"""Characters of an error's text: an error may contain a whole file."""

LONGEST_TRACE: Final = 8000
"""Characters of a traceback, of which the end is kept: the place of the failure."""

MOST_TRIES: Final = 20
"""Tries that a record keeps, the newest: one that is retried every day must not grow for ever."""


def dead_letter(
    event: object,
    *,
    attempts: int,
    error: BaseException,
    ident: str | None = None,
    tries: Sequence[object] | None = None,
    **details: object,
) -> dict[str, Any]:
    """Return the record of an event, for ``json.dumps``.

    Args:
        event: The event, in a form for JSON.
        attempts: How often it was tried.
        error: The last failure.
        ident: The id of the record that this one replaces; by default it gets a new one.
        tries: What ``failed_try`` has returned for each, oldest first: the record gets the newest,
            and the traceback of ``error``. Without them it has neither.
        **details: Who gave it up, and where, in a form for JSON.
    """
    failure = {"type": type(error).__name__, "message": shortened(error_text(error))}
    if tries is not None:
        failure["traceback"] = traceback_text(error, LONGEST_TRACE)
    return {
        "v": 1,
        "id": ident or os.urandom(8).hex(),
        "at": _now(),
        **details,
        "attempts": attempts,
        "error": failure,
        **({} if tries is None else {"tries": list(tries[-MOST_TRIES:])}),
        "event": event,
    }


def failed_try(step: str, error: BaseException) -> dict[str, str]:
    """Return the record of one try that failed now: its time, its step, and why."""
    message = shortened(error_text(error))
    return {"at": _now(), "step": step, "type": type(error).__name__, "message": message}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def shortened(text: str) -> str:
    """Return a text that is at most 2000 characters long, and valid in UTF-8."""
    text = writable(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
