"""Both forms of the fast path find the same rows and renames, and make the same events."""

from __future__ import annotations

import sys
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet import _compiled
from tests.speedups.forms import both, compiled_part, outcome

if sys.platform != "linux":
    pytest.skip("made for Linux alone", allow_module_level=True)

from tests.speedups.random_rows import (
    FIXED_WITH_RECIPE,
    MAKERS,
    besides,
    check_rows,
    compare,
    record,
)


@given(st.randoms(use_true_random=False))
def test_from_hints_to_events(random: Random) -> None:
    """Rows, pairs, the index afterwards, and each event with its path."""
    check_rows(random, _compiled.PYTHON, compiled_part())


def test_a_path_is_made_by_the_recipe() -> None:
    """This version of pathlib is known: the recipe is not empty."""
    assert FIXED_WITH_RECIPE[8]


A_RECORD = record(Random(1))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("names_that_stay", ({"a": -1},)),
        ("names_that_stay", ({"a": "x"},)),
        ("names_that_stay", ([],)),
        ("find_rows", ({"a": 1}, [b"short"], {}, False, False, compare)),
        ("find_rows", ({"a": 1}, [], {}, False, False, compare)),
        ("find_rows", ({"a": 1}, [A_RECORD], {"a": b"short"}, False, False, compare)),
        ("find_rows", ({"a": 1}, [A_RECORD], {"a": 4}, False, False, len)),
        ("find_rows", ({1: "x"}, [3], {}, False, False, compare)),
        ("tie", ([()], {})),
        ("tie", ([(0, [()], 1, {}, "", 1, "", True)], {})),
        ("tie", ([(-1, [], 1, {}, "", 1, "", True)], {})),
        ("emit_rows", ([], [()], {}, 0, 1, 1, 0.0, "live", MAKERS, besides, FIXED_WITH_RECIPE)),
        ("emit_rows", ([], [], {}, 0, 1, 1, 0.0, "live", (), besides, FIXED_WITH_RECIPE)),
        ("emit_rows", ([], [], {}, 0, 1, 1, 0.0, "live", MAKERS, besides, (1,) * 10)),
        (
            "emit_rows",
            (
                [], [(0, [("a", 1, None, A_RECORD, False)], 1, {}, "", 3, "", True)], {}, 0, 1, 1,
                0.0, "live", MAKERS, besides, FIXED_WITH_RECIPE,
            ),
        ),
        (
            "emit_rows",
            (
                [], [(0, [("a", 1, A_RECORD, None, False)], 1, {}, "", 3, "", True)], {}, 0, 1, 1,
                0.0, "live", MAKERS, besides, FIXED_WITH_RECIPE,
            ),
        ),
    ],
)  # fmt: skip
def test_values_of_another_kind_are_an_error(name: str, args: tuple[Any, ...]) -> None:
    """Not a crash: what is handed in is looked at before it is used."""
    kind = outcome(getattr(compiled_part(), name), *args)[0]
    assert isinstance(kind, type)
    assert issubclass(kind, Exception)
    assert not issubclass(kind, SystemError)


def test_an_error_of_a_callback_comes_out() -> None:
    """As it went in."""

    def fails(*_args: object) -> Any:
        raise ZeroDivisionError

    for form in both("find_rows"):
        with pytest.raises(ZeroDivisionError):
            form({"a": 1}, [A_RECORD], {"a": 4}, False, False, fails)
