"""The queue whose items share keys: order within a key, and nothing waits without a reason."""

from __future__ import annotations

import random

from limpet._keyed_queue import EVERY_KEY, KeyedItem, KeyedQueue


class Item(KeyedItem):
    __slots__ = ("number",)

    def __init__(self, number: int, *keys: str) -> None:
        super().__init__(keys)
        self.number = number


def filled(*items: Item) -> KeyedQueue[Item]:
    queue: KeyedQueue[Item] = KeyedQueue()
    for item in items:
        queue.add(item)
    return queue


def take_all(queue: KeyedQueue[Item]) -> list[Item]:
    found = []
    while queue.has_ready:
        found.append(queue.take())
    return found


def test_items_that_share_a_key_are_taken_one_after_another() -> None:
    """Others overtake them, and an item without keys waits for none."""
    one, two, other, free = Item(1, "a"), Item(2, "a", "b"), Item(3, "c"), Item(4)
    queue = filled(one, two, other, free)
    assert len(queue) == 4
    assert take_all(queue) == [one, other, free]
    assert queue.unfinished() == [one, other, free, two]
    queue.finish(other)
    assert not queue.has_ready
    queue.finish(one)
    assert take_all(queue) == [two]
    queue.finish(two)
    queue.finish(free)
    assert queue.is_idle


def test_an_item_with_every_key_separates_what_is_before_and_after() -> None:
    """Two of them in a row, too."""
    items = [Item(0, "a"), Item(1, EVERY_KEY), Item(2, EVERY_KEY), Item(3, "b")]
    queue = filled(*items)
    for item in items:
        assert take_all(queue) == [item]
        queue.finish(item)
    assert queue.is_idle


def test_random_items_agree_with_a_scan_of_the_whole_queue() -> None:
    """An item is ready exactly if no earlier unfinished one shares a key with it."""
    rng = random.Random(3)

    def conflict(one: Item, two: Item) -> bool:
        every = EVERY_KEY in one.keys or EVERY_KEY in two.keys
        return every or not set(one.keys).isdisjoint(two.keys)

    queue: KeyedQueue[Item] = KeyedQueue()
    unfinished: list[Item] = []
    active: list[Item] = []
    for number in range(2000):
        if rng.random() < 0.5:
            keys = [EVERY_KEY] if rng.random() < 0.1 else rng.sample("abcdef", rng.randint(1, 2))
            item = Item(number, *keys)
            queue.add(item)
            unfinished.append(item)
        elif active:
            item = active.pop(rng.randrange(len(active)))
            queue.finish(item)
            unfinished.remove(item)
        ready = [
            item
            for at, item in enumerate(unfinished)
            if item not in active and not any(conflict(item, other) for other in unfinished[:at])
        ]
        assert queue.has_ready == bool(ready)
        taken = take_all(queue)
        assert {item.number for item in taken} == {item.number for item in ready}
        active += taken
        assert len(queue) == len(unfinished) - len(active)
