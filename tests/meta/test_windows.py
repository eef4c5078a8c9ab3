"""The selection of tests for Windows names each test file once, and none that is not there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.windows.run import counts_of
from tests.windows.selection import LEFT_OUT, LINUX_ALONE, RUN, is_run_on

TESTS = Path(__file__).resolve().parents[1]


def test_every_test_file_is_run_or_left_out_with_a_reason() -> None:
    """A new file is put into one of the lists."""
    left_out = [f"tests/{name}.py" for names in LEFT_OUT.values() for name in names]
    there = {f"tests/{path.relative_to(TESTS).as_posix()}" for path in TESTS.rglob("test_*.py")}
    named = Counter([*RUN, *left_out])
    assert set(named) == there
    assert set(named.values()) == {1}


def test_each_system_runs_what_is_for_it() -> None:
    """``make test`` asks this; what is no test file is never left out."""
    there = {f"tests/{path.relative_to(TESTS).as_posix()}" for path in TESTS.rglob("*.py")}
    tests = {name for name in there if "/test_" in name}
    assert {name for name in tests if is_run_on("win32", name)} == set(RUN)
    assert all(is_run_on("linux", name) for name in there)
    left_out = {name for name in tests if not is_run_on("darwin", name)}
    assert left_out == {f"tests/{name}.py" for name in LEFT_OUT[LINUX_ALONE]}
    assert all(is_run_on(system, name) for system in ("win32", "darwin") for name in there - tests)


@pytest.mark.parametrize(
    ("output", "code", "expected"),
    [
        ("...\n3 passed in 0.10s\n", 0, {"passed": 3}),
        ("1 failed, 2 passed, 3 skipped in 1.0s\n", 1, {"failed": 1, "passed": 2, "skipped": 3}),
        ("2 passed, 1 error in 61.02s (0:01:01)\n", 1, {"passed": 2, "failed": 1}),
        ("3 skipped in 0.1s\n", 0, {"skipped": 3}),
        ("Stack of thread\n", 1, {"failed": 1}),
        ("Stack of thread\n", 0, {"failed": 1}),
        ("...\n", None, {"failed": 1}),
        ("3 passed in 0.10s\n", None, {"passed": 3, "failed": 1}),
    ],
)
def test_a_file_that_hangs_or_crashes_has_failed(
    output: str, code: int | None, expected: dict[str, int]
) -> None:
    """Whatever it printed before."""
    assert counts_of(output, code) == expected
