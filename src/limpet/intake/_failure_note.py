"""What a job failed with, as text: for the record, the log and the note beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from limpet._error_text import error_text, traceback_text
from limpet._surrogates import writable
from limpet.intake._free_names import with_end

_NOTE_END: Final = ".error.txt"
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
        text = error_text(error).rstrip()
        return writable(text if len(text) <= _LONGEST else f"...{text[-_LONGEST:]}")
    return traceback_text(error, _LONGEST)


def note_text(name: str, failure: str, *, tries: str = "") -> str:
    """Return the text of the note beside a file or folder that failed.

    Args:
        name: Its name.
        failure: Why it failed.
        tries: How many tries it had, if that is known.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    line = f"tries: {tries}\n" if tries else ""
    return f"file: {name!r}\nfailed: {at}\n{line}\n{failure}\n"


def note_name(name: str) -> str:
    """Return what the note beside a file is called."""
    return with_end(name, _NOTE_END)
