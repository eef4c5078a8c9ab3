"""What is uploaded: the source archive, the wheel for every system, and what lies beside them."""

from __future__ import annotations

import configparser
import email
import re
import shlex
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from limpet.cli import _agent_args, _bot_args, _inbox_args, _watch_args
from limpet.cli._watch_plan import split_command

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
).stdout.splitlines()


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both, built as ``make dist`` builds them."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "", "LIMPET_BUILD_SPEEDUPS": "0"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> zipfile.ZipFile:
    (path,) = dist.glob("*-py3-none-any.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def archive(dist: Path) -> set[str]:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as opened:
        return {name.partition("/")[2] for name in opened.getnames()}


def test_the_wheel_has_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Every module, the schemas and ``py.typed``; no C, no tests, nothing that was compiled."""
    expected = {
        name.removeprefix("src/")
        for name in TRACKED
        if name.startswith("src/") and not name.endswith(".c")
    }
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == expected
    assert "limpet/py.typed" in names
    assert {name for name in names if name.endswith(".json")} >= {"limpet/event.schema.json"}
    info = {name.partition("/")[2] for name in wheel.namelist() if ".dist-info/" in name}
    assert info == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def test_the_source_archive_has_all_that_is_needed_to_build_and_test(archive: set[str]) -> None:
    """All that is in the repository, but for what belongs to its host alone."""
    left_out = re.compile(r"\.github/|\.ci/|\.git|\.pre-commit|\.editorconfig|\.dockerignore")
    assert {name for name in TRACKED if not left_out.match(name)} <= archive
    assert not [name for name in archive if name.endswith((".so", ".pyc"))]


def test_the_description_leads_somewhere_from_an_index(wheel: zipfile.ZipFile) -> None:
    """The README's links are addresses of the repository; those within a page stay."""
    (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    text = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)\s]+)", text)
    assert links
    assert [one for one in links if not one.startswith(("https://", "#"))] == []
    assert f"{PROJECT['urls']['Repository']}/blob/main/docs/reference/semantics.md" in links
    assert set(metadata.get_all("Provides-Extra") or ()) == set(PROJECT["optional-dependencies"])


def test_an_index_would_take_both(dist: Path) -> None:
    """As ``twine check --strict`` says, which renders the description."""
    files = sorted(map(str, dist.iterdir()))
    assert len(files) == 2
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


UNITS = sorted((ROOT / "contrib" / "systemd").glob("*.service"))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_start_a_command_that_exists(path: Path) -> None:
    """The words after the program are taken by its own parser; nothing runs as root."""
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(path, encoding="utf-8")
    assert set(unit.sections()) == {"Unit", "Service", "Install"}
    service = unit["Service"]
    assert service["User"] == "limpet"
    assert service["Restart"] == "on-failure"
    program, command, *words = shlex.split(service["ExecStart"])
    assert program == "/opt/limpet/bin/limpet"
    parsers = {
        "run": _bot_args.parser,
        "agent": _agent_args.parser,
        "watch": _watch_args.parser,
        "inbox": _inbox_args.parser,
    }
    given, _ = split_command(words)
    assert parsers[command](command).read(given).words


def test_the_image_is_made_of_what_is_there() -> None:
    """No container engine runs here: what is copied exists, and the program is not root's."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        assert [one for one in sources if not (ROOT / one).exists()] == []
        kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        assert {f"!{one}" for one in sources} <= set(kept)
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["limpet"\]$', text, re.MULTILINE)
    extras = re.search(r"^ARG EXTRAS=(.+)$", text, re.MULTILINE)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
