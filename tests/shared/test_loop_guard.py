"""Loops between processes: which rates of events are warned of, and what a limit does."""

from __future__ import annotations

import random

import pytest

from limpet._loop_guard import WARN_ABOVE, WINDOW_S, LoopGuard, loop_text


def test_a_fast_loop_is_warned_of_once_an_hour() -> None:
    """Eighteen a second, as two bots have: after some seconds, and not again for each event."""
    guard = LoopGuard()
    warned = [n / 18 for n in range(18 * 3700) if guard.count("/a", n / 18)]
    assert len(warned) == 2
    assert 3 < warned[0] < 4
    assert warned[1] >= 3600


@pytest.mark.parametrize("per_minute", [1, WARN_ABOVE])
def test_what_people_do_is_not_warned_of(per_minute: int) -> None:
    """One file that is saved each second."""
    guard = LoopGuard()
    assert not any(guard.count("/a", n * 60 / per_minute) for n in range(per_minute * 60))


def test_paths_are_counted_apart() -> None:
    """A thousand files at once are no loop, in whichever folder."""
    guard = LoopGuard()
    for n in range(100_000):
        assert not guard.count(f"/in/{n}", 5.0)
        assert not guard.count_new("/in", 5.0)


def test_new_files_that_never_end_are_warned_of() -> None:
    """Each has another name, so the folder is counted; it takes a minute to be sure."""
    guard = LoopGuard()
    warned = [n / 18 for n in range(18 * 300) if guard.count_new("/in", n / 18)]
    assert len(warned) == 1
    assert 50 < warned[0] < 70


def test_a_pause_ends_the_count_of_new_files() -> None:
    """Folders that are moved in one after the other."""
    guard = LoopGuard()
    for burst in range(20):
        for n in range(500):
            assert not guard.count_new("/in", burst * 60 + n / 20)


def test_a_limit_delays_until_its_minute_is_over() -> None:
    """For the path alone; what waited is then acted on."""
    guard = LoopGuard(limit=3)
    assert [guard.delay("/a", at) for at in (0.0, 1.0, 2.0)] == [0, 0, 0]
    assert guard.delay("/a", 10.0) == WINDOW_S - 10
    assert guard.delay("/b", 10.0) == 0
    assert guard.delay("/a", WINDOW_S) == 0
    assert guard.delay("/a", WINDOW_S + 1) == 0


def test_no_more_than_the_limit_pass_in_a_minute() -> None:
    """Whatever the moments are."""
    chance = random.Random(5)
    guard, now, passed = LoopGuard(limit=10), 0.0, []
    for _ in range(2000):
        now += chance.random()
        if (wait := guard.delay("/a", now)) == 0:
            passed.append(now)
        else:
            assert 0 < wait <= WINDOW_S
    for begin in passed[::10]:
        assert sum(begin <= at < begin + WINDOW_S for at in passed) <= 10


def test_a_clock_that_is_set_back_is_no_matter() -> None:
    """The moments of events come from the system's clock."""
    guard = LoopGuard(limit=1)
    for when in (1e9, 0.0, -5.0, 1e9, 0.0):
        guard.count("/a", when)
        guard.count_new("/a", when)
    assert guard.delay("/a", 100.0) == 0
    assert guard.delay("/a", 50.0) == 0


def test_the_memory_is_bounded() -> None:
    """The least recently used path goes first."""
    guard = LoopGuard(limit=1)
    for n in range(10_000):
        guard.count(str(n), 0.0)
        guard.count_new(str(n), 0.0)
        guard.delay(str(n), 0.0)
    for counts in (guard._paths, guard._folders, guard._limited):
        assert len(counts) == 1000


def test_the_warning_names_both() -> None:
    """Who acts, and on what."""
    text = loop_text("behaviour copy", 61, "/in/x")
    assert "behaviour copy acted on 61 events of /in/x within a minute" in text
