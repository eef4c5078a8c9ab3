"""Watching, writing and following on each supported Python, and with the lowest dependencies.

Left out of the usual run: it makes a virtual environment for each. ``make test-pythons`` runs it.
"""

from __future__ import annotations

import functools
import re
import subprocess
import textwrap
import tomllib
from pathlib import Path

import pytest

from tests.bot.test_pythons import ROOT, VERSIONS, interpreter, plain

pytestmark = [pytest.mark.pythons, pytest.mark.timeout(600)]

TOOLS = ("hypothesis", "jsonschema", "pytest", "pytest-timeout", "pytest-xdist", "trio")
"""What the tests below need; the bots' packages are not there."""

TESTS = """
    tests/shared tests/watch/scenarios tests/watch/unit
    tests/speedups/test_directories.py tests/speedups/test_records.py tests/speedups/test_rows.py
    tests/speedups/test_statx.py
    tests/watch/kernel/test_other_loops_and_forks.py
    tests/output/test_operations.py tests/output/test_async_output.py
    tests/following/test_fault_table.py tests/following/test_shells.py
    tests/intake/test_inbox.py tests/intake/test_model.py tests/intake/test_sync_inbox.py
    tests/compat/test_watchdog.py tests/compat/test_watchfiles.py
    tests/compat/test_watchfiles_processes.py
    """.split()

LOWEST = "3.11"
"""The version on which the lowest dependencies are tried: all of them have wheels for it."""


def lowest() -> list[str]:
    """Return the lowest version that ``pyproject.toml`` allows of each dependency of the core."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["watchfiles"]]
    named += project["optional-dependencies"]["cli"] + project["optional-dependencies"]["nats"]
    named += [one for one in project["optional-dependencies"]["webhook"] if "httpx2" in one]
    return sorted({one.partition(";")[0].strip().replace(">=", "==") for one in named})


@functools.cache
def environment(home: Path, version: str, *, is_lowest: bool) -> str:
    """Return the interpreter of an environment with limpet and what its tests need."""
    found = interpreter(version)
    if found is None:
        pytest.skip(f"no Python {version} here")
    subprocess.run([found, "-m", "venv", str(home)], check=True, env=plain())
    made = str(home / "bin" / "python")
    pip = [made, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    limit = [] if is_lowest else ["--constraint", str(ROOT / "constraints.txt")]
    wanted = [f"{ROOT}[watchfiles]", *TOOLS, *(lowest() if is_lowest else ())]
    subprocess.run([*pip, *wanted, *limit], check=True, env=plain())
    return made


@pytest.fixture(scope="module", params=[*VERSIONS, f"{LOWEST} with the lowest dependencies"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    version, _, is_lowest = str(request.param).partition(" ")
    home = tmp_path_factory.mktemp(f"core{version}")
    return environment(home, version, is_lowest=bool(is_lowest))


def run(python: str, *argv: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *argv], capture_output=True, text=True, check=False, cwd=cwd, env=plain()
    )


def test_the_core_works(python: str) -> None:
    """The tests that need no bot and no hub; every warning is an error in them."""
    done = run(
        python, "-m", "pytest", "-q", "-n2", "-p", "no:cacheprovider", "--timeout=60", *TESTS
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 1000, done.stdout[-8000:]


LEFT_OPEN = """
import limpet, sys, tempfile
d = tempfile.mkdtemp()
watch = limpet.watch_dir(d, backend=sys.argv[1], poll_interval=0.05).sync()
watch.__enter__()
open(d + "/a", "w").close()
print(type(watch.next(timeout=20)).__name__)
"""


@pytest.mark.parametrize("backend", ["auto", "inotify", "watchfiles", "poll"])
def test_a_script_may_end_with_its_watch_open(python: str, tmp_path: Path, backend: str) -> None:
    """Python 3.14 raises where a thread is joined at the end (``PythonFinalizationError``)."""
    done = run(python, "-W", "error", "-c", LEFT_OPEN, backend, cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "FileCreated\n")


FILTERED = """
import asyncio, limpet, sys
async def main():
    async with limpet.watch_dir(sys.argv[1], include="*.txt", exclude=["*.tmp", "[[a]x"]) as watch:
        open("a.txt", "w").close()
        print((await anext(watch)).path.name)
asyncio.run(main())
"""


def test_a_filter_warns_of_nothing(python: str, tmp_path: Path) -> None:
    """pathspec before 1.0 has another name for the same syntax, and warns of the new one."""
    done = run(python, "-W", "error", "-c", FILTERED, str(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "a.txt\n")


IN_A_SUB_INTERPRETER = """
import asyncio, limpet, os, tempfile
d = tempfile.mkdtemp(); log = d + "/log"; open(log, "w").write("a\\\\n")
def seen(call):
    try: return call()
    except limpet.UnsupportedError as error: return "UnsupportedError " + str(error)
async def entered(thing):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    try:
        async with thing: return "entered"
    finally:
        if before: assert len(os.listdir("/proc/self/fd")) == before
async def written():
    async with limpet.open_output(d) as out: return (await out.append("o", "x")).ok
def watched():
    with limpet.watch_dir(d).sync() as watch:
        open(d + "/f", "w").close()
        return type(watch.next(timeout=20)).__name__
print(seen(lambda: asyncio.run(written())))
print(seen(watched))
print(seen(lambda: asyncio.run(entered(limpet.watch_dir(d)))))
print(seen(lambda: asyncio.run(entered(limpet.follow(log)))))
print(seen(lambda: next(iter(limpet.follow(log).sync()))))
print(seen(lambda: limpet.watch_dir(d, backend="watchfiles").sync().next(timeout=0)))
"""


def test_a_sub_interpreter_works_or_says_what_does(python: str, tmp_path: Path) -> None:
    """It allows no daemon threads; before 3.13 it cannot load ctypes."""
    version = run(python, "-c", "import sys; print(sys.version_info >= (3, 13))").stdout.strip()
    if version != "True":
        pytest.skip("sub-interpreters load ctypes since Python 3.13")
    program = textwrap.dedent(
        f"""
        import _interpreters as interpreters
        made = interpreters.create()
        failed = interpreters.run_string(made, {IN_A_SUB_INTERPRETER!r})
        assert failed is None, failed.formatted
        """
    )
    done = run(python, "-c", program, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    output, watch, *refused = done.stdout.splitlines()
    assert (output, watch) == ("True", "FileCreated")
    assert [line.partition(" ")[0] for line in refused] == ["UnsupportedError"] * 4
    assert "use its sync() form here" in refused[0]
    assert all("in the main interpreter" in line for line in refused[:3])
    assert "sub-interpreter" in refused[3]


def test_the_versions_are_those_that_are_claimed() -> None:
    """A classifier without a run here would be a promise that nobody has tried."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert tuple(claimed) == VERSIONS
