"""Paths as they were typed, no wider than the terminal, and never an option of a command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.cli._render import Text
from limpet.cli._shown_paths import ELLIPSIS, ShownPaths, cells, shorten, width_of
from limpet.cli._terminal import Terminal
from tests.cli.fakes import created, renamed
from tests.cli.test_render import Tty, tty, without_colour

__all__ = ["tty"]

ROOT = Path("/srv/in")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("in", ["in", "in/a", "in/d/a", "-"]),
        ("in/", ["in", "in/a", "in/d/a", "-"]),
        ("./in", ["./in", "./in/a", "./in/d/a", "-"]),
        ("../in", ["../in", "../in/a", "../in/d/a", "-"]),
        (".", [".", "a", "d/a", "-"]),
        ("./", [".", "a", "d/a", "-"]),
        ("/srv/in", ["/srv/in", "/srv/in/a", "/srv/in/d/a", "/srv/in/-"]),
        ("", ["/srv/in", "/srv/in/a", "/srv/in/d/a", "/srv/in/-"]),
    ],
)
def test_a_path_is_shown_below_what_was_typed(typed: str, expected: list[str]) -> None:
    """Relative only where the root was; the root itself as it was typed."""
    paths = ShownPaths()
    paths.add(ROOT, typed)
    shown = [paths.of(ROOT / name, ROOT).replace(os.sep, "/") for name in ("", "a", "d/a")]
    assert shown == expected[:3]
    dash = paths.of(ROOT / "-", ROOT).replace(os.sep, "/")
    assert dash.endswith(expected[3])


def test_absolute_paths_are_asked_for() -> None:
    """``--absolute``, whatever was typed."""
    paths = ShownPaths(absolute=True)
    paths.add(ROOT, "in")
    assert paths.of(ROOT / "a", ROOT) == str(ROOT / "a")


def test_a_file_that_came_from_another_root_has_its_name_there() -> None:
    """And one from outside of all is absolute; a root whose name only begins alike is another."""
    paths = ShownPaths()
    paths.add(ROOT, "in")
    paths.add(Path("/srv/out"), "../out")
    assert paths.of(Path("/srv/out/x"), ROOT) == os.path.join("../out", "x")
    assert paths.of(Path("/srv/inner/x"), ROOT) == str(Path("/srv/inner/x"))


def test_no_path_is_an_option_of_a_command() -> None:
    """A name such as ``-rf`` below the current folder gets a ``./``."""
    paths = ShownPaths()
    paths.add(ROOT, ".")
    assert paths.argument(ROOT / "-rf", ROOT) == os.path.join(".", "-rf")
    assert paths.argument(ROOT / "a", ROOT) == "a"


@pytest.mark.parametrize(
    ("text", "room", "expected"),
    [
        ("src/a.py", 8, "src/a.py"),
        ("src/very/deep/below/name.py", 20, "src/ver…elow/name.py"),
        ("src/a-name-that-is-wider.py", 20, "src/a-n…-is-wider.py"),
        ("deep/deep/deep/deep/rather-long.py", 18, "de…/rather-long.py"),
        ("文文文文文文", 7, "文…文文"),
    ],
)
def test_the_middle_is_left_out(text: str, room: int, expected: str) -> None:
    """The name stays as long as there is room for it; wide characters count twice."""
    found = shorten(text.replace("/", os.sep), room).replace(os.sep, "/")
    if os.sep == "/":
        assert found == expected
    assert cells(found) <= room


@given(st.text(alphabet="ab/文é", min_size=0, max_size=60), st.integers(12, 40))
def test_a_shortened_path_fits_and_keeps_both_ends(text: str, room: int) -> None:
    """Whatever it is; one that fits is not touched."""
    found = shorten(text, room)
    assert cells(found) <= room
    if cells(text) <= room:
        assert found == text
    else:
        begin, _, end = found.partition(ELLIPSIS)
        assert text.startswith(begin)
        assert text.endswith(end)


def test_text_in_a_pipe_is_relative_and_whole() -> None:
    """Both names of a rename; nothing is shortened, however long it is."""
    paths = ShownPaths()
    paths.add(ROOT, "in")
    deep = "d/" * 100 + "x"
    line = Text("utf-8", paths).event(renamed("a", deep, ROOT), "s").decode()
    assert line.split("\t")[2].replace(os.sep, "/") == f"in/{deep}"
    assert line.rstrip("\n").endswith("from=" + os.path.join("in", "a"))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_line_is_no_wider_than_the_terminal(
    tty: Tty, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both paths of a rename something is left."""
    monkeypatch.setattr("limpet.cli._terminal.width_of", lambda stream: width)
    terminal = Terminal(tty)
    for event in (
        created("sub/" * 40 + "name.txt"),
        renamed("short", "sub/" * 40 + "name.txt"),
        renamed("sub/" * 40 + "old.txt", "sub/" * 40 + "name.txt"),
    ):
        line = without_colour(terminal.event(event, "s")).rstrip("\n")
        assert ELLIPSIS in line
        assert "t.txt" in line or "name.txt" in line
        assert len(line) <= max(width, 60)
    assert ELLIPSIS not in without_colour(terminal.event(created("a"), "s"))


def test_what_is_no_terminal_has_no_width(tmp_path: Path) -> None:
    """A file, a stream over memory, none at all."""
    with open(tmp_path / "f", "w", encoding="utf-8") as file:
        assert width_of(file) is None
    assert width_of(None) is None
