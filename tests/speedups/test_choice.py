"""Which form of a function runs, and who says so."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import limpet
from limpet import _compiled
from limpet.cli import _doctor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="made for Linux alone")


def fitting(**more: object) -> ModuleType:
    """Return a compiled part as this version wants it, but for what is said."""
    functions = dict.fromkeys(_compiled.FUNCTIONS, len)
    return SimpleNamespace(  # type: ignore[return-value]
        **{"INTERFACE": _compiled.INTERFACE, **functions, **more}
    )


def without(name: str) -> ModuleType:
    module = fitting()
    delattr(module, name)
    return module


@pytest.fixture(autouse=True)
def _no_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(_compiled.SWITCH, raising=False)


def test_a_compiled_part_that_fits_is_used() -> None:
    """And then there is no reason against it."""
    module = fitting()
    assert _compiled.load(lambda _name: module) == (module, "")


@pytest.mark.parametrize(
    "module",
    [
        fitting(INTERFACE=_compiled.INTERFACE - 1),
        without("INTERFACE"),
        *map(without, _compiled.FUNCTIONS),
    ],
)
def test_one_of_another_version_is_left_aside(module: ModuleType) -> None:
    """By its number, or by a function that it does not have."""
    found, why = _compiled.load(lambda _name: module)
    assert (found, why) == (None, "it was built from another version of limpet")


def test_one_that_is_not_there_or_cannot_be_loaded_is_left_aside() -> None:
    """Another libc, another processor, an interpreter that takes none: Python runs."""

    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError(name)

    def broken(_name: str) -> ModuleType:
        message = "version `GLIBC_9' not found"
        raise ImportError(message)

    assert _compiled.load(missing) == (None, "it was not built when limpet was installed")
    assert _compiled.load(broken) == (None, "it cannot be loaded: version `GLIBC_9' not found")


def test_the_switch_and_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both without an attempt to load it."""

    def never(_name: str) -> ModuleType:
        raise AssertionError

    monkeypatch.setattr(sys, "platform", "darwin")
    assert _compiled.load(never) == (None, "it is for Linux alone")
    monkeypatch.setenv(_compiled.SWITCH, "0")
    assert _compiled.load(never) == (None, "LIMPET_SPEEDUPS=0")


PROGRAM = """
import json, sys, limpet
from limpet import _compiled
from limpet.watching.index import _statx
with limpet.watch_dir(sys.argv[1]).sync() as watch:
    stats = watch.stats()
print(json.dumps([stats.speedups, _compiled.WHY_NOT, type(_statx.statx_records).__name__]))
"""


def run(*argv: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, *argv],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("switch", ["", "0"])
def test_a_watch_and_the_doctor_say_which_form_runs(tmp_path: Path, switch: str) -> None:
    """What is said is what runs."""
    said, why, kind = json.loads(run("-c", PROGRAM, str(tmp_path), LIMPET_SPEEDUPS=switch))
    report = json.loads(
        run("-m", "limpet", "doctor", str(tmp_path), "--format=jsonl", LIMPET_SPEEDUPS=switch)
    )
    assert report["speedups"] == {"form": said, "reason": why}
    assert said == ("python" if why else "compiled")
    assert kind == ("function" if why else "builtin_function_or_method")
    if switch == "0":
        assert why == "LIMPET_SPEEDUPS=0"


@pytest.mark.parametrize("why", ["", "LIMPET_SPEEDUPS=0"])
def test_the_doctor_says_it_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """One line, with the reason where there is one."""
    monkeypatch.setattr(_doctor, "WHY_NOT", why)
    monkeypatch.setattr(_doctor, "form", lambda: "python" if why else "compiled")
    lines = list(_doctor._as_text(_doctor.examine(tmp_path)))
    assert ("speedups     python (LIMPET_SPEEDUPS=0)" if why else "speedups     compiled") in lines


def test_what_lies_beside_the_source_was_built_from_it() -> None:
    """A change of the C source is followed by `make speedups`."""
    if _compiled.SPEEDUPS is None:
        pytest.skip(_compiled.WHY_NOT)
    beside = Path(limpet.__file__).with_name("_speedups.c")
    if not beside.exists():
        pytest.skip("limpet is installed without its source")
    assert hashlib.sha256(beside.read_bytes()).hexdigest() == _compiled.SPEEDUPS.SOURCE


def test_every_function_is_there_twice() -> None:
    """The names that are asked for are those that have a Python form."""
    import limpet.backends._fanotify
    import limpet.backends._inotify
    import limpet.watching  # noqa: F401

    assert sorted(_compiled.PYTHON) == sorted(_compiled.FUNCTIONS)
