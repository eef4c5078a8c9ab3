"""Each extra alone: it installs, starts, and says which other extra a command needs.

Left out of the usual run: it makes a virtual environment for each. ``make test-pythons`` runs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.bot.test_pythons import ROOT, plain

pytestmark = [pytest.mark.pythons, pytest.mark.timeout(300)]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = sorted({*PROJECT["optional-dependencies"]} - {"bench", "dev", "docs"})

BOT = """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: null
properties: {input_path: in}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: b
properties: {name: b}
triggers: [{kind: Trigger, implementation: limpet.bot.AllEventsTrigger, uuid: t, properties: {}}]
conditions: []
actions: [{kind: Action, implementation: limpet.bot.ACTION, uuid: a, properties: {PROPERTIES}}]
"""
PRINT = BOT.replace("ACTION", "PrintAction").replace("{PROPERTIES}", "{}")
POST = BOT.replace("ACTION", "WebhookAction").replace("{PROPERTIES}", "{url: 'http://localhost/'}")
AGENT = "host: a\nhub: {url: 'nats://127.0.0.1'}\nspool: {path: spool.db}\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel that would be uploaded, for every system."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, env={**plain(), "LIMPET_BUILD_SPEEDUPS": "0"})
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module", params=["", *EXTRAS])
def installed(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the command in an environment with one extra, named by its folder."""
    home = tmp_path_factory.mktemp(f"extra-{request.param or 'none'}-")
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, env=plain())
    wanted = f"{wheel}[{request.param}]" if request.param else str(wheel)
    pip: list[str | Path] = [home / "bin" / "python", "-m", "pip", "install", "--quiet"]
    limit: list[str | Path] = [
        "--disable-pip-version-check",
        "--constraint",
        ROOT / "constraints.txt",
    ]
    subprocess.run([*pip, wanted, *limit], check=True, env=plain())
    return home / "bin" / "limpet"


@pytest.fixture
def extra(installed: Path) -> str:
    """Return the extra that is installed; the core alone is ``none``."""
    return installed.parent.parent.name.split("-")[1]


def run(command: Path, *argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command, *argv], capture_output=True, text=True, check=False, cwd=cwd, env=plain()
    )


def test_it_starts_and_does_what_the_core_does(installed: Path, tmp_path: Path) -> None:
    """Rich is needed by none of it, and a schema by no extra."""
    version = run(installed, "--version", cwd=tmp_path)
    assert (version.returncode, version.stderr) == (0, "")
    assert PROJECT["version"] in version.stdout
    doctor = run(installed, "doctor", ".", cwd=tmp_path)
    assert "Traceback" not in doctor.stderr
    assert doctor.stdout
    for kind in ("bot", "agent", "fleet", "event"):
        schema = run(installed, "check", "--schema", kind, cwd=tmp_path)
        assert json.loads(schema.stdout)["$schema"]
    for command in ("watch", "follow", "put", "run", "check", "new", "replay", "agent", "hub"):
        assert run(installed, command, "--help", cwd=tmp_path).returncode == 0, command


def test_bots_are_checked_with_their_extra(installed: Path, extra: str, tmp_path: Path) -> None:
    (tmp_path / "bot.yaml").write_text(PRINT)
    done = run(installed, "check", "bot.yaml", cwd=tmp_path)
    assert "Traceback" not in done.stderr
    if extra in {"bot", "webhook"}:
        assert done.stdout == "1 bot, 1 input, 1 behaviour: fine\n", done.stderr
    else:
        assert done.returncode != 0
        assert "pip install 'limpet[bot]'" in done.stderr


def test_webhooks_need_theirs(installed: Path, extra: str, tmp_path: Path) -> None:
    (tmp_path / "bot.yaml").write_text(POST)
    done = run(installed, "check", "bot.yaml", cwd=tmp_path)
    assert "Traceback" not in done.stderr
    if extra == "webhook":
        assert done.returncode == 0, done.stderr
    elif extra == "bot":
        assert "pip install 'limpet[webhook]'" in done.stderr


def test_agents_are_checked_with_theirs(installed: Path, extra: str, tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(AGENT)
    done = run(installed, "agent", "agent.yaml", "--check", cwd=tmp_path)
    assert "Traceback" not in done.stderr
    if extra in {"bot", "nats", "webhook"}:  # what reads files is in each of them
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0
        assert "pip install 'limpet[nats]'" in done.stderr


FIXTURE = """
from limpet.testing import assert_events

def test_it(limpet_folder, limpet_hub):
    (limpet_folder / "a").touch()
    assert_events(limpet_folder, ["FileCreated a"])
"""


def test_pytest_finds_the_fixtures(installed: Path, extra: str, tmp_path: Path) -> None:
    """By the metadata of the wheel, with the core alone; and nothing warns."""
    if extra != "none":
        pytest.skip("the core alone is enough")
    python = installed.with_name("python")
    limit = ROOT / "constraints.txt"
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "pytest", "--constraint", limit], check=True, env=plain())
    (tmp_path / "test_it.py").write_text(FIXTURE)
    done = run(python, "-m", "pytest", "-W", "error", cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
