"""The text of any exception, also of one whose own methods fail."""

from __future__ import annotations


def error_text(error: BaseException) -> str:
    """Return what an exception says, or its class if it says nothing. Raises nothing.

    ``__str__`` and ``__repr__`` of foreign exceptions may raise whatever they like.
    """
    try:
        text = str(error)
    except BaseException as second:  # noqa: BLE001 - the first exception is to be reported
        return f"{type(error).__name__} (its text cannot be read: {type(second).__name__})"
    return text or type(error).__name__


def safe_repr(value: object) -> str:
    """Return ``repr(value)`` or, if that raises, its class. Raises nothing."""
    try:
        return repr(value)
    except BaseException as error:  # noqa: BLE001 - as above
        return f"<{type(value).__qualname__} (its repr fails: {type(error).__name__})>"
