"""The pages keep their word: headings, tests and links that they name are there."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from limpet import errors
from limpet.config import WatchOptions
from limpet.events import DegradedReason
from limpet.output import RefusalCode
from limpet.remote import RemoteCode

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GUARANTEES = DOCS / "explanation/guarantees.md"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
TABLE_ROW = re.compile(r"^\| ([BDLSIOVWFHJ]\d+) \|", re.MULTILINE)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", without_code(read(path)), flags=re.MULTILINE)


def codes() -> Iterator[str]:
    """Every code an exception has by itself, every reason, every problem the doctor names."""
    for name in errors.__all__:
        yield getattr(errors, name)("some message").code
    yield from get_args(DegradedReason)
    yield from get_args(RefusalCode)
    yield from get_args(RemoteCode)
    yield from re.findall(r'code="([a-z-]+)"', read(ROOT / "src/limpet/cli/_doctor.py"))
    files = [ROOT / "src/limpet/_config_problem.py"]
    for part in ("bot", "remote", "status", "web"):
        files += (ROOT / "src/limpet" / part).rglob("*.py")
    for path in files:
        yield from re.findall(r'\b(?:default_)?code(?:: str)? ?= ?"([a-z-]+)"', read(path))


@pytest.mark.parametrize("code", sorted(set(codes())))
def test_every_code_has_its_heading(code: str) -> None:
    """Whoever looks up what an error or event says finds it, once."""
    assert headings(DOCS / "troubleshooting.md").count(code) == 1


def test_no_heading_is_about_what_is_no_more() -> None:
    """A code that was given up takes its heading with it."""
    assert set(headings(DOCS / "troubleshooting.md")) == {"Troubleshooting", *codes()}


def test_every_code_in_the_source_is_one_of_these() -> None:
    """An exception raised with a code of its own has its heading too."""
    raised = {
        code
        for path in (ROOT / "src").rglob("*.py")
        for code in re.findall(r'\b(?:default_code|code: str) = "([a-z-]+)"', read(path))
    }
    assert raised <= set(codes())


def defined(path: Path) -> set[str]:
    """Names a test file has: functions and classes, or the first words of scenario titles."""
    if path.suffix == ".txt":
        return set(re.findall(r"^== (\S+) ", read(path), flags=re.MULTILINE))
    return {
        node.name
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


def test_every_test_that_is_named_exists() -> None:
    """A guarantee points at tests that are there."""
    named = re.findall(r"`([\w/]+\.(?:py|txt))::(\w+)`", read(GUARANTEES))
    assert named
    files = {file: defined(ROOT / "tests" / file) for file in {file for file, _ in named}}
    assert [f"{file}::{name}" for file, name in named if name not in files[file]] == []


def test_every_guarantee_has_a_test_or_a_reason() -> None:
    """None is a mere promise, and none is there twice."""
    text = re.sub(r"<!-- side.*?: end -->", "", read(GUARANTEES), flags=re.DOTALL)
    rows = [line for line in text.splitlines() if TABLE_ROW.match(line)]
    for row in rows:
        _, number, promise, held, reason, _ = (cell.strip() for cell in row.split("|"))
        assert promise, number
        assert "::" in held or (held == "none" and reason), number
    numbers = TABLE_ROW.findall(text)
    assert len(numbers) == len(set(numbers))


def test_every_rule_has_its_guarantee() -> None:
    """W100: the contract's laws and rules are all in the list."""
    contract = read(DOCS / "reference/semantics.md")
    rules = {
        *re.findall(r"^\*\*(L\d+) ", contract, flags=re.MULTILINE),
        *re.findall(r"^\| (S\d+) \|", contract, flags=re.MULTILINE),
    }
    assert {"L1", "L6", "S1", "S27"} <= rules
    required = {f"I{number}" for number in range(1, 17)}
    required |= {f"O{number}" for number in range(1, 7)}
    required |= {f"V{number}" for number in range(1, 61)}
    required |= {f"F{number}" for number in range(1, 73)}
    required |= {f"H{number}" for number in range(1, 23)}
    required |= {f"B{number}" for number in range(1, 6)}
    required |= {f"D{number}" for number in range(1, 21)}
    required |= {f"J{number}" for number in range(1, 11)}
    listed = set(TABLE_ROW.findall(read(GUARANTEES)))
    assert rules | required <= listed


def test_every_case_a_test_quotes_is_listed() -> None:
    """A fault case with a test of its own is in the list."""
    quoted = set(re.findall(r"\bW\d+\b", read(ROOT / "tests/watch/kernel/test_field_reports.py")))
    assert quoted <= set(TABLE_ROW.findall(read(GUARANTEES)))


