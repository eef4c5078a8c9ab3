"""Finds what moved from one place of a group into another.

Each place is examined by itself, so what moved is deleted in one and created in another, in the
same turn. The two are one rename by the kernel's own word, or by the evidence that a rename within
one place needs. With a folder moves what is in it, and what differs there is reported besides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from limpet import events as ev
from limpet.watching.emit._event_factory import parts_of
from limpet.watching.index._entry_record import inode_of, is_dir, kind_of, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from limpet.events import Event
    from limpet.watching._group_member import GroupMember
    from limpet.watching.emit._event_factory import Record
    from limpet.watching.index._entry_record import StatResult

_GONE: Final = (ev.FileDeleted, ev.DirDeleted)
_CAME: Final = (ev.FileCreated, ev.DirCreated, ev.FileUpdated)


@dataclass(slots=True, eq=False)
class End:
    """One event of a place that may be an end of a rename."""

    side: int
    """The place's number."""
    at: int
    """Position among its events."""
    event: Event
    relative: str
    record: Record | None
    """What was there before."""
    facts: StatResult | None
    """What is there now."""


@dataclass(slots=True, eq=False)
class Move:
    """A rename from one place into another."""

    gone: list[End]
    """What it explains in the old place, its top last."""
    came: list[End]
    """What it explains in the new one, its top first."""
    done: bool = False
    broken: bool = False
    waiting: list[End] = field(default_factory=list)
    """Of ``gone`` what its place has come to, and that is not reported yet."""

    @property
    def old(self) -> End:
        return self.gone[-1]

    @property
    def new(self) -> End:
        return self.came[0]


def find_moves(
    found: Sequence[tuple[GroupMember, list[Event]]], moved: Callable[[], dict[object, object]]
) -> list[Move]:
    """Return the renames among the events of all places; see ``in_one_order``."""
    gone: dict[int, list[End]] = {}
    for side, (member, events) in enumerate(found):
        for at, event in enumerate(events):
            if isinstance(event, _GONE) and not isinstance(event, ev.TargetEvent):
                end = _end(side, at, event)
                if end is not None and end.record is not None and member.takes_part:
                    gone.setdefault(inode_of(end.record), []).append(end)
    if not gone:
        return []
    known = moved()
    used: set[tuple[int, int]] = set()
    moves: list[Move] = []
    for side, (member, events) in enumerate(found):
        if not member.takes_part:
            continue
        for at, event in enumerate(events):
            if (side, at) in used or not _may_have_come(event):
                continue
            new = _end(side, at, event)
            if new is None or new.facts is None:
                continue
            for old in gone.get(new.facts.inode, ()):
                if old.side == side or (old.side, old.at) in used:
                    continue
                giver = found[old.side][0]
                sure = known.get((member, new.relative)) == (giver, old.relative)
                if _is_move(giver, member, old, new, reported=sure):
                    move = Move(*_extent(found, used, old, new))
                    used.update((end.side, end.at) for end in (*move.gone, *move.came))
                    moves.append(move)
                    break
    return moves


def _may_have_come(event: Event) -> bool:
    if not isinstance(event, _CAME) or isinstance(event, ev.TargetEvent):
        return False
    if isinstance(event, ev.FileUpdated):
        return "identity" in event.changes
    return not event.existing and not event.transient


def _end(side: int, at: int, event: Event) -> End | None:
    parts = parts_of(event)
    if parts is None:
        return None
    relative, now, previous, _ = parts
    facts = unpack(now) if isinstance(now, bytes) else now
    return End(side, at, event, relative, previous, facts)


def _is_move(giver: GroupMember, taker: GroupMember, old: End, new: End, *, reported: bool) -> bool:
    if old.record is None or new.facts is None or not taker.accepts_from(giver):
        return False
    if isinstance(old.event, ev.DirDeleted) != new.facts.is_dir:
        return False
    return giver.is_move(old.relative, old.record, new.facts, reported=reported)


def _extent(
    found: Sequence[tuple[GroupMember, list[Event]]],
    used: set[tuple[int, int]],
    old: End,
    new: End,
) -> tuple[list[End], list[End]]:
    """Return all that the rename of one entry explains in both places."""
    if not isinstance(old.event, ev.DirDeleted):
        return [old], [new]
    gone = [old]
    prefix = old.relative + "/"
    for at in range(old.at - 1, -1, -1):
        end = _end(old.side, at, found[old.side][1][at])
        if end is None or not isinstance(end.event, _GONE) or not end.relative.startswith(prefix):
            break
        if (old.side, at) not in used:
            gone.append(end)
    gone.reverse()
    was = {end.relative[len(prefix) :]: end for end in gone if end is not old}
    came = [new]
    prefix = new.relative + "/"
    events = found[new.side][1]
    for at in range(new.at + 1, len(events)):
        end = _end(new.side, at, events[at])
        if end is None or not end.relative.startswith(prefix) or not _may_have_come(end.event):
            continue
        if (new.side, at) in used:
            continue
        before = was.get(end.relative[len(prefix) :])
        if before is not None and _is_same(before.record, end.facts):
            came.append(end)
    return gone, came


def _is_same(record: Record | None, facts: StatResult | None) -> bool:
    """Return whether it is the same entry, given that the directory around it is the same."""
    if record is None or facts is None or inode_of(record) != facts.inode:
        return False
    directory = kind_of(record) == "dir" if isinstance(record, int) else is_dir(record)
    return directory == facts.is_dir


def events_of(giver: GroupMember, taker: GroupMember, move: Move) -> list[Event]:
    """Return the rename, and after it what differs between what left and what came."""
    old, new = move.old, move.new
    assert old.record is not None  # noqa: S101 (such an end is never paired)
    assert new.facts is not None  # noqa: S101
    replaced = new.record if isinstance(new.event, ev.FileUpdated) else None
    ends = old.event, new.event
    made = taker.renamed(giver, ends, old.relative, new.relative, new.facts, old.record, replaced)
    before, after = old.relative + "/", new.relative + "/"
    came = {end.relative[len(after) :]: end for end in move.came[1:]}
    held = taker.held_below(new.relative) if new.facts.is_dir else {}
    for end in move.gone[:-1]:
        rest = end.relative[len(before) :]
        there = came.get(rest)
        facts = there.facts if there is not None else held.get(rest)
        if end.record is not None and facts is not None and _is_same(end.record, facts):
            if there is None:
                taker.release(after + rest)
            made += taker.changed(giver, new.event, before + rest, after + rest, facts, end.record)
        else:
            kind = "dir" if isinstance(end.event, ev.DirDeleted) else _kind(end)
            made.append(taker.deleted(new.event, after + rest, end.record, kind))
    return made


def _kind(end: End) -> ev.Kind:
    return "file" if end.record is None else kind_of(end.record)
