"""Takes the directories of an index out of the garbage collector's sight.

A full collection visits every object that may be part of a cycle: with 100,000 directories that
stops the program for 80 to 300 milliseconds, several times during a start (measured). The index
breaks its cycles itself (``Index.clear``), so the collector need not look for them.

CPython alone has the function (documentation, "Supporting Cyclic Garbage Collection"). Without the
global lock its collector works in another way, so there it is left alone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


def _find() -> Callable[[object], None] | None:
    """Return the function of the interpreter, or ``None`` where it is not to be used."""
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.implementation.name != "cpython" or not has_lock:
        return None
    try:
        import ctypes

        found = ctypes.pythonapi.PyObject_GC_UnTrack
    except (ImportError, AttributeError):
        return None
    found.argtypes, found.restype = (ctypes.py_object,), None
    return found


_untrack: Final = _find()
_UNTRACKS_DICTS: Final = sys.version_info < (3, 14)
"""A mapping of text to numbers and bytes is out of sight by itself."""


def hide(directory: object, entries: object) -> None:
    """Take a directory, and its table of entries, out of the collector's sight."""
    if _untrack is not None:
        _untrack(directory)
        if not _UNTRACKS_DICTS:
            _untrack(entries)
