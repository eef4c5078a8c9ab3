"""Words of YAML: what limpet takes has the same value for each reader, and the rest is refused."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from limpet._yaml_nodes import YamlReader
from limpet._yaml_positions import node_at

WORDS = """
yes No ON off y n Y null Null NULL ~ true False TRUE .inf -.INF +.inf .nan 0x1F 0x_1 0o17 017 08
0b1 1_0 12:30 07:30 1:2:3.5 190:20:30 1e3 1.e3 1.0e+3 .5 -.5 5. ._ 2026-11-25 2026-11-25T10:00:00Z
= << +1 -0 00 1.2.3 a:b
""".split()
TEXTS = (
    st.text(alphabet="0123456789_.:-+eExXobBynYNtTZ ~=<fFiIaAnNlL", min_size=1, max_size=12)
    | st.sampled_from(WORDS)
    | st.integers().map(str)
    | st.floats().map(str)
)


def taken(source: str) -> Any:
    """Return the value that limpet takes, or ``...`` if it refuses the file."""
    reader = YamlReader(source, "f")
    documents = list(reader.documents())
    if reader.problems or len(documents) != 1:
        return ...
    found = reader.value(documents[0], "")
    return ... if reader.problems else found


@settings(max_examples=1500)
@given(TEXTS)
def test_a_plain_word_has_one_value(word: str) -> None:
    """For PyYAML, which mewbot's loader uses (YAML 1.1), and for YAML 1.2."""
    source = f"k: {word}\n"
    found = taken(source)
    if found is ...:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ruamel.yaml's, of floats of YAML 1.1
        assert repr(yaml.safe_load(source)) == repr(found)
        with contextlib.suppress(ValueError):  # it takes '-_' for a number, and fails at it
            assert repr(YAML(typ="safe", pure=True).load(source)) == repr(found)


@pytest.mark.parametrize("word", ["12", "text", "1.5", "true", "~", "a b", "v1.2", "10 MiB", "y"])
def test_usual_words_are_taken(word: str) -> None:
    """The property above would hold of a reader that refuses everything."""
    assert taken(f"k: {word}\n") is not ...


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("k: {{ path.name }}\n", "1:5: a key must be a word; a text that begins with '{{'"),
        ("k: {{ path.name }}.txt\n", "begins with '{{' must be quoted"),
        ("k: [{{ path.name }}]\n", "begins with '{{' must be quoted"),
        ("- a\n- {{ path }} b\n", "begins with '{{' must be quoted"),
        ("[" * 60 + "]" * 60, "nested deeper than 50 levels"),
        ("k: " + "7" * 700, "640 digits"),
        ("&a {<<: *a}\n", "contains itself"),
        ("k: &a 1\nl: &a 2\nm: *b\n", "undefined alias"),
        ("exclude: [*.tmp]\n", "1:11: this is not YAML: found undefined alias '.tmp'; a text that"),
        ('%FOO 1\n---\na: "\\xZZ"\n', "this is not YAML"),
        ("a: \x07\n", "this is not YAML"),
        ("x: [" + "1," * 20_000 + "1]", "more than 20000 values"),
    ],
)  # fmt: skip
def test_a_file_is_refused_with_a_place_and_a_remedy(source: str, expected: str) -> None:
    reader = YamlReader(source, "f")
    for node in reader.documents():
        reader.value(node, "")
    shown = [f"{one.line}:{one.column}: {one.message}" for one in reader.problems]
    assert any(expected in one for one in shown), shown


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("a: 1\nb: \0\n", 2, 4),
        ("%YAML 1.3\n---\na: 1\n", 1, 1),
        ("---\n%YAML 9.1\n", 2, 1),
        ('a: "\\U99999999"\n', 1, 1),
    ],
)
def test_what_the_parser_does_not_expect_is_a_problem(source: str, line: int, column: int) -> None:
    reader = YamlReader(source, "f")
    assert not list(reader.documents())
    (problem,) = reader.problems
    assert (problem.line, problem.column) == (line, column)


def test_merges_of_merges_are_counted() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{at}: &a{at} {{<<: [{', '.join([f'*a{at - 1}'] * 9)}]}}" for at in range(1, 30)]
    reader = YamlReader("\n".join(lines), "f")
    for node in reader.documents():
        reader.value(node, "")
    (problem,) = reader.problems
    assert "more than 20000 values" in problem.message


def test_the_place_of_a_value_below_a_merge() -> None:
    reader = YamlReader("base: &b {x: [1, 2]}\nk: {<<: *b, y: 3}\n", "f")
    (document,) = reader.documents()
    node, where = node_at(document, "top", ("k", "x", 1))
    assert (node.start_mark.line, node.start_mark.column, where) == (0, 17, "top.k.x[1]")
    node, where = node_at(document, "top", ("k", "y"), at_key=True)
    assert (node.start_mark.line, node.start_mark.column, where) == (1, 12, "top.k.y")
    assert node_at(document, "top", ("k", "none", 5))[1] == "top.k"
