"""Windows is given every name as it is, and other systems nothing else than the path."""

import os

import pytest

from limpet._extended_path import extended, extended_for_windows


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (r"C:\in\trail.", r"\\?\C:\in\trail."),
        (r"C:\in\CON", r"\\?\C:\in\CON"),
        (r"C:\in/d/x ", r"\\?\C:\in\d\x "),
        (r"C:\in\..\out\.\f", r"\\?\C:\out\f"),
        (r"C:\in\.hidden", r"\\?\C:\in\.hidden"),
        ("C:\\", "\\\\?\\C:\\"),
        (r"\\server\share\f.", r"\\?\UNC\server\share\f."),
        (r"\\?\C:\in\d/x", r"\\?\C:\in\d\x"),
        (r"\\.\pipe\x", r"\\.\pipe\x"),
        ("relative\\f", "relative\\f"),
        ("C:relative", "C:relative"),
    ],
)
def test_an_absolute_path_is_passed_on_as_it_is(path: str, expected: str) -> None:
    """After the prefix the system knows neither ``/`` nor ``.`` and ``..``."""
    assert extended_for_windows(path) == expected
    assert extended_for_windows(expected) == expected


@pytest.mark.skipif(os.sep == "\\", reason="paths have a prefix here")
def test_elsewhere_a_path_stays_as_it_is() -> None:
    assert extended("/in/C:\\x") == "/in/C:\\x"
