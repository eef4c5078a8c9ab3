"""Programs find the drop-ins in the place of the packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def program(text: str) -> str:
    done = run("-W", "error", "-c", text)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_later_import_finds_the_drop_in() -> None:
    """Of the package, and of each of its modules; twice is no error."""
    said = program(
        """
from limpet.compat import substitute
substitute("watchfiles")
substitute("watchfiles")
import watchfiles, watchfiles.main, watchfiles.cli
from watchfiles.filters import PythonFilter
import limpet.compat.watchfiles
assert watchfiles is limpet.compat.watchfiles
assert watchfiles.main is limpet.compat.watchfiles.main
print(PythonFilter.__module__, watchfiles.watch.__module__)
"""
    )
    assert said.split() == ["limpet.compat.watchfiles.filters", "limpet.compat.watchfiles.main"]


def test_one_package_alone() -> None:
    """The other stays what it is."""
    assert program(
        """
from limpet.compat import substitute
substitute("watchfiles")
import sys
print(any(name.startswith("watchdog") for name in sys.modules))
"""
    ).split() == ["False"]


def test_the_backend_of_that_name_still_works(tmp_path: Path) -> None:
    """It is what limpet itself watches with on macOS."""
    pytest.importorskip("watchfiles")
    assert "FileCreated" in program(
        f"""
from limpet.compat import substitute
substitute("watchfiles")
import limpet
with limpet.watch({os.fspath(tmp_path)!r}, backend="watchfiles").sync() as watch:
    open({os.fspath(tmp_path / "a")!r}, "w").close()
    print(type(watch.next(30)).__name__)
"""
    )


def test_too_late_is_an_error() -> None:
    """A program that has imported the package keeps it."""
    pytest.importorskip("watchfiles")
    done = run("-c", "import watchfiles; from limpet.compat import substitute as s; s()")
    assert "RuntimeError: watchfiles is imported already" in done.stderr


def test_what_has_no_drop_in() -> None:
    """The message has those there are."""
    from limpet.compat import substitute

    with pytest.raises(ValueError, match="no drop-in for 'inotify': there are watchfiles"):
        substitute("inotify")


def test_a_program_runs_over_the_drop_ins(tmp_path: Path) -> None:
    """A script and a module, with their arguments, their folder and their exit code."""
    (tmp_path / "beside.py").write_text("")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, watchfiles, watchdog.observers as o, beside\n"
        "print(__name__, sys.argv[1:], watchfiles.watch.__module__, o.Observer.__module__)\n"
        "sys.exit(3)\n"
    )
    for words in ([str(script)], ["script"], ["-m", "script"]):
        done = run("-m", "limpet.compat", *words, "--a", "b", cwd=tmp_path)
        assert done.returncode == 3, done.stderr
        assert done.stdout.startswith("__main__ ['--a', 'b'] limpet.compat.watchfiles.main limpet.")


def test_the_usage() -> None:
    """Without a program, and on request."""
    assert run("-m", "limpet.compat").returncode == 2
    done = run("-m", "limpet.compat", "--help")
    assert (done.returncode, done.stdout[:6]) == (0, "usage:")


def test_a_program_that_a_package_has_installed() -> None:
    """``ptw`` is no module: what its package says of it is called."""
    pytest.importorskip("pytest_watcher")
    done = run("-m", "limpet.compat", "ptw", "--help")
    assert (done.returncode, done.stdout[:6]) == (0, "usage:"), done.stderr


@pytest.mark.parametrize("words", [["missing"], ["missing.py"], ["-m", "ptw"], [".."], ["email"]])
def test_what_cannot_be_run(words: list[str]) -> None:
    """A line says so, without a traceback."""
    done = run("-m", "limpet.compat", *words)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot run {words[-1]!r} over the drop-ins")
