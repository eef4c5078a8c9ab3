"""Commands: each event gets one, in order for each path, and none is left at the end."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import pytest

from limpet._keyed_queue import KeyedQueue
from limpet._wire import to_json_line
from limpet.cli._exec import Job, Runner, job_for
from limpet.cli._watch_plan import Busy, Command
from limpet.events import Event, Rescanned
from tests.cli.fakes import ROOT, created, renamed
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def job(name: str, *keys: str) -> Job:
    return Job(
        title=f"test {name}",
        keys=frozenset(keys or {name}),
        environment={"LIMPET_PATH": name},
        payload=name.encode(),
    )


def python(code: str, *args: str) -> tuple[str, ...]:
    return (sys.executable, "-Sc", code, *args)


NOTE = "import os, sys; open(sys.argv[1], 'a').write(os.environ['LIMPET_PATH'] + '\\n')"
"""Adds the path to a file: appends of one line do not mix."""

STAY = """
import os, signal, sys, time
log = sys.argv[1]
def note(word):
    with open(log, "a") as file:
        file.write(word + os.environ["LIMPET_PATH"] + "\\n")
def end(*_):
    note("end ")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
note("start ")
while True:
    time.sleep(60)
"""
"""Notes that it has started, stays, and notes that it was asked to end."""


class Reports(list[str]):
    async def add(self, message: str) -> None:
        self.append(message)


@asynccontextmanager
async def running(runner: Runner, jobs: int = 1) -> AsyncIterator[None]:
    """Its workers, ended with the block."""
    async with anyio.create_task_group() as group:
        for _ in range(jobs):
            group.start_soon(runner.work)
        yield
        group.cancel_scope.cancel()


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_a_job_has_the_facts_of_its_event() -> None:
    """Type, path and root in the environment; of a rename both names, and both are its keys."""
    made = job_for(created("a\n"), b"{}")
    assert made.environment == {
        "LIMPET_EVENT_TYPE": "file.created",
        "LIMPET_PATH": "/srv/in/a\n",
        "LIMPET_ROOT": "/srv/in",
    }
    assert made.title == r"file.created /srv/in/a\n"
    moved = job_for(renamed("a", "b"), b"{}")
    assert moved.environment["LIMPET_OLD_PATH"] == "/srv/in/a"
    assert moved.keys == {"/srv/in/a", "/srv/in/b"}
    about = job_for(Rescanned(location=ROOT, time=1.0, seq=1, reason="overflow"), b"{}")
    assert about.environment["LIMPET_PATH"] == "/srv/in"
    assert about.keys == frozenset()


@pytest.mark.parametrize(
    ("waiting", "running", "expected"),
    [
        ([], set(), None),
        (["a", "b"], set(), 0),
        (["a", "b"], {"a"}, 1),
        (["a", "b"], {"a", "b"}, None),
        (["a", "a", "c"], {"a"}, 2),
        (["a", "ab", "b"], {"a"}, None),
    ],
)
def test_which_may_start(waiting: list[str], running: set[str], expected: int | None) -> None:
    """The first that shares no path with what runs, nor with what waits before it."""
    queue: KeyedQueue[Job] = KeyedQueue()
    for word in running:
        queue.add(job(word, word))
        queue.take()
    jobs = [job(word, *word) for word in waiting]
    for one in jobs:
        queue.add(one)
    assert (jobs.index(queue.take()) if queue.has_ready else None) == expected


async def test_a_command_gets_the_event(tmp_path: Path) -> None:
    """The wire object on its input, one line; type and paths in its environment, byte for byte."""
    code = """
import json, os, sys
variables = {k: os.fsencode(v).hex() for k, v in os.environ.items() if k.startswith("LIMPET_")}
json.dump([sys.stdin.buffer.read().decode(), variables], open(sys.argv[1], "w"))
"""
    event: Event = created("caf\udce9", content="text", content_mode="r")
    runner = Runner(Command(argv=python(code, str(tmp_path / "got"))), report=Reports().add)
    async with running(runner):
        await runner.submit(job_for(event, to_json_line(event, session="s")))
        await runner.drain()
    line, variables = json.loads((tmp_path / "got").read_text())
    assert line.count("\n") == 1
    assert json.loads(line)["content"]["text"] == "text"
    assert bytes.fromhex(variables["LIMPET_PATH"]) == b"/srv/in/caf\xe9"
    assert sorted(variables) == ["LIMPET_EVENT_TYPE", "LIMPET_PATH", "LIMPET_ROOT"]
    assert runner.failed == 0


async def test_an_outer_limpets_variables_are_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limpet run by a limpet: no old path where there is none; what is not ours is passed on."""
    monkeypatch.setenv("LIMPET_OLD_PATH", "/outer")
    monkeypatch.setenv("LIMPET_MINE", "kept")
    code = "import os, sys; open(sys.argv[1], 'w').write(' '.join(sorted(os.environ)))"
    runner = Runner(Command(argv=python(code, str(tmp_path / "got"))), report=Reports().add)
    async with running(runner):
        await runner.submit(job("a"))
        await runner.drain()
    names = (tmp_path / "got").read_text().split()
    assert "LIMPET_MINE" in names
    assert "LIMPET_OLD_PATH" not in names


