"""One command for each burst: with all paths, one at a time, and none is lost."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from limpet.cli._exec import Job, start_job
from limpet.cli._exec_batch import BatchRunner
from limpet.cli._watch_plan import Command
from tests.waiting import until

pytestmark = pytest.mark.anyio

NOTE = """
import os, sys
with open(sys.argv[1], "a") as file:
    paths = sys.stdin.buffer.read().replace(b"\\0", b"|").replace(b"\\n", b";").decode()
    file.write(" ".join([paths, *sys.argv[2:]]) + "\\n")
"""
"""Notes its standard input, then its arguments."""

STAY = NOTE + "\nimport time\nwhile not os.path.exists(sys.argv[1] + '.go'): time.sleep(0.01)\n"
"""Notes them, and stays until it is let go."""

QUIET = 0.02


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Reports(list[str]):
    async def add(self, message: str) -> None:
        self.append(message)


def job(*paths: str) -> Job:
    environment = {
        "LIMPET_PATH": paths[0],
        "LIMPET_ROOT": "/r",
        "LIMPET_EVENT_TYPE": "file.updated",
    }
    return Job(f"test {paths[0]}", set(), environment, b"{}", paths=paths)


def command(code: str, log: Path, *args: str, **ways: object) -> Command:
    argv = (sys.executable, "-Sc", code, str(log), *args)
    return Command(argv=argv, batch=True, **{"burst": QUIET, **ways})  # type: ignore[arg-type]


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


@asynccontextmanager
async def working(runner: BatchRunner) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(runner.work)
        yield
        group.cancel_scope.cancel()


async def submit(runner: BatchRunner, paths: Sequence[str]) -> None:
    for path in paths:
        await runner.submit(job(path))


async def test_a_burst_is_one_run(tmp_path: Path) -> None:
    """Each path once, in the order of the first event, as input and in place of ``{}``."""
    log = tmp_path / "log"
    runner = BatchRunner(command(NOTE, log, "{}"), report=Reports().add)
    await submit(runner, ["b", "a", "b", "c"])
    async with working(runner):
        await runner.drain()
    assert lines(log) == ["b;a;c; b a c"]
    assert (runner.failed, runner.waiting) == (0, 0)


async def test_a_burst_ends_with_a_quiet_time(tmp_path: Path) -> None:
    """Without anybody who drains it; the next event is another burst."""
    log = tmp_path / "log"
    runner = BatchRunner(command(NOTE, log), report=Reports().add)
    async with working(runner):
        await submit(runner, ["a", "b"])
        await until(lambda: lines(log) == ["a;b;"])
        await submit(runner, ["a"])
        await until(lambda: lines(log) == ["a;b;", "a;"])


async def test_a_burst_that_does_not_end_is_cut(tmp_path: Path) -> None:
    """The clock goes on, and something comes again and again."""
    log, now = tmp_path / "log", 100.0
    way = command(NOTE, log, burst=1e6)
    runner = BatchRunner(way, report=Reports().add, clock=lambda: now)
    await submit(runner, ["a"])
    now += 2e7  # twenty quiet times
    await submit(runner, ["b"])
    async with working(runner):
        await until(lambda: lines(log) == ["a;b;"])


async def test_what_comes_meanwhile_is_the_next_burst(tmp_path: Path) -> None:
    """However much: one run after the other, none beside it."""
    log = tmp_path / "log"
    runner = BatchRunner(command(STAY, log), report=Reports().add)
    async with working(runner):
        await submit(runner, ["a"])
        await until(lambda: lines(log) == ["a;"])
        await submit(runner, ["b"])
        await submit(runner, ["c", "a"])
        assert runner.waiting == 3
        (tmp_path / "log.go").touch()
        await until(lambda: lines(log) == ["a;", "b;c;a;"])
        await runner.drain()


async def test_skip_leaves_out_what_comes_meanwhile(tmp_path: Path) -> None:
    """And counts it."""
    log = tmp_path / "log"
    runner = BatchRunner(command(STAY, log, busy="skip"), report=Reports().add)
    async with working(runner):
        await submit(runner, ["a"])
        await until(lambda: lines(log) == ["a;"])
        await submit(runner, ["b", "c"])
        (tmp_path / "log.go").touch()
        await runner.drain()
    assert lines(log) == ["a;"]
    assert runner.skipped == 2


async def test_restart_runs_it_again_for_all_that_is_not_done(tmp_path: Path) -> None:
    """The ended command has not done its work: its paths come first."""
    log = tmp_path / "log"
    runner = BatchRunner(command(STAY, log, busy="restart"), report=Reports().add, grace=30)
    async with working(runner):
        await submit(runner, ["a"])
        await until(lambda: lines(log) == ["a;"])
        await submit(runner, ["b", "a"])
        await until(lambda: lines(log) == ["a;", "a;b;"])
        (tmp_path / "log.go").touch()
        await runner.drain()
    assert runner.failed == 0


async def test_a_server_that_is_restarted_for_ever_gathers_no_paths_without_end(
    tmp_path: Path,
) -> None:
    """Of those that were put back the oldest are left out."""
    log = tmp_path / "log"
    way = command(STAY, log, busy="restart", burst=0.0)
    runner = BatchRunner(way, report=Reports().add, limit=3)
    async with working(runner):
        for number, name in enumerate("abcde", 1):
            await submit(runner, [name])
            await until(lambda count=number: len(lines(log)) == count)  # type: ignore[misc]
        (tmp_path / "log.go").touch()
        await runner.drain()
    assert lines(log)[-1] == "c;d;e;"
    assert runner.skipped == 2


async def test_the_queue_has_a_bound(tmp_path: Path) -> None:
    """With as many paths a burst ends, and who has more waits."""
    log = tmp_path / "log"
    runner = BatchRunner(command(NOTE, log, burst=1e6), report=Reports().add, limit=2)
    async with working(runner), anyio.create_task_group() as group:
        group.start_soon(submit, runner, ["a", "b", "c"])
        await until(lambda: lines(log) == ["a;b;"])
        await until(lambda: runner.waiting == 1)
        await runner.drain()
    assert lines(log) == ["a;b;", "c;"]


async def test_the_start_is_a_burst_of_its_own(tmp_path: Path) -> None:
    """It waits for nothing."""
    log = tmp_path / "log"
    runner = BatchRunner(command(NOTE, log, "{}", burst=1e6), report=Reports().add)
    async with working(runner):
        await runner.submit(start_job([Path("/r"), Path("/s")], ["r", "s"], b"{}"))
        await until(lambda: lines(log) == ["r;s; r s"])


async def test_a_name_with_a_line_feed_is_not_two_lines(tmp_path: Path) -> None:
    """It is left out with a message, and the others are not; ``--null`` has it."""
    log, reports = tmp_path / "log", Reports()
    hostile = "x\n/etc/passwd"
    runner = BatchRunner(command(NOTE, log), report=reports.add)
    await submit(runner, ["a", hostile, "b"])
    async with working(runner):
        await runner.drain()
    assert lines(log) == ["a;b;"]
    assert reports == [r"x\n/etc/passwd: a path with a line feed is no line; see --null"]
    runner = BatchRunner(command(NOTE, log, null=True), report=reports.add)
    await submit(runner, ["a", hostile])
    async with working(runner):
        await runner.drain()
    assert lines(log)[1:] == ["a|x;/etc/passwd|"]
    runner = BatchRunner(command(NOTE, log, "{}"), report=reports.add)  # which has it as a word
    await submit(runner, [hostile])
    async with working(runner):
        await runner.drain()
    assert len(reports) == 1


async def test_more_paths_than_a_command_may_have_are_several(tmp_path: Path) -> None:
    """Each of them in one, none in two."""
    code = "import sys; open(sys.argv[1], 'a').write(f'{len(sys.argv) - 2}\\n')"
    log = tmp_path / "log"
    runner = BatchRunner(command(code, log, "{}"), report=Reports().add)
    await submit(runner, [f"{n:0200}" for n in range(1500)])
    async with working(runner):
        await runner.drain()
    counts = [int(line) for line in lines(log)]
    assert len(counts) > 1
    assert sum(counts) == 1500


async def test_a_command_that_fails_stops_nothing(tmp_path: Path) -> None:
    """A line says for how many paths it was, unless that is not wanted."""
    reports = Reports()
    for quiet in (False, True):
        way = command("import sys; sys.exit(3)", tmp_path / "log")
        runner = BatchRunner(way, report=reports.add, quiet=quiet)
        async with working(runner):
            await submit(runner, ["a", "b"])
            await runner.drain()
            await submit(runner, ["c"])
            await runner.drain()
        assert runner.failed == 2
    assert [report.rpartition(" ended with ")[2] for report in reports] == [
        "status 3, for 2 paths",
        "status 3, for 1 path",
    ]
