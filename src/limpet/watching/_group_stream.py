"""The one stream of a group: what its places found, in one order, selected and made ready."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from limpet.backends import Crossings
from limpet.watching._group_order import Emitted, in_one_order
from limpet.watching._selection import Failed, Selection
from limpet.watching._watcher import CONTENT_BUDGET, MOST_READY
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from limpet.events import Event
    from limpet.watching._group_member import GroupMember

_Chosen = tuple[Emitted, "Event | Failed"]


class GroupStream:
    """The events of a group that are not handed out yet."""

    def __init__(self, selection: Selection) -> None:
        """Begin with none.

        Args:
            selection: Which events the consumer gets, and their numbers.
        """
        self.crossings: Final = Crossings()
        """The renames between places that the kernel reported."""
        self._selection = selection
        self._found: deque[_Chosen] = deque()
        self._ready: deque[_Chosen] = deque()
        self._mutex = threading.Lock()
        """Held while an event is handed out, and while those of a place are left out."""

    @property
    def has_found(self) -> bool:
        """Return whether events wait to be made ready."""
        return bool(self._found)

    @property
    def is_ready(self) -> bool:
        """Return whether there is an event to hand out."""
        return bool(self._ready)

    def pop(self) -> Event | None:
        """Return the next event, if one is ready.

        Raises:
            BaseException: What the consumer's ``only`` raised for it; it is left out.
        """
        with self._mutex:
            if not self._ready:
                return None
            event = self._ready.popleft()[1]
        if type(event) is Failed:
            raise event.error
        return cast("Event", event)

    def pop_all(self, first: Event | None = None) -> list[Event]:
        """Return all events that are ready, up to one of which ``only`` failed, after ``first``."""
        batch = [] if first is None else [first]
        while self._ready and not (batch and type(self._ready[0][1]) is Failed):
            event = self.pop()
            if event is not None:
                batch.append(event)
        return batch

    def kept_for(self, member: GroupMember) -> list[Event]:
        """Return the events of a place that were taken from it and not handed out."""
        kept: list[Event] = []
        covered: set[int] = set()
        for emitted, event in [*self._ready, *self._found]:
            if type(event) is Failed or id(emitted.event) in covered:
                continue
            if emitted.pieces:
                kept += [event for one, event in emitted.pieces if one is member]
                covered.update(id(one) for one in emitted.rest)
            elif emitted.member is member:
                kept.append(cast("Event", event))
        return kept

    def drop(self, member: GroupMember) -> None:
        """Hand out none of the events of a place; what has moved into it is deleted where it was.

        The numbers of the others have no gap by that.
        """
        with self._mutex:
            self._selection.take_back(event for _, event in [*self._ready, *self._found])
            for queue in (self._ready, self._found):
                before = list(queue)
                queue.clear()
                for emitted, event in before:
                    if emitted.member is not member:
                        queue.append((emitted, self._selection.again(event)))
                    else:
                        queue.extend(self._left_behind(emitted, member))

    def _left_behind(self, emitted: Emitted, member: GroupMember) -> Iterator[_Chosen]:
        """Yield what a rename into a place is for the place that it came from."""
        for giver, event in emitted.pieces:
            if giver is not member:
                chosen = self._selection.choose(event)
                if chosen is not None:
                    yield Emitted(giver, event), chosen

    def collect(self, members: Sequence[GroupMember]) -> None:
        """Put what the places found into one order, and make it ready."""
        found = [
            (one, events)
            for one in members
            if one.watcher.has_found and (events := one.watcher.take_found())
        ]
        if found:
            self._take_held(found, members)
            for emitted in in_one_order(found, lambda: self._reported(members)):
                event = self._selection.choose(emitted.event)
                if event is not None:
                    self._found.append((emitted, event))
        self.crossings.age()
        for member, _ in found:
            member.forget_departed()
        self._prepare()

    def _take_held(
        self, found: list[tuple[GroupMember, list[Event]]], members: Sequence[GroupMember]
    ) -> None:
        """Hold no longer what has moved in from another place: a rename is not held either."""
        if not any(one.place.options.settle for one in members):
            return
        gone = {end: giver for giver, events in found for end in giver.left(events)}
        if not gone:
            return
        inodes = {inode for inode, *_ in gone}
        reported = self._reported(members)
        for member in members:
            for relative, facts in member.held_with(inodes):
                for (inode, before, record), giver in gone.items():
                    sure = reported.get((member, relative)) == (giver, before)
                    if (
                        giver is not member
                        and inode == facts.inode
                        and giver.is_move(before, record, facts, reported=sure)
                    ):
                        _add(found, member, member.created(relative, facts))
                        break

    def _reported(self, members: Sequence[GroupMember]) -> dict[object, object]:
        """Return the renames between places that the kernel reported, new name -> old name."""
        owners = {id(one.watcher.hints): one for one in members}
        reported: dict[object, object] = {}
        for source, name, target, to_name in self.crossings.known():
            giver, taker = owners.get(id(source.hints)), owners.get(id(target.hints))
            if giver is None or taker is None:
                continue
            if isinstance(source, DirNode) and isinstance(target, DirNode):
                old, new = source.relative_of(name), target.relative_of(to_name)
                reported[taker, new] = (giver, old)
        return reported

    def _prepare(self) -> None:
        """Make found events ready to be handed out, reading content up to the budget."""
        spent = 0
        while self._found and spent < CONTENT_BUDGET and len(self._ready) < MOST_READY:
            emitted, event = self._found.popleft()
            event, size = emitted.member.watcher.with_content(event)
            spent += size
            self._ready.append((emitted, event))


def _add(
    found: list[tuple[GroupMember, list[Event]]], member: GroupMember, events: list[Event]
) -> None:
    for one, there in found:
        if one is member:
            there.extend(events)
            return
    found.append((member, events))
