"""What the fast path finds of the names of one directory, as rows, and which of them are renames.

These functions are also in ``_speedups.c``: they take and return plain values alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet._compiled import compiled_if_built
from limpet.backends import AWAY, CREATE, DELETE, HERE
from limpet.watching.index._entry_record import inode_of, is_dir, kind_of, only_written

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from limpet.events import Change
    from limpet.watching.index._index import DirNode, Entry
    from limpet.watching.index._rows import Block, Row

WENT: Final = DELETE | AWAY
CAME: Final = CREATE | HERE
"""A name that only went is gone. All hints of what happened before they were read have been read
with them, so one of a later arrival would be there (inotify(7), fanotify(7))."""


@compiled_if_built
def names_that_stay(names: dict[str, int]) -> list[str]:
    """Return the names that did not only go, of name -> hints."""
    return [name for name, bits in names.items() if not bits & WENT or bits & CAME]


@compiled_if_built
def find_rows(
    names: dict[str, int],
    found: list[bytes | None],
    entries: dict[str, Entry],
    believes_gone: bool,  # noqa: FBT001 (by position alone, for the compiled form)
    exact: bool,  # noqa: FBT001
    compare: Callable[[int, int | bytes, bytes], AbstractSet[Change] | None],
) -> tuple[list[Row], list[str], bool] | None:
    """Compare what is on disk with what the index has.

    Args:
        names: Name -> hints.
        found: The record of each name now; with ``believes_gone`` of ``names_that_stay`` alone.
        entries: The entries of the directory in the index.
        believes_gone: The other names are gone.
        exact: The kernel gives every change after a stat a time stamp of its own.
        compare: Decides what changed where that is not plain, by hints, record before and record
            now; ``None`` means that the full path is needed.

    Returns:
        The rows, the names that came, and whether any is gone; ``None`` if a directory is among
        them, or ``compare`` said so.
    """
    rows: list[Row] = []
    came: list[str] = []
    is_any_gone = False
    records = iter(found)
    for name, bits in names.items():
        is_gone = believes_gone and bits & WENT and not bits & CAME
        new = None if is_gone else next(records)
        old = entries.get(name)
        if old is not None and not isinstance(old, (int, bytes)):
            return None
        changes: bool | AbstractSet[Change] = False
        if new is None:
            if old is None:
                continue  # created and deleted
            is_any_gone = True
        elif is_dir(new):
            return None
        elif old is None:
            came.append(name)
        else:
            decided: bool | AbstractSet[Change] | None = None
            if isinstance(old, bytes):
                decided = only_written(old, new, deleted=bits & DELETE != 0, exact=exact)
            if decided is None:
                decided = compare(bits, old, new)
                if decided is None:
                    return None
            changes = decided
        rows.append((name, bits, old, new, changes))
    return rows, came, is_any_gone


@compiled_if_built
def tie(
    blocks: list[Block],
    origins: dict[tuple[DirNode, str], tuple[DirNode, str]],
) -> tuple[dict[int, int], int, int]:
    """Find the renames that the backend reported.

    Args:
        blocks: What was found in all directories.
        origins: Name now -> name before, each in its directory.

    Returns:
        The number of a row that is one end of a rename -> that of the other end; and how many rows
        are departures, and how many arrivals.
    """
    gone: dict[tuple[DirNode, str], tuple[int, Row]] = {}
    come: list[tuple[tuple[DirNode, str], int, Row]] = []
    for first, rows, directory, *_ in blocks:
        for number, row in enumerate(rows, first):
            if row[3] is None:
                gone[directory, row[0]] = number, row
            elif row[2] is None:
                come.append(((directory, row[0]), number, row))
    pairs: dict[int, int] = {}
    for ref, number, row in come:
        origin = origins.get(ref)
        start = gone.get(origin) if origin is not None else None
        if start is None or row[1] & DELETE or start[0] in pairs:
            continue
        old, new = start[1][2], row[3]
        if old and new and inode_of(old) == inode_of(new) and kind_of(old) == kind_of(new):
            pairs[start[0]], pairs[number] = number, start[0]
    return pairs, len(gone), len(come)


def may_be_renames(blocks: list[Block], pairs: dict[int, int]) -> bool:
    """Return whether a file that went and one that came, outside ``pairs``, may be the same."""
    went, came = set(), set()
    for block in blocks:
        for number, (_, _, old, new, _) in enumerate(block.rows, block.first):
            if number in pairs:
                continue
            if new is None and old:
                went.add(inode_of(old))
            elif old is None and new:
                came.add(inode_of(new))
    return not went.isdisjoint(came)
