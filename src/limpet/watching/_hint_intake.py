"""From pending hints to what is to be examined; pure decisions, nothing is read from the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.backends import ATTRIB, CLOSED, GONE, HINT_LIMIT, OTHER, SELF_MOVED
from limpet.watching._path_hints import take_path
from limpet.watching.index._index import DirNode
from limpet.watching.location._path_marks import Waypoint

if TYPE_CHECKING:
    from limpet.backends import Moves, PendingHints
    from limpet.watching.diff._agenda import Agenda
    from limpet.watching.diff._compare import EntryRef
    from limpet.watching.diff._context import DiffContext
    from limpet.watching.location._outer_ignore_file import OuterIgnoreFile
    from limpet.watching.location._path_marks import PathMarks
    from limpet.watching.location._root_lifecycle import RootLifecycle


def rename_origins(moves: Moves) -> dict[EntryRef, EntryRef]:
    """Return for each name that renames led to the name before all of them."""
    origins: dict[EntryRef, EntryRef] = {}
    pop = origins.pop
    for source, name, target, to_name in moves:
        if isinstance(source, DirNode) and isinstance(target, DirNode):
            start = source, name
            origins[target, to_name] = pop(start, start)
    return origins


def only_names(hints: PendingHints) -> dict[DirNode, dict[str, int]] | None:
    """Return the names to examine, or ``None`` if the hints are about more than names."""
    if hints.lost or hints.paths or hints.mounts_changed or hints.woken:
        return None
    found: dict[DirNode, dict[str, int]] = {}
    for subscriber, names in hints.dirty.items():
        if not isinstance(subscriber, DirNode) or "" in names:
            return None
        found[subscriber] = names
    return found


def carry_closed(hints: PendingHints) -> None:
    """Pass the hint that a file was closed on to the name it was renamed to afterwards."""
    for source, name, target, to_name in hints.moves:
        closed = hints.dirty.get(source, {}).get(name, 0) & CLOSED
        if closed:
            names = hints.dirty.setdefault(target, {})
            names[to_name] = names.get(to_name, 0) | closed


def take_hints(
    hints: PendingHints,
    agenda: Agenda,
    context: DiffContext,
    root: RootLifecycle,
    path_marks: PathMarks,
    outer: OuterIgnoreFile | None = None,
) -> None:
    """Add to ``agenda`` what the hints name, and what the last examination left open."""
    for subscriber, names in hints.dirty.items():
        if isinstance(subscriber, Waypoint):
            if outer is not None and outer.take_hint(subscriber, names):
                continue
            for name, bits in names.items():
                agenda.location |= path_marks.concerns(subscriber, name, bits)
            continue
        if not isinstance(subscriber, DirNode):
            continue
        own_bits = names.pop("", 0)
        if own_bits:
            _take_self_hint(subscriber, own_bits, agenda, context, root)
        if names:
            agenda.add_names(subscriber, names)
    agenda.listings |= context.relist
    context.relist = set()
    for directory in context.reexamine:
        if directory.parent is not None:
            agenda.add_name(directory.parent, directory.name)
    context.reexamine = []
    for path, path_bits in hints.paths.items():
        if not take_path(path, agenda, context, path_bits):
            context.unplaced[path] = context.unplaced.get(path, 0) | path_bits
    if len(context.unplaced) > HINT_LIMIT and context.index.root is not None:
        context.unplaced = {}
        agenda.listings.update(context.index.root.walk())


def _take_self_hint(
    directory: DirNode, bits: int, agenda: Agenda, context: DiffContext, root: RootLifecycle
) -> None:
    """Add what a hint about a marked directory itself calls into question."""
    if bits & GONE:
        # The next directory may get its inode number within the same tick of the clock: only this
        # hint tells the two apart, and the new one has no mark yet.
        context.index.lose_identity(directory)
    if directory.parent is None:
        if directory is context.index.root:
            root.bits |= bits
            if directory.blind is not None:
                agenda.listings.add(directory)
        agenda.location = True
    elif bits & (GONE | SELF_MOVED | ATTRIB):
        agenda.add_name(directory.parent, directory.name, bits & (ATTRIB | OTHER))
