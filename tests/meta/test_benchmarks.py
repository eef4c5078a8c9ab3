"""The benchmarks run; what they say of time is nobody's test."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks._charts import write_charts
from benchmarks._report import Results
from benchmarks._targets import targets
from benchmarks.measures import MEASUREMENTS, PROFILES

ROOT = Path(__file__).resolve().parents[2]


def test_a_run_prints_its_tables_and_writes_the_page(tmp_path: Path) -> None:
    """All measurements, with limpet alone and the least work there can be."""
    page = tmp_path / "page.md"
    command = [sys.executable, "-m", "benchmarks", "smoke", "--watcher", "limpet, inotify"]
    command += ["--page", str(page), "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    if "left out" in done.stderr:
        pytest.skip("no inotify")
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert done.stdout.strip() in text
    assert "no figures" not in text
    # Growth has two tables, what was asked for one; starting and gathering are measured with the
    # first watcher.
    assert len(re.findall(r"^\| limpet, inotify +\|", text, re.MULTILINE)) == len(MEASUREMENTS)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "cpu.svg", "memory.svg", "page", "page.md",
    ]  # fmt: skip
    for chart in tmp_path.rglob("*.svg"):
        assert ET.parse(chart).getroot().tag.endswith("svg")  # noqa: S314 (our own)
        assert f"page/{chart.name}" in text


def test_starting_is_measured_with_whole_programs(tmp_path: Path) -> None:
    """A script and the command line, each up to its first line."""
    command = [sys.executable, "-m", "benchmarks", "smoke", "--watcher", "limpet, fanotify"]
    command += ["--only", "start", "--no-page", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    head, *_, row = done.stdout.partition("## Starting")[2].strip().splitlines()[2:]
    assert row.startswith("| limpet, fanotify "), row
    assert len(row.split("|")) == len(head.split("|"))
    assert "–" not in row


def results(**figures: float) -> Results:
    """A run that measured these of limpet, and twice as much of every peer."""
    found = Results("smoke", PROFILES["smoke"], compiled=True)
    found.titles = ["limpet, fanotify", "watchfiles", "limit"]
    for factor in (1.0, 3.0):  # two rounds; the second under more load
        found.begin_round("tree")
        for share, title in ((1.0, found.titles[0]), (2.0, found.titles[1]), (0.5, "limit")):
            found.add("tree", title, {"cpu": factor * share})
    found.begin_round("complete")
    found.add(
        "complete", found.titles[0], {name.replace("_", " "): figures[name] for name in figures}
    )
    return found


def rows(table: str) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {cell[0]: cell[1:] for cell in cells}


def test_targets_say_what_was_met_and_missed_and_not_measured() -> None:
    """Ratios are taken within a round; what a run has not measured is not called met."""
    found = rows(targets(results(wrong_running=0.0, wrong_paused=3.0)))
    assert found["set-up CPU, limpet, fanotify, by watchfiles"] == ["0.6×", "0.5×", "met"]
    assert found["set-up CPU, limpet, fanotify, by limit"] == ["2×", "2×", "met"]
    assert found["set-up CPU, limpet, inotify, by limit"][1:] == ["–", "not measured in this run"]
    disagree = "names on which events and disk disagree, flat out{}, any backend"
    assert found[disagree.format("")] == ["0", "0", "met"]
    assert found[disagree.format(", consumer paused")] == ["0", "3", "**missed**"]


def test_no_two_lines_of_a_chart_are_drawn_alike(tmp_path: Path) -> None:
    """However many watchers take part."""
    found = Results("smoke", PROFILES["smoke"], compiled=True)
    found.titles = [
        "limpet, fanotify",
        *(f"peer {n}" for n in range(14)),
        "limit",
        "limit, walk only",
    ]
    found.begin_round("growth")
    for number, title in enumerate(found.titles, 1):
        figures = {f"cpu {size}": number * 1e-6 * size for size in found.profile.growth}
        found.add("growth", title, figures)
    assert write_charts(found, tmp_path) == ["cpu.svg"]
    chart = ET.parse(tmp_path / "cpu.svg").getroot()  # noqa: S314 (our own)
    lines = chart.findall("{*}polyline")
    pens = {
        tuple(line.get(f"stroke{what}") for what in ("", "-width", "-dasharray")) for line in lines
    }
    assert len(lines) == len(pens) == len(found.titles)


def test_the_work_is_the_same_without_a_compiler(tmp_path: Path) -> None:
    """The producer in Python leaves what the one in C leaves."""
    producer = [sys.executable, str(ROOT / "benchmarks" / "producer.py")]
    (tmp_path / "d0").mkdir()
    for what in ("create", "append", "rename"):
        subprocess.run([*producer, what, str(tmp_path), "1", "3", "0"], check=True, timeout=60)
    files = sorted((tmp_path / "d0").iterdir())
    assert [path.name for path in files] == ["r0", "r1", "r2"]
    assert {path.stat().st_size for path in files} == {2 * 96}
    subprocess.run([*producer, "delete", str(tmp_path), "1", "3", "0"], check=True, timeout=60)
    subprocess.run([*producer, "tree", str(tmp_path / "d0"), "25", "50"], check=True, timeout=60)
    assert sum(path.is_dir() for path in tmp_path.rglob("d*")) == 26
    assert (tmp_path / "d0" / "d0" / "d20" / "f20").is_file()