async def test_a_command_need_not_read_its_input() -> None:
    """However long the event is."""
    runner = Runner(Command(argv=python("pass")), report=Reports().add)
    async with running(runner):
        big = Job(title="t", keys=frozenset(), environment={}, payload=b"x" * (1 << 22))
        await runner.submit(big)
        with anyio.fail_after(60):
            await runner.drain()
    assert runner.failed == 0


async def test_input_works_where_memory_files_do_not_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without memfd_create, a file without a name in the temporary directory is used."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    code = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    runner = Runner(Command(argv=python(code, str(tmp_path / "got"))), report=Reports().add)
    async with running(runner):
        await runner.submit(job("hello"))
        await runner.drain()
    assert (tmp_path / "got").read_text() == "hello"


async def test_a_command_that_fails_is_reported_and_the_next_one_runs(tmp_path: Path) -> None:
    """Status, signal, or why it could not be started, with the event it was for."""
    reports = Reports()
    code = (
        "import os, sys; p = os.environ['LIMPET_PATH']; "
        "p == 'b' and os.kill(os.getpid(), 9); p == 'd' and os.kill(os.getpid(), 40); "
        "sys.exit(3 if p == 'a' else 0)"
    )
    runner = Runner(Command(argv=python(code)), report=reports.add)
    async with running(runner):
        for name in "abcd":
            await runner.submit(job(name))
        await runner.drain()
    assert [line.rpartition("' ")[2] for line in reports] == [
        "ended with status 3, for test a",
        "was ended by SIGKILL, for test b",
        "was ended by signal 40, for test d",
    ]
    assert runner.failed == 3


@pytest.mark.parametrize("program", ["/no/such program", "a\0b"])
async def test_a_command_that_cannot_be_started_is_reported(program: str) -> None:
    """It may be there for the next event."""
    reports = Reports()
    runner = Runner(Command(argv=(program, "x")), report=reports.add)
    async with running(runner):
        await runner.submit(job("a"))
        await runner.drain()
    assert len(reports) == runner.failed == 1
    assert reports[0].startswith("cannot start ")
    assert "for test a: " in reports[0]


async def test_jobs_run_at_once_but_those_of_a_path_in_order(tmp_path: Path) -> None:
    """Of three jobs the first stays; the second, of its path, waits; the third overtakes both."""
    gate, log = tmp_path / "gate", tmp_path / "log"
    os.mkfifo(gate)
    code = (
        "import os, sys; p = os.environ['LIMPET_PATH']; "
        "p == 'a1' and open(sys.argv[2]).read(); open(sys.argv[1], 'a').write(p + '\\n')"
    )
    runner = Runner(Command(argv=python(code, str(log), str(gate)), jobs=2), report=Reports().add)
    async with running(runner, jobs=2):
        for name in ("a1", "a2", "b1"):
            await runner.submit(job(name, name[0]))
        await until(lambda: lines(log) == ["b1"])
        assert runner.waiting == 1
        await anyio.to_thread.run_sync(gate.write_text, "go")
        await runner.drain()
    assert lines(log) == ["b1", "a1", "a2"]


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    """When it is full, who brings the next job waits: nothing is lost, nothing grows."""
    gate, log = tmp_path / "gate", tmp_path / "log"
    os.mkfifo(gate)
    code = (
        "import os, sys; p = os.environ['LIMPET_PATH']; "
        "p == '0' and open(sys.argv[2]).read(); open(sys.argv[1], 'a').write(p + '\\n')"
    )
    runner = Runner(Command(argv=python(code, str(log), str(gate))), report=Reports().add, limit=2)
    taken: list[int] = []

    async def bring() -> None:
        for number in range(6):
            await runner.submit(job(str(number)))
            taken.append(number)

    async with running(runner), anyio.create_task_group() as group:
        group.start_soon(bring)
        await until(lambda: len(taken) == 3)
        await anyio.wait_all_tasks_blocked()
        assert (taken, runner.waiting) == ([0, 1, 2], 2)
        await anyio.to_thread.run_sync(gate.write_text, "go")
        await until(lambda: len(taken) == 6)
        await runner.drain()
    assert lines(log) == list("012345")


@pytest.mark.parametrize("busy", ["skip", "restart"])
async def test_an_event_while_the_command_runs(busy: Busy, tmp_path: Path) -> None:
    """``skip`` leaves it out; ``restart`` ends the command and runs it for the last event alone."""
    log = tmp_path / "log"
    reports = Reports()
    runner = Runner(Command(argv=python(STAY, str(log)), busy=busy), report=reports.add)
    async with running(runner):
        await runner.submit(job("a"))
        await until(lambda: lines(log) == ["start a"])
        for name in "bcd":
            await runner.submit(job(name))
        if busy == "restart":
            await until(lambda: "start d" in lines(log))
    expected = ["start a", "end a"]
    if busy == "restart":
        expected += ["start d", "end d"]
    assert lines(log) == expected
    assert runner.skipped == (3 if busy == "skip" else 2)
    assert reports == []


