"""From hints by path to directories of the index; pure decisions, nothing is read from the disk.

A source of whole trees knows paths as they were when something happened. The index is older, so a
path may lead through a directory that has another name in it, or none yet.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from limpet.backends import CREATE, DELETE
from limpet.watching.index._index import DirNode
from limpet.watching.index._short_names import may_be_short

if TYPE_CHECKING:
    from limpet.backends import PendingHints
    from limpet.watching.diff._agenda import Agenda
    from limpet.watching.diff._compare import EntryRef
    from limpet.watching.diff._context import DiffContext


def take_path(path: str, agenda: Agenda, context: DiffContext, bits: int = 0) -> bool:
    """Add what a hint by absolute path names: something changed at the path or below it.

    Returns:
        False if the path leads through a directory that is not in the index under this name: it is
        to be taken again once that is examined.
    """
    directory = context.index.root
    parts = _parts(path, context)
    if directory is None or parts is None:
        agenda.location = True
        return True
    for part in parts[:-1]:
        entry = directory.entries.get(part)
        if entry is None:
            entry = _other_spelling(directory, part, context)
        if not isinstance(entry, DirNode):
            agenda.add_name(directory, part)
            if entry is None and may_be_short(part):
                agenda.listings.update(directory.walk())
            return entry is not None
        directory = entry
    name = parts[-1]
    agenda.add_name(directory, name, bits)
    entry = directory.entries.get(name)
    if isinstance(entry, DirNode):
        _take_directory(entry, bits, agenda, context)
    return True


def _take_directory(directory: DirNode, bits: int, agenda: Agenda, context: DiffContext) -> None:
    """Add what a hint about a directory itself says of what is in it."""
    if not context.services.capabilities.exact_paths or directory.blind is not None:
        agenda.listings.add(directory)
    elif bits & (CREATE | DELETE):  # it was elsewhere meanwhile, where no hint comes from
        agenda.listings.update(directory.walk())


def take_again(agenda: Agenda, context: DiffContext, taken_at: int) -> None:
    """Add what could not be placed before the directories on the way were examined.

    What still cannot be placed is kept as long as something is left to examine.

    Args:
        agenda: The agenda of the next round.
        context: The index and what else the parts share.
        taken_at: When the hints came; a directory that was listed later needs none of them.
    """
    unplaced, context.unplaced = context.unplaced, {}
    waits = bool(agenda)
    for path, bits in unplaced.items():
        parts = _parts(path, context)
        entry: object = context.index.root
        for part in parts[:-1] if parts is not None else ():
            entry = entry.entries.get(part) if isinstance(entry, DirNode) else None
        if not isinstance(entry, DirNode):
            if waits:
                context.unplaced[path] = bits
        elif entry.seen <= taken_at:
            take_path(path, agenda, context, bits)


def locate_moves(hints: PendingHints, context: DiffContext) -> None:
    """Turn renames by path into renames between directories of the index.

    One that cannot be placed is left out: then inode number and birth time are the evidence.

    A directory that had another name in between, or that of another one, is listed: hints by such a
    path lead to the other one, or nowhere.

    RACE: If the names in between come in two parts, one before and one during an examination, a
    change below them is missed until the next full scan. That takes three renames of one directory
    within the milliseconds of an examination.
    """
    if not hints.path_moves:
        return
    moved: dict[str, DirNode] = {}
    """Path of a directory after the renames so far -> its node."""
    left: set[str] = set()
    """Paths that a directory left by them."""
    for path, to_path in hints.path_moves:
        source, target = _place(path, context, moved, left), _place(to_path, context, moved, left)
        if source is None or target is None:
            continue
        entry = moved.pop(path, None)
        again = entry is not None
        if entry is None and path not in left:
            found = source[0].entries.get(source[1])
            entry = found if isinstance(found, DirNode) else None
        if entry is not None:
            if again or isinstance(target[0].entries.get(target[1]), DirNode):
                context.relist.update(entry.walk())
            moved[to_path] = entry
            left.add(path)
        left.discard(to_path)
        hints.moves.append((*source, *target))
    hints.path_moves = []


def _place(
    path: str, context: DiffContext, moved: dict[str, DirNode], left: set[str]
) -> EntryRef | None:
    """Return the directory of the index that a path is in, and the name in it."""
    directory, parts = context.index.root, _parts(path, context)
    if directory is None or parts is None:
        return None
    now = context.base.rstrip(os.sep)
    for part in parts[:-1]:
        now += os.sep + part
        entry: object = moved.get(now)
        if entry is None and now not in left:
            entry = directory.entries.get(part)
        if not isinstance(entry, DirNode):
            return None
        directory = entry
    return directory, parts[-1]


def _parts(path: str, context: DiffContext) -> list[str] | None:
    """Return the names on the way from the location, or ``None`` if it is not below that."""
    base = context.base.rstrip(os.sep) + os.sep  # at the root of a drive, it ends in one
    return path[len(base) :].split(os.sep) if path.startswith(base) else None


def _other_spelling(directory: DirNode, name: str, context: DiffContext) -> DirNode | None:
    """Return the directory that is meant where a name is found under another spelling."""
    if context.traits(directory).case_sensitive:
        return None
    wanted = name.casefold()
    for other, entry in directory.entries.items():
        if isinstance(entry, DirNode) and other.casefold() == wanted:
            return entry
    return None
