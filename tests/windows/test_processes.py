"""Commands and signals in the CPython for Windows: none is left, and each end is in order."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE, until_sync
from tests.windows.shim import is_wine

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGBREAK"), reason="no jobs and no SIGBREAK: they are Windows'"
)

TREE = """
import subprocess, sys, time
null = subprocess.DEVNULL  # what it left open would be waited for, by Python before 3.13.1
sleeping = [sys.executable, "-c", "import time; time.sleep(300)"]
child = subprocess.Popen(sleeping, stdin=null, stdout=null, stderr=null)
with open(sys.argv[1], "w") as file:
    file.write(f"{child.pid} ok")
time.sleep(0 if sys.argv[2:] else 300)
"""
"""A command that starts another; with a second argument it ends and leaves it."""

RUNNING = """
import asyncio, os, sys
from limpet.bot._run_command import run_command

async def main():
    argv = [sys.executable, "-c", *sys.argv[2:]]
    options = dict(payload=b"", directory=None, max_output=100, grace=0.2)
    running = run_command(argv, environment=os.environ, timeout=None, **options)
    try:
        async with asyncio.timeout(None) as limit:
            task = asyncio.ensure_future(running)
            while sys.argv[1] == "limited" and not os.path.exists(sys.argv[3]):
                await asyncio.sleep(0.02)
            if sys.argv[1] == "limited":
                limit.reschedule(0)  # it has had its time, now that it has a child
            print("status", (await task).status, flush=True)
    except TimeoutError:
        print("timeout", flush=True)

asyncio.run(main())
"""

LIMPET = """
import _thread, ctypes, os, signal, sys, threading, time
from limpet.__main__ import main

def trip():
    while not os.path.exists(go):
        time.sleep(0.02)
    if name == "close":
        ctypes.WinDLL("kernelbase").CtrlRoutine(ctypes.c_void_p(2))  # as the system's thread does
    else:
        _thread.interrupt_main(getattr(signal, name))

go, name, *sys.argv = sys.argv[1:]
threading.Thread(target=trip, daemon=True).start()
sys.exit(main())
"""
"""The program ``limpet``; once a file appears, the signal comes."""


def program(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start this Python."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, **options)


def is_alive(pid: int) -> bool:
    """Return whether a process runs (WaitForSingleObject)."""
    kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined, unused-ignore]
    kernel.OpenProcess.restype = ctypes.c_void_p
    kernel.WaitForSingleObject.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    kernel.CloseHandle.argtypes = [ctypes.c_void_p]
    handle = kernel.OpenProcess(0x100000, 0, pid)
    if not handle:
        return False
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == 0x102)
    finally:
        kernel.CloseHandle(handle)


def pid_in(file: Path) -> int:
    """Return the number that a command writes, once it is there."""
    until_sync(lambda: file.exists() and file.read_text().endswith("ok"), "the command started")
    return int(file.read_text().split()[0])


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Path]:
    """Where the number of the command's own child is written; it is ended afterwards."""
    file = tmp_path / "child"
    yield file
    pid = pid_in(file)
    if is_alive(pid):
        os.kill(pid, signal.SIGTERM)  # TerminateProcess


def test_a_command_that_takes_too_long_is_ended_with_its_children(child: Path) -> None:
    running = program("-c", RUNNING, "limited", TREE, child, stdout=subprocess.PIPE)
    pid = pid_in(child)
    said, _ = running.communicate(timeout=PATIENCE)
    assert said.split() == [b"timeout"]
    until_sync(lambda: not is_alive(pid), "the child ended")


def test_no_command_is_left_when_limpet_is_killed(child: Path) -> None:
    """As ``taskkill /F`` does: nothing of limpet runs any more, and the system ends the job."""
    running = program("-c", RUNNING, "free", TREE, child)
    pid = pid_in(child)
    assert is_alive(pid)
    running.kill()
    running.wait(PATIENCE)
    until_sync(lambda: not is_alive(pid), "the child ended")


def test_what_a_command_leaves_behind_goes_on(child: Path) -> None:
    """It ended by itself, and what it left is not ours, as on other systems."""
    running = program("-c", RUNNING, "free", TREE, child, "leave", stdout=subprocess.PIPE)
    pid = pid_in(child)
    said, _ = running.communicate(timeout=PATIENCE)
    assert said.split() == [b"status", b"0"]
    assert is_alive(pid)


def wait_for(file: Path, text: str) -> None:
    until_sync(lambda: text in file.read_text(errors="replace"), lambda: file.read_text())


@pytest.mark.parametrize(
    ("command", "name", "code"), [("watch", "SIGINT", 130), ("follow", "SIGBREAK", 149)]
)
def test_a_signal_ends_a_run_in_order(tmp_path: Path, command: str, name: str, code: int) -> None:
    """128 and the number, which of SIGBREAK (Ctrl-Break, a console that closes) is 21."""
    place = tmp_path / "in"
    place.mkdir()
    (place / "log").write_text("line\n")
    target = place / "log" if command == "follow" else place
    more = ["--backend", "poll", "--existing"] if command == "watch" else ["--from-start"]
    errors, output, go = (tmp_path / one for one in ("err", "out", "go"))
    with errors.open("wb") as err, output.open("wb") as out:
        running = program(
            *("-c", LIMPET, go, name, "limpet", command, target, *more),
            stdout=out,
            stderr=err,
        )
        wait_for(output, "log" if command == "watch" else "line")
        go.write_text("")
        assert running.wait(PATIENCE) == code
    assert "Traceback" not in errors.read_text()


def test_a_signal_ends_the_command_of_a_watch_with_its_children(
    tmp_path: Path, child: Path
) -> None:
    place = tmp_path / "in"
    place.mkdir()
    (place / "file").write_text("x")
    script = tmp_path / "tree.py"
    script.write_text(TREE)
    running = program(
        *("-c", LIMPET, tmp_path / "go", "SIGBREAK", "limpet", "watch", place, "--existing"),
        *("--backend", "poll", "--exec", sys.executable, script, child),
        stderr=subprocess.PIPE,
    )
    pid = pid_in(child)
    (tmp_path / "go").write_text("")
    said = running.communicate(timeout=PATIENCE)[1]
    assert running.returncode == 149, said
    until_sync(lambda: not is_alive(pid), "the child ended")


@pytest.mark.parametrize(
    "name",
    [
        "SIGBREAK",
        pytest.param(
            "close",
            marks=pytest.mark.skipif(
                not is_wine(), reason="what the system calls can be called in Wine alone"
            ),
        ),
    ],
)
def test_a_bot_stops_in_order(tmp_path: Path, name: str) -> None:
    """At Ctrl-Break, and when the console closes: exit code 0, as at SIGTERM elsewhere.

    The system's call is held off meanwhile, and does not hold up the end.
    """
    pytest.importorskip("mewbot")
    made = program("-m", "limpet", "new", "inbox", cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert made.wait(PATIENCE) == 0
    (tmp_path / "inbox").mkdir(exist_ok=True)
    errors = tmp_path / "err"
    with errors.open("wb") as err:
        running = program(
            *("-c", LIMPET, tmp_path / "go", name, "limpet", "run", "inbox.yaml"),
            stderr=err,
            stdout=err,
            cwd=tmp_path,
        )
        wait_for(errors, "running: ")
        (tmp_path / "go").write_text("")
        code = running.wait(PATIENCE / 2)  # the handler waits for longer than that
    assert code == 0, errors.read_text()
    assert "SIGBREAK: stopping" in errors.read_text()
