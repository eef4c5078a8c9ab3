"""What is held, until when, and under which name; time is an argument."""

from __future__ import annotations

from limpet.watching.emit._debounce import Debouncer

D, E = object(), object()
"""Two directories."""


def test_a_held_file_is_due_once_it_was_quiet_long_enough() -> None:
    debouncer = Debouncer(quiet=2, limit=10)
    assert debouncer.deadline() is None
    debouncer.hold((D, "a"), 100, created=True)
    assert debouncer.deadline() == 102
    assert debouncer.due(101.9) == []
    assert debouncer.due(102) == [(D, "a")]


def test_each_change_starts_the_quiet_time_again_up_to_the_limit() -> None:
    debouncer = Debouncer(quiet=2, limit=5)
    for now in (100, 101.5, 103, 104.5):
        debouncer.hold((D, "a"), now, created=False, changes={"content"})
        assert debouncer.due(now) == []
    assert debouncer.deadline() == 105
    assert debouncer.due(104.9) == []
    assert debouncer.due(105) == [(D, "a")]


def test_a_closed_file_is_due_at_once() -> None:
    debouncer = Debouncer(quiet=2, limit=10)
    debouncer.hold((D, "a"), 100, created=True)
    debouncer.close((D, "a"))
    debouncer.close((D, "never held"))
    assert debouncer.due(100) == [(D, "a")]
    assert list(debouncer.held) == [(D, "a")]


def test_a_file_that_changes_after_it_was_closed_is_open_again() -> None:
    debouncer = Debouncer(quiet=2, limit=10)
    debouncer.hold((D, "a"), 100, created=True, closed=True)
    debouncer.hold((D, "a"), 101, created=False)
    assert debouncer.due(101) == []


def test_holding_again_adds_up_and_keeps_how_it_began() -> None:
    """Created stays created; the record is the one of its last event; foreign stays foreign."""
    debouncer = Debouncer(quiet=2, limit=10)
    debouncer.hold((D, "a"), 100, created=False, previous=7, changes={"mode"}, foreign=True)
    debouncer.hold((D, "a"), 101, created=True, previous=8, changes={"content"})
    held = debouncer.take((D, "a"))
    assert held is not None
    assert (held.first, held.last, held.created, held.previous) == (100, 101, False, 7)
    assert held.changes == {"mode", "content"}
    assert held.foreign


def test_a_file_that_is_taken_is_held_no_longer() -> None:
    debouncer = Debouncer(quiet=2, limit=10)
    debouncer.hold((D, "a"), 100, created=True)
    assert debouncer.take((D, "a")) is not None
    assert debouncer.take((D, "a")) is None
    assert debouncer.due(1000) == []
    assert debouncer.deadline() is None


def test_a_rename_carries_the_file_and_its_times() -> None:
    """What was held at the new name was replaced."""
    debouncer = Debouncer(quiet=2, limit=10)
    debouncer.hold((D, "a"), 100, created=True)
    debouncer.hold((E, "b"), 101, created=False, changes={"content"})
    moved = debouncer.move((D, "a"), (E, "b"))
    assert moved is not None
    assert debouncer.held == {(E, "b"): moved}
    assert (moved.first, moved.created, moved.changes) == (100, True, set())


def test_a_rename_of_what_is_not_held_leaves_the_target() -> None:
    debouncer = Debouncer(quiet=2, limit=10)
    debouncer.hold((E, "b"), 101, created=True)
    assert debouncer.move((D, "a"), (E, "b")) is None
    assert list(debouncer.held) == [(E, "b")]


def test_files_of_one_name_in_two_directories_are_two() -> None:
    debouncer = Debouncer(quiet=2, limit=10)
    debouncer.hold((E, "a"), 100, created=True)
    debouncer.hold((D, "a"), 101, created=True)
    assert debouncer.due(102) == [(E, "a")]
    assert debouncer.due(103) == [(E, "a"), (D, "a")]  # in the order they were held
    assert debouncer.deadline() == 102
