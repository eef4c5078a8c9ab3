"""Puts the events of all places of a group into one order, with renames between them as one event.

The events of a place stay in their order. A rename comes after all that makes room for it (its new
folder) and before all that needs it gone (the end of its old folder); where that cannot be, it
stays deleted and created, which is true as well. Of two places inside each other, what ends in the
inner one comes before the events of the outer one, and what begins there after them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from limpet import events as ev
from limpet.watching._group_moves import events_of, find_moves
from limpet.watching.emit._event_factory import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from limpet.events import Event
    from limpet.watching._group_member import GroupMember
    from limpet.watching._group_moves import End, Move

_ENDS: Final = (ev.TargetFileDeleted, ev.TargetDirDeleted)


class Emitted(NamedTuple):
    """An event of one place, and the events it stands for where it is a rename between two."""

    member: GroupMember
    event: Event
    pieces: tuple[tuple[GroupMember, Event], ...] = ()
    rest: tuple[Event, ...] = ()
    """What follows it that is true only after it."""


def in_one_order(
    found: Sequence[tuple[GroupMember, list[Event]]], moved: Callable[[], dict[object, object]]
) -> list[Emitted]:
    """Return the events of all places in one order, with renames between places as one event.

    Args:
        found: The events of each place, in its order; a place inside another comes after that.
        moved: Return the renames that the kernel reported: (place, new relative path) -> (place,
            old relative path).
    """
    moves = find_moves(found, moved) if len(found) > 1 else []
    return _Merge(found, moves).run()


class _Merge:
    """Emits the events of all places, each place in its order, renames once for both ends."""

    def __init__(
        self, found: Sequence[tuple[GroupMember, list[Event]]], moves: Iterable[Move]
    ) -> None:
        self.found = found
        self.next = [0] * len(found)
        self.running: set[int] = set()
        self.open: list[list[Move]] = [[] for _ in found]
        """Of each place the renames out of it that it has come to, and that are not emitted yet."""
        self.gone: dict[tuple[int, int], Move] = {}
        self.came: dict[tuple[int, int], Move] = {}
        for move in moves:
            self.gone.update(((end.side, end.at), move) for end in move.gone)
            self.came.update(((end.side, end.at), move) for end in move.came)
        self.emitted: list[Emitted] = []

    def run(self) -> list[Emitted]:
        """Emit all: what ended of an inner place before, and what began after, the outer one."""
        for side, (_, events) in reversed(list(enumerate(self.found))):
            ends = [at for at, event in enumerate(events) if isinstance(event, _ENDS)]
            if ends:
                self.advance(side, ends[-1] + 1)
        for side, (_, events) in enumerate(self.found):
            self.advance(side, len(events))
        return self.emitted

    def advance(self, side: int, end: int) -> None:
        """Emit the events of one place up to a position."""
        member, events = self.found[side]
        self.running.add(side)
        while self.next[side] < end:
            at = self.next[side]
            self.next[side] = at + 1
            event = events[at]
            leaving, coming = self.gone.get((side, at)), self.came.get((side, at))
            if leaving is not None and not leaving.broken:
                if not leaving.done:
                    leaving.waiting.append(_ended(leaving.gone, at))
                    if leaving not in self.open[side]:
                        self.open[side].append(leaving)
                continue
            if coming is not None and not coming.broken:
                if not coming.done:
                    self.make_room(side, event)
                    self.join(coming)
                if coming.done:
                    continue
            else:
                self.make_room(side, event)
            self.emitted.append(Emitted(member, event))
        self.running.discard(side)

    def join(self, move: Move) -> None:
        """Emit a rename where its new name is due, once its old place has come to it."""
        side = move.old.side
        if self.next[side] <= move.old.at:
            if side in self.running:
                self.part(move)
                return
            self.advance(side, move.old.at + 1)
        if move.done or move.broken:
            return
        self.emit(move)

    def emit(self, move: Move) -> None:
        giver, taker = self.found[move.old.side][0], self.found[move.new.side][0]
        pieces = tuple((giver, end.event) for end in move.gone) + tuple(
            (taker, end.event) for end in move.came
        )
        first, *rest = events_of(giver, taker, move)
        self.emitted.append(Emitted(taker, first, pieces, tuple(rest)))
        self.emitted += [Emitted(taker, event) for event in rest]
        self.close(move)
        move.done = True

    def part(self, move: Move) -> None:
        """Emit it as deleted and created after all."""
        giver = self.found[move.old.side][0]
        move.broken = True
        self.emitted += [Emitted(giver, end.event) for end in move.waiting]
        self.close(move)

    def close(self, move: Move) -> None:
        if move in self.open[move.old.side]:
            self.open[move.old.side].remove(move)

    def make_room(self, side: int, event: Event) -> None:
        """Emit first what left the name, or the directory, that an event is about."""
        if not self.open[side]:
            return
        parts = parts_of(event)
        if parts is None:
            return
        relative, _, _, before = parts
        for move in list(self.open[side]):
            left = move.old.relative
            if not (_is_at_or_below(left, relative) or (before and _is_at_or_below(left, before))):
                continue
            target = move.new.side
            if target in self.running:
                self.part(move)
            else:
                self.advance(target, move.new.at + 1)
                if not move.done and not move.broken:
                    self.part(move)


def _ended(ends: list[End], at: int) -> End:
    return next(end for end in ends if end.at == at)


def _is_at_or_below(relative: str, other: str) -> bool:
    return not other or relative == other or relative.startswith(other + "/")
