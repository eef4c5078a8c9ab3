"""Processes that the drop-in for watchfiles restarts; and its program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from limpet.compat.watchfiles import Change, arun_process, run_process
from limpet.compat.watchfiles.cli import build_filter, cli
from limpet.compat.watchfiles.run import import_string
from tests.waiting import until, until_sync

WRITER = """
import os, sys, time
def write(*words):
    with open(sys.argv[1] if not words else words[0], "a") as file:
        file.write(os.environ["WATCHFILES_CHANGES"] + "\\n")
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        pass
if __name__ == "__main__":
    write()
"""


@pytest.fixture(autouse=True)
def keep_handlers() -> Iterator[None]:
    """Put the handler of SIGTERM back, which ``run_process`` sets."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "of_the_test.py").write_text(WRITER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "of_the_test", raising=False)
    return tmp_path


def runs(log: Path) -> list[Any]:
    """Return what each start was handed."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line) for line in lines]


class EnoughError(Exception):
    """Ends the loop of a test."""


def arguments(home: Path, kind: str) -> dict[str, Any]:
    log = str(home / "log")
    if kind == "command":
        program = home / "of_the_test.py"
        return {"target": f"'{sys.executable}' '{program}' '{log}'"}
    if kind == "path":
        return {"target": "of_the_test.write", "args": (log,)}
    return {"target": import_string("of_the_test.write"), "args": (log,)}


@pytest.mark.parametrize("kind", ["command", "path", "function"])
def test_a_process_is_restarted(home: Path, kind: str) -> None:
    """With each set of changes, which it finds in its environment; in the end it is stopped."""
    log, path = home / "log", home / "src" / "a.py"
    seen: list[set[tuple[Change, str]]] = []

    def callback(changes: set[tuple[Change, str]]) -> None:
        until_sync(lambda: len(runs(log)) == len(seen) + 1)
        seen.append(changes)
        if len(seen) == 2:
            raise EnoughError

    writer = subprocess.Popen(
        [sys.executable, "-c", SAVES, str(log), str(path)], stdout=subprocess.DEVNULL
    )
    with pytest.raises(EnoughError):
        run_process(home / "src", callback=callback, step=20, **arguments(home, kind))
    writer.kill()
    writer.wait()
    assert runs(log)[0] == []
    assert runs(log)[1] == [[one.raw_str(), where] for one, where in seen[0]]
    assert "WATCHFILES_CHANGES" not in os.environ


SAVES = """
import os, sys, time
log, path = sys.argv[1:]
number = 0
while True:  # it is ended from outside
    if os.path.exists(log):
        number += 1
        with open(path, "w") as file:
            file.write(str(number))
    time.sleep(0.1)
"""


def test_arun_process(home: Path) -> None:
    """As its twin, with a callback that waits; a cancellation stops the process."""
    log = home / "log"
    seen: list[Any] = []

    async def callback(changes: set[tuple[Change, str]]) -> None:
        await anyio.sleep(0)
        seen.append(changes)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                lambda: arun_process(
                    home / "src", callback=callback, step=20, **arguments(home, "command")
                )
            )
            await until(lambda: len(runs(log)) == 1)
            number = 0

            def save() -> bool:
                nonlocal number
                number += 1
                (home / "src" / "a.py").write_text(str(number))
                return bool(seen)

            await until(save)
            await until(lambda: len(runs(log)) >= 2)
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert runs(log)[:1] == [[]]


def test_command_takes_no_arguments(home: Path) -> None:
    """What is no text is no command."""
    with pytest.raises(TypeError, match="must be a text"):
        run_process(home, target=print, target_type="command")


@pytest.mark.parametrize("text", ["missing.name", "os.missing", "nothing"])
def test_what_is_not_there_is_not_imported(text: str) -> None:
    """ImportError, with a message for the one who wrote the path."""
    with pytest.raises(ImportError):
        import_string(text)


@pytest.mark.skipif(os.name != "posix", reason="SIGINT and SIGTERM as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program(home: Path, number: signal.Signals) -> None:
    """It runs a command, restarts it, and ends with it at Ctrl-C and at SIGTERM."""
    log = home / "log"
    command = arguments(home, "command")["target"]
    program = subprocess.Popen(
        [sys.executable, "-m", "limpet.compat.watchfiles", command, str(home / "src")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    until_sync(lambda: len(runs(log)) == 1)
    number_of_saves = 0

    def saved() -> bool:
        nonlocal number_of_saves
        number_of_saves += 1
        (home / "src" / "a.py").write_text(str(number_of_saves))
        return len(runs(log)) >= 2

    until_sync(saved)
    program.send_signal(number)
    _, said = program.communicate(timeout=30)
    assert program.returncode == 0, said
    assert f'path="{(home / "src").resolve()}"' in said
    assert "detected" in said


def test_the_program_refuses(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path or a function that is not there."""
    with pytest.raises(SystemExit) as end:
        cli("true", str(home / "missing"))
    assert end.value.code == 1
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        cli("nowhere.to_be_found", str(home))
    assert end.value.code == 1
    assert "ImportError" in capsys.readouterr().err


def test_filters_of_the_program(home: Path) -> None:
    """By name, or by the dotted path of a function or a class."""
    ignored = str(home / "src")
    chosen, shown = build_filter("python", ignored)
    assert chosen is not None
    assert shown == "PythonFilter"
    assert not chosen(Change.added, str((home / "src").resolve() / "a.py"))
    assert chosen(Change.added, "/b.py")
    assert build_filter("all", None) == (None, "(no filter)")
    chosen, shown = build_filter("limpet.compat.watchfiles.DefaultFilter", ignored)
    assert shown == "DefaultFilter"
    chosen, shown = build_filter("of_the_test.write", None)
    assert callable(chosen)
    assert "write" in shown
