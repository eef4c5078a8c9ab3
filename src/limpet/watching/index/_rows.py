"""What the fast path finds of the names of one directory, as plain values.

The compiled part reads and makes them, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from limpet.events import Change
    from limpet.watching.index._index import DirNode, Entry

Row = tuple[str, int, "int | bytes | None", "bytes | None", "bool | AbstractSet[Change]"]
"""What was found of a file: its name, the hints, its record before and now (``None``: it was or is
not there), and what changed: ``True`` is the content, ``False`` nothing. Text, numbers and bytes
alone are not work for the garbage collector."""


class Block(NamedTuple):
    """What was found in one directory."""

    first: int
    """Number of the first row among those of all blocks."""
    rows: list[Row]
    directory: DirNode
    entries: dict[str, Entry]
    """Those of the directory in the index."""
    prefix: str
    """Path of the directory below the location, to which a name is added."""
    path: Path
    """The same, with the location."""
    text: str
    """The same as text, with a slash at its end."""
    exact: bool
    """A file that changes after a stat gets another time stamp."""
