"""Another process swaps what is written to with links to outside; nothing appears there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import default_folder
from benchmarks.attack import Count, Prey, Way, attack
from tests.output.conftest import WAYS

TRIES = {"folder": 35_000, "leaf": 15_000}
"""For each way; 100,000 together where both work."""


@pytest.fixture
def base() -> Iterator[Path]:
    """In memory where there is any: the attack is faster there."""
    with tempfile.TemporaryDirectory(prefix="limpet-attack-", dir=default_folder()) as folder:
        yield Path(folder)


@pytest.mark.parametrize("prey", ["folder", "leaf"])
@pytest.mark.parametrize("way", [way for way in WAYS if way != "handles"])
def test_nothing_gets_out(base: Path, way: Way, prey: Prey) -> None:
    """O2, V22, V23: every kind of operation, at its own speed and the attacker's."""
    count = attack(way, prey, TRIES[prey], base)
    assert count.escaped == 0
    # It was an attack: swaps went on, some operations met a link, and others were done.
    assert count.swaps > 100, count
    assert count.answers["symlink"] > 100, count
    assert count.answers["done"] > 100, count
    expected = {"done", "symlink", "missing", "exists", "not-a-file", "directory-not-empty", "busy"}
    assert set(count.answers) <= expected, count
    assert sum(count.answers.values()) >= TRIES[prey]


@pytest.mark.parametrize("prey", ["folder", "leaf"])
def test_the_usual_way_does_get_out(base: Path, prey: Prey) -> None:
    """The same attack on a path that is resolved, checked and then opened."""
    count = Count("resolve, check, open", prey)
    for turn in range(50):
        (base / str(turn)).mkdir()
        count = attack("resolve, check, open", prey, 1_000, base / str(turn))
        if count.escaped:
            break
    assert count.escaped > 0