ORDERLY = """
import os, signal, sys, time
def note(word):
    with open(sys.argv[1], "a") as log:
        log.write(word + " " + name + "\\n")
def end(*_):
    note("asked")
    while not os.path.exists(sys.argv[1] + ".may-end"):
        time.sleep(0.01)
    note("end")
    sys.exit()
name = os.environ["LIMPET_PATH"]
signal.signal(signal.SIGTERM, end)
note("start")
time.sleep(600)
"""
"""Ends in order, once it may."""


async def test_a_third_event_leaves_the_first_command_its_grace(tmp_path: Path) -> None:
    """With ``restart`` each command is asked once, and is not killed by a later event."""
    log = tmp_path / "log"
    reports = Reports()
    command = Command(argv=python(ORDERLY, str(log)), busy="restart")
    runner = Runner(command, report=reports.add)
    async with running(runner):
        await runner.submit(job("a"))
        await until(lambda: lines(log) == ["start a"])
        await runner.submit(job("b"))
        await until(lambda: lines(log)[-1] == "asked a")
        await runner.submit(job("c"))
        await runner.submit(job("d"))
        (tmp_path / "log.may-end").touch()
        await until(lambda: "start d" in lines(log))
    assert lines(log)[:4] == ["start a", "asked a", "end a", "start d"]
    assert reports == []


async def test_a_loop_is_reported() -> None:
    """By the names of the command and of the path, once; the first scan is none."""
    reports = Reports()
    runner = Runner(Command(argv=("true",), busy="skip"), report=reports.add)
    for origin in ("initial", "live"):
        for number in range(70):
            event = dataclasses.replace(created("x"), time=number / 10, origin=origin)
            await runner.submit(job_for(event, b""))
    (said,) = reports
    assert said.startswith("true acted on 61 events of /srv/in/x within a minute")


async def test_skip_lets_other_paths_run_while_there_are_jobs(tmp_path: Path) -> None:
    """A second job for the path that runs is left out, another path's is not."""
    log = tmp_path / "log"
    runner = Runner(Command(argv=python(STAY, str(log)), jobs=2, busy="skip"), report=Reports().add)
    async with running(runner, jobs=2):
        for name in ("a", "a", "b", "c"):
            await runner.submit(job(name))
        await until(lambda: sorted(lines(log)) == ["start a", "start b"])
    assert runner.skipped == 2


STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: open(sys.argv[1] + ".asked", "w").close())
if os.fork():
    if sys.argv[2] == "leader leaves":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(600)
with open(sys.argv[1], "w") as file:
    file.write(str(os.getppid()) + " " + str(os.getpid()))
os.rename(sys.argv[1], sys.argv[1] + ".ready")
time.sleep(600)
"""
"""Two processes, of which one or both only note a SIGTERM, in a file."""


def ended(process: int) -> bool:
    """Return whether it is gone, or a zombie that its new parent has not reaped yet."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


@pytest.mark.parametrize("kind", ["nobody leaves", "leader leaves"])
@pytest.mark.parametrize("hurried", [False, True])
async def test_nothing_is_left_running(kind: str, hurried: bool, tmp_path: Path) -> None:
    """What does not end for SIGTERM is killed after the grace, or at once when hurried; so is what
    the command has started."""
    ready = tmp_path / "pids.ready"
    runner = Runner(
        Command(argv=python(STUBBORN, str(tmp_path / "pids"), kind)),
        report=Reports().add,
        grace=600 if hurried else 0.05,
    )
    async with anyio.create_task_group() as hurry:

        async def press() -> None:
            await until((tmp_path / "pids.asked").exists)
            runner.hurry()

        async with running(runner):
            await runner.submit(job("a"))
            await until(ready.exists)
            if hurried:
                hurry.start_soon(press)
        hurry.cancel_scope.cancel()
    for process in map(int, ready.read_text().split()):
        await until(partial(ended, process))


async def test_without_groups_the_command_alone_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no process groups."""
    log = tmp_path / "log"
    runner = Runner(Command(argv=python(STAY, str(log))), report=Reports().add)
    monkeypatch.delattr(os, "killpg")
    async with running(runner):
        await runner.submit(job("a"))
        await until(lambda: lines(log) == ["start a"])
    assert lines(log) == ["start a", "end a"]


async def test_a_command_is_apart_from_our_terminal(tmp_path: Path) -> None:
    """A Ctrl-C reaches limpet alone: the command leads a group of its own, and SIGPIPE is usual."""
    code = (
        "import os, signal, sys; open(sys.argv[1], 'w').write("
        "f'{os.getpgrp() == os.getpid()} {os.getsid(0) == os.getpid()}')"
    )
    runner = Runner(Command(argv=python(code, str(tmp_path / "got"))), report=Reports().add)
    async with running(runner):
        await runner.submit(job("a"))
        await runner.drain()
    assert (tmp_path / "got").read_text() == "True True"
    assert signal.SIGPIPE
