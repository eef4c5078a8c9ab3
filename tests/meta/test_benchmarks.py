"""The benchmarks run; what they say of time is nobody's test."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_a_run_prints_its_tables_and_writes_the_page(tmp_path: Path) -> None:
    """With limpet alone, and the least work there can be."""
    page = tmp_path / "page.md"
    command = [sys.executable, "-m", "benchmarks", "smoke", "--watcher", "limpet, inotify"]
    command += ["--only", "tree,growth,flat,paused", "--page", str(page), "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    if "left out" in done.stderr:
        pytest.skip("no inotify")
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert done.stdout.strip() in text
    assert "no figures" not in text
    assert "| limpet, inotify |" in text
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "cpu.svg", "memory.svg", "page", "page.md",
    ]  # fmt: skip
    for chart in tmp_path.rglob("*.svg"):
        assert ET.parse(chart).getroot().tag.endswith("svg")  # noqa: S314 (our own)
        assert f"page/{chart.name}" in text


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
