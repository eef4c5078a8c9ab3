"""One meaning for each word: the glossary of CONTRIBUTING, as far as a test can hold it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

DROPPED = {
    "anew", "belief", "believe", "believed", "crew", "droppings", "ghosts", "ground", "hear",
    "heard", "hears", "lane", "lanes", "letter", "letters", "look", "looked",
    "looks", "news", "tell", "teller", "tells", "told", "whoever",
}  # fmt: skip
"""Words that no identifier has; ``dead_letter`` and ``dead_letters`` are the field's term."""

HUB = ("remote", "cli", "bot/io/_remote_filesystem.py", "_pytest_plugin.py", "status", "web",
       "bot/io/_limpet_input.py", "bot/runner/_bot_status.py")  # fmt: skip
"""Where ``hub``, the NATS server, may be named."""

SETTLE = {
    "config.py", "watching/__init__.py", "watching/_watcher.py", "watching/_watch.py",
    "watching/_keywords.py", "watching/_places.py", "watching/_group_stream.py",
    "watching/emit", "watching/diff/_context.py",
    "bot/io", "cli", "remote", "following", "intake", "testing",
}  # fmt: skip
"""Where ``settle``, the debounce option, is read or passed on."""

FIRST = {"Give", "Have", "Hear", "Hears", "Know", "Knows", "Learn", "Say", "Tell", "Tells",
         "Whether"}  # fmt: skip
"""Words that no docstring begins with: Return, Report, Emit, Wait, ... do."""

PHRASES = (
    "anew", "is told", "are told", "was told", "told of", "tells of", "so many", "no more.",
    "somebody else", "whoever", "put aside", "so-manieth", "is no more", "looked at", "a look ",
    "stands there", "lies there",
)  # fmt: skip
"""Turns of phrase that no help text, message or docstring has."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT / "src" / "limpet"))


def words(identifier: str) -> list[str]:
    """Split ``snake_case`` and ``CamelCase`` into words in lower case."""
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)]


def identifiers(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            yield token.string


def docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = ast.get_docstring(node)
            if found:
                yield found


def strings(path: Path) -> Iterator[str]:
    """Every text in the source: docstrings, messages, help."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_identifiers_have_the_words_of_the_glossary(path: Path) -> None:
    """A dropped word does not come back as a name."""
    wrong = set()
    for name in set(identifiers(path)):
        parts = words(name.replace("dead_letter", "").replace("DeadLetter", ""))
        wrong |= {name for part in parts if part in DROPPED}
        if "hub" in parts and not relative(path).startswith(HUB):
            wrong.add(name)
    assert wrong == set()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_settle_is_the_debounce_option_alone(path: Path) -> None:
    """To be done with an event is to acknowledge it."""
    found = {name for name in identifiers(path) if "settle" in words(name)}
    allowed = {"settle", "settle_max", "settle_limit", "settle_until", "SettleUntil",
               "settle_dir"}  # fmt: skip
    assert found - allowed == set()
    assert not found or any(relative(path).startswith(place) for place in SETTLE)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_docstrings_begin_with_the_common_verbs(path: Path) -> None:
    """The first word says what a call does: Return, Emit, Report, Wait, Open, Raise."""
    assert [text.splitlines()[0] for text in docstrings(path) if text.split()[0] in FIRST] == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_texts_are_in_the_words_of_the_glossary(path: Path) -> None:
    """Docstrings, messages, logs, help texts and metrics."""
    found = [
        f"{phrase!r}: {' '.join(text.split())[:80]}"
        for text in strings(path)
        for phrase in PHRASES
        if phrase in text
    ]
    assert found == []


def test_error_codes_and_metrics_have_the_words_of_the_glossary() -> None:
    """Every heading of troubleshooting is a code; metrics are in the source."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    codes = re.findall(r"^## (\S+)$", page, flags=re.MULTILINE)
    metrics = {
        name
        for path in SOURCES
        for name in re.findall(r"limpet_[a-z_]+", path.read_text(encoding="utf-8"))
    }
    metrics -= {"limpet_folder"}  # a fixture of pytest, for users
    assert codes
    assert metrics
    dropped = DROPPED | {"folder", "settle"}
    names = [name.replace("dead_letter", "") for name in (*codes, *metrics)]
    assert [name for name in names if dropped & set(re.split(r"[-_]", name))] == []


def test_a_dropped_word_is_found() -> None:
    """The tests above can fail."""
    assert words("_tellCrew_HTTPServer") == ["tell", "crew", "http", "server"]
    assert "told" in DROPPED & set(words("what_was_told"))


def test_the_glossary_lists_each_word_once() -> None:
    """Thirty lines or so, in CONTRIBUTING."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Words")[2].partition("\n## ")[0]
    terms = [
        term.strip()
        for row in re.findall(r"^\| ([^|]+) \|", table, flags=re.MULTILINE)
        for term in re.sub(r"\(.*?\)", "", row).split(",")
    ]
    assert len(terms) > 25
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize("place", sorted({*HUB, *SETTLE}))
def test_exceptions_name_files_that_exist(place: str) -> None:
    """An exception for a file that was moved would hide the next one."""
    assert (ROOT / "src" / "limpet" / place).exists()
