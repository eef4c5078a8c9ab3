"""A queue whose items may be taken several at a time, those that share a key in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final, Generic, TypeVar

EVERY_KEY: Final = ""
"""Key of an item that goes after all before it, and before all after it."""


class KeyedItem:
    """The base of queued items: its keys, and its place among the others, kept by the queue."""

    __slots__ = ("blocked", "blockers", "keys")

    def __init__(self, keys: Collection[str] = ()) -> None:
        self.keys = keys
        self.blockers = 0
        """Earlier items with a common key that are not finished."""
        self.blocked: list[KeyedItem] | None = None
        """Later items that this one blocks."""


ItemT = TypeVar("ItemT", bound=KeyedItem)


class KeyedQueue(Generic[ItemT]):
    """Items in order. An item is ready once all earlier ones with a common key are finished.

    Each operation takes time for the item's keys and neighbours, not for the length of the queue.
    The methods do not wait and are not thread-safe.
    """

    def __init__(self) -> None:
        self.active: dict[ItemT, None] = {}
        """Items that were taken and are not finished, oldest first."""
        self.ready: deque[ItemT] = deque()
        """Those that ``take`` finds, in their order."""
        self._blocked: dict[KeyedItem, ItemT] = {}
        self._last: dict[str, KeyedItem] = {}
        """Key -> the last unfinished item with it."""
        self._barrier: KeyedItem | None = None
        """The last unfinished item with ``EVERY_KEY``."""
        self._since: dict[KeyedItem, None] = {}
        """Unfinished items after the barrier."""

    def __len__(self) -> int:
        return len(self.ready) + len(self._blocked)

    @property
    def has_ready(self) -> bool:
        """Return whether ``take`` finds an item."""
        return bool(self.ready)

    @property
    def is_idle(self) -> bool:
        """Return whether no item waits and none is active."""
        return not (self.active or self.ready or self._blocked)

    def add(self, item: ItemT) -> None:
        """Add an item at the end; without keys it waits for no other."""
        if item.keys:
            self._order(item)
        if item.blockers:
            self._blocked[item] = item
        else:
            self.ready.append(item)

    def take(self) -> ItemT:
        """Remove the first ready item, and make it active.

        Raises:
            IndexError: None is ready.
        """
        item = self.ready.popleft()
        self.active[item] = None
        return item

    def finish(self, item: ItemT) -> None:
        """Finish an active item; the ones that it blocked may become ready."""
        del self.active[item]
        if item.keys:
            self._release(item)

    def unfinished(self) -> list[ItemT]:
        """Return all items, oldest first: the active, the ready, then the blocked ones."""
        return [*self.active, *self.ready, *self._blocked.values()]

    def _order(self, item: KeyedItem) -> None:
        if EVERY_KEY in item.keys:
            for other in [*self._since, *([self._barrier] if self._barrier is not None else [])]:
                _block(item, other)
            self._barrier = item
            self._since.clear()
            self._last.clear()
            return
        earlier = {self._last[key] for key in item.keys if key in self._last}
        if self._barrier is not None:
            earlier.add(self._barrier)
        for other in earlier:
            _block(item, other)
        for key in item.keys:
            self._last[key] = item
        self._since[item] = None

    def _release(self, item: KeyedItem) -> None:
        for key in item.keys:
            if self._last.get(key) is item:
                del self._last[key]
        self._since.pop(item, None)
        if self._barrier is item:
            self._barrier = None
        for other in item.blocked or ():
            other.blockers -= 1
            if not other.blockers:
                self.ready.append(self._blocked.pop(other))


def _block(item: KeyedItem, other: KeyedItem) -> None:
    if other.blocked is None:
        other.blocked = []
    other.blocked.append(item)
    item.blockers += 1
