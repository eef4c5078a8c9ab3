"""The record of an event that was given up: what bots write to a file, and workers to the hub."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, Final

from limpet._error_text import error_text
from limpet._surrogates import writable

_LONGEST: Final = 2000
"""Characters of an error's text: an error may contain a whole file."""


def dead_letter(
    event: object,
    *,
    attempts: int,
    error: BaseException,
    ident: str | None = None,
    **details: object,
) -> dict[str, Any]:
    """Return the record of an event, for ``json.dumps``.

    Args:
        event: The event, in a form for JSON.
        attempts: How often it was tried.
        error: The last failure.
        ident: The id of the record that this one replaces; by default it gets a new one.
        **details: Who gave it up, and where, in a form for JSON.
    """
    return {
        "v": 1,
        "id": ident or os.urandom(8).hex(),
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **details,
        "attempts": attempts,
        "error": {"type": type(error).__name__, "message": shortened(error_text(error))},
        "event": event,
    }


def shortened(text: str) -> str:
    """Return a text that is at most 2000 characters long, and valid in UTF-8."""
    text = writable(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
