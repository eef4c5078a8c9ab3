"""A job of Windows: what is started in it is ended with it, and runs in any case."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from limpet import _process_group
from limpet._job_object import Job
from limpet._process_group import adopt, end_group, group_exists, group_options, signal_group


class Jobs:
    """Windows, as far as jobs go: the calls that were made, and what is left in the job."""

    def __init__(self, *, fails: str = "") -> None:
        self.calls: list[str] = []
        self.fails = fails
        self.open: set[int] = set()
        self.inside = 0
        self.kills = False
        self.runs = False

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails:
            raise OSError(13, "Access is denied")

    def create(self) -> int:
        self._called("create")
        self.open.add(1)
        return 1

    def set_kill_on_close(self, job: int, *, kills: bool) -> None:
        self._called("keep" if not kills else "kill on close")
        self.kills = kills

    def open_process(self, pid: int) -> int:
        self._called("open")
        self.open.add(2)
        return 2

    def assign(self, job: int, process: int) -> None:
        assert (job, process) == (1, 2)
        assert not self.runs, "it may have a child by now"
        self._called("assign")
        self.inside = 2  # the process, and one that it starts

    def resume(self, process: int) -> None:
        self._called("resume")
        self.runs = True

    def terminate(self, job: int, status: int) -> None:
        self._called("terminate")
        self.inside = 0

    def count(self, job: int) -> int:
        assert job in self.open
        return self.inside

    def close(self, handle: int) -> None:
        self.open.remove(handle)
        if handle == 1 and self.kills:
            self.inside = 0


def test_a_process_is_in_its_job_before_it_runs() -> None:
    """So nothing that it starts is outside."""
    jobs = Jobs()
    job = Job.of_suspended(42, jobs)
    assert job is not None
    assert jobs.calls == ["open", "create", "kill on close", "assign", "resume"]
    assert jobs.open == {1}


@pytest.mark.parametrize("fails", ["create", "kill on close", "assign"])
def test_without_a_job_it_runs_all_the_same(fails: str, caplog: pytest.LogCaptureFixture) -> None:
    """Windows 7 has no nested jobs; the log says what that means."""
    jobs = Jobs(fails=fails)
    assert Job.of_suspended(42, jobs) is None
    assert jobs.runs
    assert jobs.open == set()
    assert "its own children are kept" in caplog.text


@pytest.mark.parametrize("fails", ["open", "resume"])
def test_one_that_does_not_run_leaves_nothing(fails: str) -> None:
    jobs = Jobs(fails=fails)
    with pytest.raises(OSError, match="denied"):
        Job.of_suspended(42, jobs)
    assert jobs.open == set()
    assert jobs.inside == 0


def test_what_a_command_leaves_behind_is_kept() -> None:
    """It has ended by itself, as on other systems, where its group is left alone then."""
    jobs = Jobs()
    job = Job.of_suspended(42, jobs)
    assert job is not None
    jobs.inside = 1
    job.release()
    assert jobs.inside == 1
    assert jobs.open == set()
    job.close()


def test_a_closed_job_ends_all_in_it() -> None:
    """So does the end of limpet, however it comes: the system closes the handle."""
    jobs = Jobs()
    job = Job.of_suspended(42, jobs)
    assert job is not None
    assert not job.is_empty
    job.close()
    assert jobs.inside == 0
    assert job.is_empty
    job.terminate()
    job.close()
    assert "terminate" not in jobs.calls


class Leader:
    """A started process."""

    pid = 42

    def __init__(self) -> None:
        self.returncode: int | None = None
        self.done: list[str] = []

    def terminate(self) -> None:
        self.done.append("terminate")

    def kill(self) -> None:
        self.done.append("kill")

    async def wait(self) -> int:
        self.returncode = 1
        return 1


class Console:
    """The console: takes Ctrl-Break, or is not there."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.sent: list[int] = []

    def send_break(self, group: int) -> bool:
        if self.there:
            self.sent.append(group)
        return self.there


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A system that has a console in place of process groups."""
    console = Console()
    monkeypatch.delattr(os, "killpg", raising=False)
    monkeypatch.setattr(_process_group, "send_break", console.send_break)
    return console


def test_a_command_gets_ctrl_break_first(console: Console) -> None:
    """One that handles it ends in order; what is left after the grace is ended with its job."""
    jobs, leader = Jobs(), Leader()
    job = Job.of_suspended(42, jobs)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            leader.returncode, jobs.inside = 0, 0

    asyncio.run(end_group(leader, sleep=sleep, job=job, grace=30))
    assert console.sent == [42]
    assert len(pauses) == 3
    assert jobs.open == set()


def test_one_that_ignores_it_is_ended_with_all_that_it_started(console: Console) -> None:
    jobs, leader = Jobs(), Leader()
    job = Job.of_suspended(42, jobs)
    asyncio.run(end_group(leader, sleep=asyncio.sleep, job=job, grace=0.05))
    assert console.sent == [42]
    assert jobs.calls[-1] == "terminate"
    assert jobs.inside == 0


def test_without_a_console_it_is_ended_at_once(console: Console) -> None:
    """A service or a scheduled task has none: nothing can be asked."""
    console.there = False
    jobs, leader = Jobs(), Leader()
    signal_group(leader, "SIGTERM", Job.of_suspended(42, jobs))
    assert jobs.calls[-1] == "terminate"
    signal_group(leader, "SIGTERM")
    assert leader.done == ["terminate"]


def test_a_group_lives_as_long_as_anything_in_its_job(console: Console) -> None:
    jobs, leader = Jobs(), Leader()
    job = Job.of_suspended(42, jobs)
    leader.returncode = 0
    jobs.inside = 1
    assert group_exists(leader, job)
    jobs.inside = 0
    assert not group_exists(leader, job)
    assert not group_exists(leader)
    assert console.sent == []


def test_a_leader_that_cannot_run_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspended process would stay for ever."""
    leader = Leader()
    monkeypatch.setattr(_process_group, "native_jobs", lambda: Jobs(fails="resume"))
    with pytest.raises(OSError, match="denied"):
        adopt(leader)
    assert leader.done == ["kill"]


def test_each_system_starts_a_group_in_its_own_way() -> None:
    options = group_options()
    assert options["start_new_session"] == (sys.platform != "win32")
    assert options["creationflags"] == (0x204 if sys.platform == "win32" else 0)
