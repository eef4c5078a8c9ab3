"""Suggest the closest known name for an unknown one."""

from __future__ import annotations

from collections.abc import Iterable


def near(word: str, known: Iterable[str]) -> str:
    """Return the end of a message: the most similar known word, or nothing.

    Case does not count, and neither does whether words are joined by ``-`` or ``_``.
    """
    from difflib import get_close_matches  # most programs make no mistake

    plain = {other.lower().replace("-", "_"): other for other in known}
    found = get_close_matches(word.lower().replace("-", "_"), plain, n=1, cutoff=0.6)
    return f"; did you mean {plain[found[0]]!r}?" if found else ""
