"""Groups of processes: all of a group is ended, gently first."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from limpet._process_group import end_group, group_exists, signal_group
from tests.waiting import until

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups")

CHILD = """
import os, signal, sys, time
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    open(sys.argv[2], "w").close()
time.sleep(600)
"""


async def start(kind: str, mark: Path) -> Process:
    argv = [sys.executable, "-c", CHILD, kind, str(mark)]
    process = await asyncio.create_subprocess_exec(*argv, start_new_session=True)
    await until(mark.exists)
    return process


def test_a_group_that_obeys_is_ended_by_sigterm(tmp_path: Path) -> None:
    """With the child that the leader has started."""

    async def main() -> None:
        process = await start("obedient", tmp_path / "mark")
        assert group_exists(process)
        await end_group(process, sleep=asyncio.sleep, grace=30)
        assert process.returncode == -signal.SIGTERM
        await until(lambda: not group_exists(process))
        signal_group(process, "SIGTERM")  # nothing is left to signal

    asyncio.run(main())


@pytest.mark.parametrize(("grace", "hurry"), [(0.1, False), (600.0, True)])
def test_a_group_that_does_not_obey_is_killed(tmp_path: Path, grace: float, *, hurry: bool) -> None:
    """After the grace, or as soon as the caller is in a hurry."""

    async def main() -> None:
        process = await start("stubborn", tmp_path / "mark")
        await end_group(process, sleep=asyncio.sleep, grace=grace, hurry=lambda: hurry)
        assert process.returncode == -signal.SIGKILL

    asyncio.run(main())


class Leader:
    """A process on a system without groups."""

    def __init__(self) -> None:
        self.pid = 1
        self.returncode: int | None = None

    def terminate(self) -> None:
        """Ignores it."""

    def kill(self) -> None:
        self.returncode = -9

    async def wait(self) -> int:
        assert self.returncode is not None
        return self.returncode


def test_without_groups_the_leader_alone_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    monkeypatch.delattr(os, "killpg")
    leader = Leader()
    assert group_exists(leader)
    asyncio.run(end_group(leader, sleep=asyncio.sleep, grace=0.01))
    assert leader.returncode == -9
    assert not group_exists(leader)
    signal_group(leader, "SIGTERM")
