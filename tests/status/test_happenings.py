"""The ring of the last things: a model, and threads."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from limpet.status import Happenings


@given(
    st.integers(1, 8),
    st.lists(st.one_of(st.just("add"), st.tuples(st.integers(0, 40), st.integers(0, 12)))),
)
def test_a_reader_gets_the_newest_and_the_number_of_those_left_out(
    most: int, steps: list[str | tuple[int, int]]
) -> None:
    """All after its number are there or counted, and the order is that in which they came."""
    ring, model = Happenings(most), list[str]()
    for step in steps:
        if isinstance(step, str):
            model.append(str(len(model)))
            ring.add("event", model[-1])
            continue
        number, limit = step
        missed, found = ring.since(number, limit)
        fresh = model[number:]
        assert missed + len(found) == len(fresh)
        assert [one.subject for one in found] == fresh[len(fresh) - len(found) :]
        assert len(found) == min(len(fresh), limit, most)
        assert ring.count == len(model)


def test_threads_add_and_read_at_once() -> None:
    """None is lost from the count, and no reading fails."""
    ring, ended = Happenings(100), threading.Event()

    def add() -> None:
        for number in range(5000):
            ring.add("event", number)

    def read() -> None:
        while not ended.is_set():
            missed, found = ring.since(0, 1000)
            assert len(found) <= 100
            assert missed >= 0

    adding = [threading.Thread(target=add) for _ in range(4)]
    reading = threading.Thread(target=read)
    for one in (reading, *adding):
        one.start()
    for one in adding:
        one.join()
    ended.set()
    reading.join()
    assert ring.count == 20_000
