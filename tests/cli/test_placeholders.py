"""Placeholders are those of ``fd``; a command without one is never changed."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.cli._placeholders import MOST_BYTES, expand, has_placeholder, split


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("{}", "d/a.tar.gz"),
        ("{/}", "a.tar.gz"),
        ("{//}", "d"),
        ("{.}", "d/a.tar"),
        ("{/.}", "a.tar"),
        ("--out={/.}.txt", "--out=a.tar.txt"),
        ("{}:{/}", "d/a.tar.gz:a.tar.gz"),
        ("{{}}", "{}"),
        ("{{{}}}", "{d/a.tar.gz}"),
        ("{x}", "{x}"),
        ("{", "{"),
        ("a", "a"),
    ],
)
def test_what_each_stands_for(word: str, expected: str) -> None:
    """Anywhere in a word; a doubled brace is a brace."""
    assert expand(["cmd", word, "{}"], ["d/a.tar.gz"]) == ["cmd", expected, "d/a.tar.gz"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", ["a", "a", ".", "a", "a"]),
        ("/a", ["/a", "a", "/", "/a", "a"]),
        ("d/.bashrc", ["d/.bashrc", ".bashrc", "d", "d/.bashrc", ".bashrc"]),
        ("d.x/a", ["d.x/a", "a", "d.x", "d.x/a", "a"]),
        ("a b\n{}.c", ["a b\n{}.c", "a b\n{}.c", ".", "a b\n{}", "a b\n{}"]),
        ("caf\udce9.t", ["caf\udce9.t", "caf\udce9.t", ".", "caf\udce9", "caf\udce9"]),
    ],
)
def test_odd_paths(path: str, expected: list[str]) -> None:
    """A hidden file has no ending; braces in a name are a name."""
    assert expand(["{}", "{/}", "{//}", "{.}", "{/.}"], [path]) == expected


@pytest.mark.parametrize(
    "argv", [["make"], ["sh", "-c", "f() {{ a; }}; f"], ["awk", "{print}"], ["a", "{ }", "{x}"]]
)
def test_without_a_placeholder_nothing_changes(argv: list[str]) -> None:
    """Doubled braces too."""
    assert expand(argv, ["x", "y"]) == argv


def test_a_word_is_there_for_each_path_of_a_batch() -> None:
    """Each of the words that have a placeholder."""
    assert expand(["c", "{}", "-x", "{/}"], ["d/a", "b"]) == ["c", "d/a", "b", "-x", "a", "b"]


def test_no_name_becomes_an_option() -> None:
    """What a path begins is a path; what the command began is the command's."""
    assert expand(["c", "{/}", "{/.}", "-o{/}"], ["d/-rf.x"]) == [
        "c",
        os.path.join(".", "-rf.x"),
        os.path.join(".", "-rf"),
        "-o-rf.x",
    ]


@given(st.lists(st.text(max_size=400), max_size=800))
def test_parts_have_all_paths_in_order(paths: list[str]) -> None:
    """And each is short enough for the system."""
    argv = ["c", "{}", "{/}"]
    parts = list(split(argv, paths))
    assert [path for part in parts for path in part] == paths
    assert all(parts)
    for part in parts:
        size = sum(len(os.fsencode(word)) + 1 for word in expand(argv, part))
        assert size <= MOST_BYTES + 64 or len(part) == 1


def test_without_a_placeholder_all_paths_are_one_part() -> None:
    """They are on standard input alone."""
    paths = ["p" * 200] * 5000
    assert list(split(["c", "-"], paths)) == [paths]
    assert list(split(["c"], [])) == []


def test_what_has_a_placeholder() -> None:
    """Braces alone are none."""
    assert [
        word for word in ("{}", "a{.}b", "{{}}", "{{", "{ }", "{{{}}}") if has_placeholder(word)
    ] == [
        "{}",
        "a{.}b",
        "{{{}}}",
    ]
