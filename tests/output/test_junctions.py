"""Junctions of Windows itself: none is followed, whenever it comes. Runs where they can be made."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.attack import operations
from limpet.output import (
    CreateFile,
    DeleteDir,
    DeleteFile,
    Done,
    MakeDir,
    MoveFile,
    Operation,
    Output,
    OverwriteFile,
    Refused,
)


def make_junction(target: Path, junction: Path) -> None:
    """Make a junction, as ``mklink /J`` does; it needs no privilege.

    Raises:
        OSError: It cannot be made here.
    """
    _winapi: Any = __import__("_winapi")
    _winapi.CreateJunction(str(target), str(junction))


@cache
def why_not() -> str:
    """Return why no junction can be made here; empty if one can."""
    if sys.platform != "win32":
        return "no junctions: they are Windows'"
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder).resolve()
        (base / "target").mkdir()
        try:
            make_junction(base / "target", base / "junction")
        except OSError as error:
            return f"no junction can be made: FSCTL_SET_REPARSE_POINT is missing ({error})"
        try:
            is_one = bool(
                os.lstat(base / "junction").st_file_attributes & 0x400  # type: ignore[attr-defined, unused-ignore]
            )
        finally:
            os.rmdir(base / "junction")
        return "" if is_one else "no junction can be made: one that is made is a directory"


needs_junctions = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")

ATTACKER = r"""
import _winapi, contextlib, os, shutil, sys, threading
root, outside = sys.argv[1:]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
os.chdir(root)
count = 0


def is_junction():
    try:
        return os.lstat("d").st_file_attributes & 0x400
    except OSError:
        return False


while not ended.is_set():
    shutil.rmtree("away", ignore_errors=True)
    with contextlib.suppress(OSError):  # it is in use, or was never made
        os.rename("d", "away")
    with contextlib.suppress(OSError):
        _winapi.CreateJunction(outside, "d")
        count += 1
    while is_junction() and not ended.is_set():
        with contextlib.suppress(OSError):
            os.rmdir("d")
    with contextlib.suppress(OSError):
        os.rename("away", "d")
print(count)
"""
"""Renames what is attacked, puts a junction in its place, and undoes it, again and again."""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What nobody may touch."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "leaf").write_text("nobody touches this\n")
    return outside


def code(answer: Done | Refused) -> str:
    return "done" if isinstance(answer, Done) else answer.code


@needs_junctions
def test_no_junction_is_followed(tmp_path: Path, outside: Path) -> None:
    """On the way and at the end; the junction itself may be deleted and moved."""
    root = tmp_path / "root"
    root.mkdir()
    make_junction(outside, root / "j")
    asked: list[Operation] = [
        CreateFile(name="j/f", content="x"),
        OverwriteFile(name="j/leaf", content="x"),
        MakeDir(name="j/d"),
        DeleteFile(name="j/leaf"),
        MoveFile(name="j/leaf", target="mine"),
        DeleteDir(name="j"),
        OverwriteFile(name="j", content="x"),
    ]
    with Output(root) as out:
        assert {code(answer) for answer in out.perform_all(asked)} == {"symlink"}
        assert code(out.perform(MoveFile(name="j", target="k"))) == "done"
        assert code(out.perform(DeleteFile(name="k"))) == "done"
    assert list(root.iterdir()) == []
    assert [path.name for path in outside.iterdir()] == ["leaf"]


@needs_junctions
def test_an_attacker_with_junctions_gets_nothing_out(tmp_path: Path, outside: Path) -> None:
    """Another process swaps a folder for a junction as fast as the system lets it."""
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    attacker = subprocess.Popen(
        [sys.executable, "-c", ATTACKER, str(root), str(outside)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    answers: list[str] = []
    end = time.monotonic() + 20
    try:
        asked = operations("folder")
        with Output(root, clean=False) as out:
            while time.monotonic() < end and answers.count("symlink") < 50:
                answers += [code(out.perform(next(asked))) for _ in range(50)]
    finally:
        said, _ = attacker.communicate()
    assert int(said) > 0
    assert "symlink" in answers
    assert [path.name for path in outside.iterdir()] == ["leaf"]
    assert (outside / "leaf").read_text() == "nobody touches this\n"


@needs_junctions
def test_a_root_behind_a_junction_that_is_changed(tmp_path: Path, outside: Path) -> None:
    """The root's path is resolved when it is opened; what comes to its place is not followed."""
    root = tmp_path / "root"
    root.mkdir()
    with Output(root) as out:
        out.create("f", "x")
        with contextlib.suppress(OSError):  # refused while a handle is open below it
            root.rename(tmp_path / "away")
            make_junction(outside, root)
            assert code(out.perform(CreateFile(name="g", content="x"))) == "root-gone"
    assert [path.name for path in outside.iterdir()] == ["leaf"]
