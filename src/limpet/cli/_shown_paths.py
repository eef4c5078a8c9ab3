"""How paths are shown to people: as they were typed, and no wider than the terminal."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Final

ELLIPSIS: Final = "…"
LEAST_CELLS: Final = 12
"""No path is made shorter than this: what is left of it would be of no use."""

_SEPARATORS: Final = os.sep + (os.altsep or "")


class ShownPaths:
    """The paths of several watches, each below its root as the root was typed.

    A path below no root that was typed relative is shown absolute.
    """

    def __init__(self, *, absolute: bool = False) -> None:
        self._absolute = absolute
        self._typed: dict[str, str] = {}
        """Absolute root -> how it was typed, without a separator at its end."""

    def add(self, root: Path, typed: str) -> None:
        """Show paths below ``root`` as below ``typed``, if that is relative."""
        if not self._absolute and typed and not os.path.isabs(typed):
            plain = typed.rstrip(_SEPARATORS)
            self._typed[str(root)] = os.curdir if plain in {"", os.curdir} else plain

    def of(self, path: Path, location: Path) -> str:
        """Return the text for a path of the watch at ``location``."""
        text, root = str(path), str(location)
        if not self._typed:
            return text
        shown = self._below(text, root)
        if shown is None:  # the old name of a file that came from another root
            shown = next((one for at in self._typed if (one := self._below(text, at))), None)
        return text if shown is None else shown

    def root(self, location: Path) -> str:
        """Return the text that paths below the root begin with; empty if there is none."""
        typed = self._typed.get(str(location), str(location))
        return "" if typed == os.curdir else typed

    def argument(self, path: Path, location: Path) -> str:
        """Return the text for a path that a program gets: never one it takes for an option."""
        text = self.of(path, location)
        return os.path.join(os.curdir, text) if text.startswith("-") else text

    def _below(self, text: str, root: str) -> str | None:
        typed = self._typed.get(root)
        if typed is None:
            return None
        if text == root:
            return typed
        prefix = root if root.endswith(os.sep) else root + os.sep
        if not text.startswith(prefix):
            return None
        rest = text[len(prefix) :]
        return rest if typed == os.curdir else typed + os.sep + rest


def width_of(stream: object) -> int | None:
    """Return the number of columns of a terminal; ``None`` if the stream is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None


def cells(text: str) -> int:
    """Return the number of columns that printable text takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, room: int) -> str:
    """Return a path in ``room`` columns: of a longer one the middle is left out.

    Its name stays whole where that is possible, for the name says most.
    """
    if cells(text) <= room:
        return text
    name = cells(text[max(map(text.rfind, _SEPARATORS)) :])
    tail = max((room - 1) * 2 // 3, name if name <= room - 2 else 0)
    end = _last(text, tail)
    return _last(text[::-1], room - 1 - cells(end))[::-1] + ELLIPSIS + end


def _last(text: str, room: int) -> str:
    """Return as much of the end as fits."""
    at = len(text)
    while at > 0 and (taken := _cells_of(text[at - 1])) <= room:
        room -= taken
        at -= 1
    return text[at:]
