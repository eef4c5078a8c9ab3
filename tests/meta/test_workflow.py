"""The workflow for the three systems is whole, and agrees with the project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TESTS = ROOT / ".github" / "workflows" / "tests.yml"


def job(name: str) -> dict[str, Any]:
    found = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["jobs"][name]
    assert isinstance(found, dict)
    return found


def steps(name: str) -> str:
    return "\n".join(step.get("run", "") for step in job(name)["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_it_has_the_form_of_a_workflow(path: Path) -> None:
    """It cannot run here, so the published schema of workflows is asked."""
    schema = ("--builtin-schema", "vendor.github-workflows")
    command = [sys.executable, "-m", "check_jsonschema", *schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_forms_of_issues_have_what_a_form_needs(path: Path) -> None:
    """A name, a description, and fields of a known type with labels and ids of their own."""
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(form) == {"name", "description", "labels", "body"}
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    for field in form["body"]:
        assert field["type"] in {"textarea", "input", "checkboxes"}
        assert field["attributes"]["label"]


def test_hooks_before_a_commit_download_nothing() -> None:
    """They run what ``make`` has installed, and name files that are there."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks)
    named = [word for hook in hooks for word in hook["entry"].split() if word.startswith("tests/")]
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_pins_are_compared_with_known_vulnerabilities() -> None:
    """All of them, as they stand."""
    assert "pip_audit --requirement constraints.txt" in steps("pins")


def test_each_system_and_each_python_that_is_promised() -> None:
    """The classifiers of the package name them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: "
    pythons = [one.removeprefix(prefix) for one in project["classifiers"] if prefix + "3." in one]
    matrix = job("system")["strategy"]["matrix"]
    assert matrix["python"] == pythons
    assert matrix["os"] == ["ubuntu-latest", "windows-latest", "macos-latest"]


def test_it_calls_what_a_newcomer_calls() -> None:
    """Each target is one of the Makefile, and the whole of it is ``.ci/run``."""
    targets = re.findall(
        r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    called = re.findall(r"^make ([a-z-]+)", steps("system"), re.MULTILINE)
    assert called == ["demo", "test"]
    assert set(called) <= set(targets)
    assert ".ci/run" in steps("everything")
    assert "dist/*.whl" in steps("system")


def test_releasing_names_each_job() -> None:
    """RELEASING.md is where a maintainer learns what has to be green."""
    text = (ROOT / "RELEASING.md").read_text(encoding="utf-8")
    jobs = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["jobs"]
    assert all(f"`{name}`" in text for name in jobs)
