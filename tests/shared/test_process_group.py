"""A group of processes has ended once none of it lives, whether or not its dead are waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from limpet._process_group import end_group, group_exists
from tests.waiting import until_sync


class Leader:
    returncode: int | None = 0
    pid = 0

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    async def wait(self) -> int:
        return 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the dead from the living")
def test_the_dead_that_nobody_waits_for_are_not_waited_for() -> None:
    """The leader has ended; what is left of its group is a zombie of another process."""

    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        os._exit(0)
    leader = Leader()
    leader.pid = pid
    try:
        until_sync(lambda: Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z")
        os.killpg(pid, 0)  # kill(2) finds it
        assert not group_exists(leader)
        begin = time.monotonic()
        asyncio.run(end_group(leader, sleep=asyncio.sleep, grace=30))
        assert time.monotonic() - begin < 10
    finally:
        os.waitpid(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="see above")
def test_a_member_that_lives_is_waited_for() -> None:
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        signal.pause()
    leader = Leader()
    leader.pid = pid
    try:
        until_sync(lambda: os.getpgid(pid) == pid)
        assert group_exists(leader)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
