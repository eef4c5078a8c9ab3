"""The compiled part is built where it can be, and nothing fails where it cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from limpet import _compiled
from tests.speedups.building import HATCH_BUILD, ROOT, can_compile

BUILT = "limpet/_speedups.abi3.so"
OLD = b"of an earlier source"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much of the repository as a wheel is made of, and an old compiled part beside it."""
    made = tmp_path_factory.mktemp("build") / "limpet"
    made.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "hatch_build.py", ".gitignore"):
        shutil.copy(ROOT / name, made)
    (made / "src/limpet").mkdir(parents=True)
    for name in ("__init__.py", "_compiled.py", "_speedups.c"):
        shutil.copy(ROOT / "src/limpet" / name, made / "src/limpet")
    (made / "src" / BUILT).write_bytes(OLD)
    return made


def build(source: Path, target: Path, form: str = "wheel", **env: str) -> tuple[Path, str]:
    """Return what hatchling built, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", form, "-d", str(target)],
        cwd=source,
        env=os.environ | {"CC": "", "CFLAGS": "-O0", "LIMPET_BUILD_SPEEDUPS": ""} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stdout)
    (made,) = target.iterdir()
    return made, done.stdout


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


@pytest.mark.skipif(not can_compile(), reason="no C compiler or no headers of Python")
def test_a_wheel_has_the_compiled_part_and_says_so(source: Path, tmp_path: Path) -> None:
    """One for every Python from 3.11 on; the C source stays in the source archive."""
    wheel, _ = build(source, tmp_path)
    system = re.sub(r"[-.]", "_", sysconfig.get_platform())
    assert wheel.name.endswith(f"-cp311-abi3-{system}.whl")
    assert BUILT in names(wheel)
    assert not [name for name in names(wheel) if name.endswith(".c")]
    with zipfile.ZipFile(wheel) as opened:
        assert opened.read(BUILT) != OLD
    assert (source / "src" / BUILT).read_bytes() == OLD


WITHOUT = {
    "no such compiler": {"CC": "no-such-compiler"},
    "a compiler that fails": {"CC": "false"},
    "a compiler that makes nothing": {"CC": "true"},
    "an error in the source": {"CFLAGS": "-Dstatic=nonsense"},
    "no headers": {"CFLAGS": "-DPY_SSIZE_T_CLEAN -include no-such-header.h"},
    "what it makes cannot be loaded": {"LDFLAGS": "-Wl,-soname,x -lno-such-library"},
    "left out by choice": {"LIMPET_BUILD_SPEEDUPS": "0"},
}


def test_without_it_the_wheel_is_for_every_system(source: Path, tmp_path: Path) -> None:
    """Nothing fails; the output says that it is missing."""
    wheel, output = build(source, tmp_path, CC="no-such-compiler")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert BUILT not in names(wheel)
    assert "limpet goes without its compiled part: " in output


@pytest.mark.parametrize("version", ["standard", "editable"])
@pytest.mark.parametrize("why", WITHOUT)
def test_no_build_fails_for_it(
    source: Path, monkeypatch: pytest.MonkeyPatch, why: str, version: str
) -> None:
    """A wheel and an editable installation go without, and say so."""
    for name, value in ({"CC": "", "CFLAGS": "", "LDFLAGS": ""} | WITHOUT[why]).items():
        monkeypatch.setenv(name, value)
    said: list[str] = []
    app = SimpleNamespace(display_warning=said.append)
    hook = SimpleNamespace(root=str(source), target_name="wheel", app=app, _made=None)
    data: dict[str, Any] = {"force_include": {}}
    old = source / "src" / BUILT
    try:
        HATCH_BUILD.SpeedupsHook.initialize(hook, version, data)
        HATCH_BUILD.SpeedupsHook.finalize(hook, version, data, "")
        assert old.exists() == (version == "standard")
    finally:
        old.write_bytes(OLD)
    assert data == {"force_include": {}}
    assert len(said) == 1
    assert said[0].startswith("limpet goes without its compiled part: ")


def test_a_build_fails_without_it_if_that_is_asked_for(source: Path, tmp_path: Path) -> None:
    """A wheel that is to be published must not be one without."""
    with pytest.raises(AssertionError, match="LIMPET_BUILD_SPEEDUPS=1 asks for it"):
        build(source, tmp_path, CC="no-such-compiler", LIMPET_BUILD_SPEEDUPS="1")


def test_the_source_archive_has_what_it_is_built_from(source: Path, tmp_path: Path) -> None:
    """And nothing compiled; it is made without a compiler."""
    archive, _ = build(source, tmp_path, "sdist", CC="no-such-compiler")
    with tarfile.open(archive) as opened:
        inside = {name.partition("/")[2] for name in opened.getnames()}
    assert {"src/limpet/_speedups.c", "hatch_build.py"} <= inside
    assert not [name for name in inside if name.endswith(".so")]


@pytest.mark.skipif(not can_compile(), reason="no C compiler or no headers of Python")
def test_a_failed_build_leaves_no_older_one_in_its_place(source: Path, tmp_path: Path) -> None:
    """Beside the source of an editable installation lies what was made of it, or nothing."""
    target = tmp_path / "_speedups.abi3.so"
    HATCH_BUILD.compile_speedups(source, target)
    assert target.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", "false")
        with pytest.raises(HATCH_BUILD.NotBuiltError, match="ended with 1"):
            HATCH_BUILD.compile_speedups(source, target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("platform", "implementation", "gil", "why"),
    [
        ("darwin", "CPython", 0, "it is for Linux alone"),
        ("linux", "PyPy", 0, "it is for CPython, and this is PyPy"),
        ("linux", "CPython", 1, "the limited API is not for builds without the GIL"),
        ("linux", "CPython", 0, ""),
    ],
)
def test_where_it_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, platform: str, implementation: str, gil: int, why: str
) -> None:
    """A compiler that would only fail is not started."""
    monkeypatch.setattr(HATCH_BUILD.sys, "platform", platform)
    monkeypatch.setattr(HATCH_BUILD.platform, "python_implementation", lambda: implementation)
    monkeypatch.setattr(HATCH_BUILD.sysconfig, "get_config_var", lambda _name: gil)
    assert HATCH_BUILD.why_not_here() == why


def test_published_wheels_are_built_with_it() -> None:
    """cibuildwheel fails where it cannot be compiled; the wheel for every system has none."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert settings["cibuildwheel"]["environment"] == {"LIMPET_BUILD_SPEEDUPS": "1"}
    assert {one.partition("-")[0] for one in settings["cibuildwheel"]["build"]} == {"cp311"}
    workflow = (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(workflow)["jobs"]
    assert any("cibuildwheel --output" in step.get("run", "") for step in jobs["compiled"]["steps"])
    (pure,) = [step for step in jobs["wheel"]["steps"] if "pip wheel" in step.get("run", "")]
    assert pure["env"] == {"LIMPET_BUILD_SPEEDUPS": "0"}


def test_the_numbers_of_the_interface_agree() -> None:
    """A compiled part of another number is left aside."""
    text = (ROOT / "src/limpet/_speedups.c").read_text(encoding="utf-8")
    found = re.search(r"^#define INTERFACE (\d+)", text, re.MULTILINE)
    assert found is not None
    assert int(found[1]) == _compiled.INTERFACE
