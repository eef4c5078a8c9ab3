"""How often something came, from totals that are read now and then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.status._parts import Lags
from limpet.status._rates import Rate, Rates


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_steady_total_has_its_rate() -> None:
    """Ten a second are six hundred a minute, after one second as after ten minutes."""
    clock = Clock()
    rate = Rate(clock, clock)
    rate.read(0)
    for second in range(1, 600):
        clock.now = float(second)
        assert rate.read(10 * second) == pytest.approx(600)
    clock.now = 659.0
    assert rate.read(5990) == pytest.approx(0, abs=1)
    assert rate.last == 599.0


def test_what_came_before_the_first_reading_is_not_a_rate() -> None:
    """A snapshot of a program that has run for days does not report all of them as one minute."""
    clock = Clock()
    rate = Rate(clock, clock)
    assert rate.read(1_000_000) == 0
    clock.now = 1.0
    assert rate.read(1_000_001) == pytest.approx(60)


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 50)), max_size=200))
def test_the_rate_is_the_growth_of_the_last_minute(steps: list[tuple[float, int]]) -> None:
    """Between what came in the last minute, and that of the minute and one reading before."""
    clock, total = Clock(), 0
    rate = Rate(clock, clock)
    rate.read(0)
    read: list[tuple[float, int]] = [(0.0, 0)]
    for pause, more in steps:
        clock.now += pause
        total += more
        found = rate.read(total)
        read.append((clock.now, total))
        assert found >= 0
        assert (found > 0) <= (total > 0)
        before = [count for moment, count in read if moment <= clock.now - 61]
        if before:  # what is older than the minute, and the reading before it, does not count
            oldest = max(moment for moment, _ in read if moment <= clock.now - 60)
            grown = total - min(count for moment, count in read if moment >= oldest)
            assert found <= 60 * grown + 1e-6


def test_rates_of_many_names_have_a_bound() -> None:
    """A program that makes up names does not fill the memory."""
    rates = Rates()
    for number in range(25_000):
        rates.read(str(number), 1)
    assert len(rates._rates) <= 10_001


def test_a_lag_lasts_as_long_as_there_is_something_unread() -> None:
    """It begins anew after there was nothing."""
    clock = Clock()
    lags = Lags(clock)
    assert lags.read("a", 5) == 0
    clock.now = 3.0
    assert lags.read("a", 9) == 3.0
    assert lags.read("b", 1) == 0
    assert lags.read("a", 0) == 0
    clock.now = 4.0
    assert lags.read("a", 1) == 0
