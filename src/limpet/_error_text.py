"""The text of any exception, also of one whose own methods fail."""

from __future__ import annotations

import os
import sys
import traceback

from limpet._surrogates import writable


def error_text(error: BaseException) -> str:
    """Return what an exception says, or its class if it says nothing. Raises nothing.

    ``__str__`` and ``__repr__`` of foreign exceptions may raise whatever they like.
    """
    try:
        text = str(error)
    except BaseException as second:  # noqa: BLE001 - the first exception is to be reported
        return f"{type(error).__name__} (its text cannot be read: {type(second).__name__})"
    return text or type(error).__name__


def reason_of(error: BaseException, *named: str | os.PathLike[str]) -> str:
    """Return why something failed, for a message that names these paths itself. Raises nothing.

    Of an ``OSError`` that is the system's reason, with no path but those that are not named yet:
    ``No space left on device``, not ``[Errno 28] No space left on device: '/srv/a'``.
    """
    if not isinstance(error, OSError) or not error.strerror:
        return error_text(error)
    known = {os.fspath(path) for path in named}
    others = [
        _text_of(path)
        for path in (error.filename, error.filename2)
        if isinstance(path, str | bytes | os.PathLike)
    ]
    more = ", ".join(repr(path) for path in dict.fromkeys(others) if path not in known)
    return f"{error.strerror}: {more}" if more else str(error.strerror)


def _text_of(path: str | bytes | os.PathLike[str]) -> str:
    """Return a path as text; ``os.fsdecode`` refuses bytes that are not UTF-8 on Windows."""
    found = os.fspath(path)
    if isinstance(found, str):
        return found
    return found.decode(sys.getfilesystemencoding(), "surrogateescape")


def traceback_text(error: BaseException, longest: int) -> str:
    """Return the traceback of an exception; its end if it is longer than that. Raises nothing.

    The text is valid in UTF-8.
    """
    try:
        text = "".join(traceback.format_exception(error)).rstrip()
    except BaseException as second:  # noqa: BLE001 - a foreign exception, whose parts may fail
        text = f"{error_text(error)} (its traceback cannot be made: {type(second).__name__})"
    text = writable(text)
    return text if len(text) <= longest else f"...{text[3 - longest :]}"


def safe_repr(value: object) -> str:
    """Return ``repr(value)`` or, if that raises, its class. Raises nothing."""
    try:
        return repr(value)
    except BaseException as error:  # noqa: BLE001 - as above
        return f"<{type(value).__qualname__} (its repr fails: {type(error).__name__})>"