def test_every_vector_a_test_quotes_is_what_the_list_says() -> None:
    """A test that quotes a vector of attack or fault is among those that hold it."""
    rows = {
        row.split("|")[1].strip(): row
        for row in read(GUARANTEES).splitlines()
        if row.startswith("| V")
    }
    missing = []
    for path in sorted((ROOT / "tests/output").glob("test_*.py")):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for number in vectors(ast.get_docstring(node) or ""):
                    if f"`output/{path.name}::{node.name}`" not in rows.get(number, ""):
                        missing.append(f"{number}: {path.name}::{node.name}")
    assert missing == []


def vectors(text: str) -> Iterator[str]:
    """Return the vectors a docstring quotes: ``V3``, ``V5 to V7``."""
    for first, last in re.findall(r"\bV(\d+)(?: to V(\d+))?", text):
        for number in range(int(first), int(last or first) + 1):
            yield f"V{number}"


def anchor(heading: str) -> str:
    """Make a heading's anchor as code hosts do."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link goes to a file that is there, and to a heading that it has."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(read(page))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, place = link.partition("#")
        target = page if not name else page.parent / name
        if not target.exists() or (place and place not in map(anchor, headings(target))):
            broken.append(link)
    assert broken == []


SHOWN = {"settle_max": "10 × `settle`", "rescan_interval": "never"}
"""Defaults of a watch that are ``None`` and mean something."""


def test_the_table_of_a_watchs_options_has_each_with_its_default() -> None:
    """``docs/reference/watch.md``: all of ``WatchOptions``, and nothing else."""
    text = read(DOCS / "reference/watch.md").partition("\n## Options\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", text, flags=re.MULTILINE)
    expected = {
        name: SHOWN.get(name, "none" if default in (None, ()) else f"`{shown(default)}`")
        for name, default in defaults(WatchOptions).items()
    }
    assert dict(rows) == expected
    assert len(rows) == len(expected)


def shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def defaults(options: type[WatchOptions]) -> dict[str, object]:
    made = options()
    return {field.name: getattr(made, field.name) for field in fields(made)}


def cells(text: str, heading: str, first: str) -> list[str]:
    """Return the first row with this title, or one that begins so, below a heading."""
    table = text.partition(f"\n## {heading}")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    exact = [row for row in rows if row[0] == first]
    return (exact or [row for row in rows if row[0].startswith(first)])[0]


def number(cell: str) -> float:
    found = re.search(r"[\d.]+", cell)
    assert found is not None, cell
    return float(found[0])


@pytest.mark.parametrize(
    ("row", "heading", "column", "digits"),
    [
        ("creations reported", "CPU for each operation, µs, flat out", 6, 0),
        ("CPU for a change", "CPU for each operation, µs, at 4,000", 5, 0),
        ("set-up on 200,000", "Setting up on a tree", 1, 2),
        ("memory for a file", "Growth with the size", -1, 0),
    ],
)
def test_the_readme_quotes_the_figures_of_the_page(
    row: str, heading: str, column: int, digits: int
) -> None:
    """``make bench`` writes the page; the README is changed by hand."""
    page = read(DOCS / "explanation/performance/watch.md")
    readme = cells(read(ROOT / "README.md"), "Beside others", row)
    for place, watcher in enumerate(("limpet, fanotify", "watchfiles", "watchdog"), 1):
        measured = number(cells(page, heading, watcher)[column])
        assert number(readme[place]) == round(measured, digits), watcher


def test_the_readme_quotes_the_figures_of_following() -> None:
    """Row T1 of its page."""
    readme = cells(read(ROOT / "README.md"), "Beside others", "reading a log")
    page = read(DOCS / "explanation/performance/follow.md")
    (ours, theirs) = re.findall(r"\((\d+) MiB/s.*?tail (\d+) MiB/s", page)[0]
    assert (readme[1], readme[5]) == (f"{ours} MiB/s", f"**{theirs} MiB/s**")


def test_every_word_of_the_contributors_glossary_is_explained_to_users() -> None:
    """``docs/glossary.md`` has them, and is in the order of the alphabet."""
    table = read(ROOT / "CONTRIBUTING.md").partition("## Words")[2].partition("\n## ")[0]
    terms = {
        term.strip()
        for row in re.findall(r"^\| ([^|]+) \|", table, flags=re.MULTILINE)
        for term in re.sub(r"\(.*?\)", "", row).split(",")
    }
    listed = re.findall(r"^\| ([^|]+) \|", read(DOCS / "glossary.md"), flags=re.MULTILINE)[2:]
    assert listed == sorted(listed, key=str.casefold)
    inside = {"router", "source", "examine", "report", "deliver", "emit", "directory", "`dir`"}
    explained = {word.strip() for row in listed for word in row.split(",")}
    assert terms - {"word", "---"} - inside <= explained
