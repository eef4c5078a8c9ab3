"""The plugin for pytest, in processes of their own: what its user sees, and what it costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TESTS = """
import sys

def test_nothing_of_limpet_was_loaded():
    assert {name for name in sys.modules if name.startswith("limpet")} == {
        "limpet", "limpet._lazy_names", "limpet._pytest_plugin"
    }

def test_folder(limpet_folder, tmp_path):
    from limpet.testing import assert_events

    assert limpet_folder.path.is_relative_to(tmp_path.resolve())
    (limpet_folder / "a.txt").write_text("text")
    assert_events(limpet_folder, ["FileCreated a.txt"])
    limpet_folder.reopen(settle=1000, settle_until="quiet")
    (limpet_folder / "a.txt").write_text("other text")
    assert_events(limpet_folder.advance(999), [])
    (event,) = limpet_folder.advance(1)
    assert event.path.name == "a.txt"

def test_hub(limpet_hub):
    import asyncio
    from limpet.remote import MemoryTransport

    limpet_hub.put_value("bucket", "key", b"value")
    assert asyncio.run(MemoryTransport(limpet_hub).get_value("bucket", "key")) == b"value"

def test_fails(limpet_folder):
    from limpet.testing import assert_events

    (limpet_folder / "a").touch()
    assert_events(limpet_folder, ["FileCreated b"])
"""


def pytest_in(folder: Path, *argv: str, plugin: bool = True) -> subprocess.CompletedProcess[str]:
    """Run pytest as the user of a project does, with the plugin and no other."""
    loaded = ["-p", "limpet._pytest_plugin"] if plugin else []
    return subprocess.run(
        [sys.executable, "-m", "pytest", *loaded, "-p", "no:cacheprovider", "-W", "error", *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
    )


def test_a_project_gets_the_fixtures(tmp_path: Path) -> None:
    """Nothing warns, and before a fixture is used nothing of limpet is loaded."""
    (tmp_path / "test_it.py").write_text(TESTS)
    done = pytest_in(tmp_path)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "warning" not in done.stdout
    assert done.stderr == ""


def test_a_failure_shows_the_difference_where_the_test_asks(tmp_path: Path) -> None:
    """And no line of the inside."""
    (tmp_path / "test_it.py").write_text(TESTS)
    done = pytest_in(tmp_path, "-k", "fails")
    assert "E       - FileCreated b" in done.stdout, done.stdout
    assert "E       + FileCreated a" in done.stdout
    assert "_assert_events.py" not in done.stdout.partition("short test summary")[0]


def test_the_fixtures_say_what_they_are(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, "--fixtures")
    for name in ("limpet_folder", "limpet_hub"):
        assert name in done.stdout
    assert "no docstring available" not in done.stdout


def test_pytest_finds_it_by_the_metadata() -> None:
    """The entry point names a module that is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"limpet": "limpet._pytest_plugin"}


def test_the_test_of_the_page_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "testing.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n([^`]*def test_[^`]*)^```$", page, re.MULTILINE)
    (tmp_path / "test_page.py").write_text(block)
    done = pytest_in(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["limpet_folder", "limpet_hub"])
def test_each_fixture_is_documented(name: str) -> None:
    page = ROOT / "docs" / "reference" / "testing.md"
    assert f"`{name}`" in page.read_text(encoding="utf-8")
