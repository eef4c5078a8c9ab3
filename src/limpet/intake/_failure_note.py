"""What a job failed with, as text: for the record, the log and the note beside it."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from typing import Final

from limpet._error_text import error_text
from limpet._surrogates import writable

_LONGEST: Final = 20_000
"""Characters of a trace in a note: an error may contain a whole file."""


class JobFailedError(Exception):
    """A job failed, for a reason that its text says in full: a note has no traceback of it."""


def short_failure(error: BaseException) -> str:
    """Return class and text of an exception in one line."""
    if isinstance(error, JobFailedError):
        return writable(error_text(error)).partition("\n")[0]
    text = error_text(error)
    name = type(error).__name__
    return writable(" ".join((name if text == name else f"{name}: {text}").split()))[:2000]


def full_failure(error: BaseException) -> str:
    """Return a traceback; its end if it is very long."""
    if isinstance(error, JobFailedError):
        text = error_text(error)
    else:
        try:
            text = "".join(traceback.format_exception(error))
        except Exception:  # noqa: BLE001 - of an exception of the user's, whose methods may fail
            text = short_failure(error)
    text = writable(text).rstrip()
    return text if len(text) <= _LONGEST else f"...{text[-_LONGEST:]}"


def note_text(name: str, attempts: int, most: int, failure: str) -> str:
    """Return the text of the note beside a job that failed."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return f"file: {name!r}\nfailed: {at}\ntries: {attempts} of {most}\n\n{failure}\n"
