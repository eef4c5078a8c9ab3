"""Processes in a group of their own: signal the group, and end all of it.

On POSIX that is a process group of a session of its own. On Windows it is a job, and a process
group of the console, which gets Ctrl-Break in place of SIGTERM: a program that handles it ends in
order, another one at once. Ctrl-C on the console reaches limpet alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypedDict

from limpet._console import send_break
from limpet._job_object import Job, native_jobs

GRACE_S: Final = 5.0
"""Between SIGTERM and SIGKILL: half of what container runtimes give limpet itself."""

_POLL_S: Final = 0.02
"""How often an ending group is checked: the kernel does not report when it is empty."""


_SUSPENDED: Final = 0x4
"""CREATE_SUSPENDED (processthreadsapi.h)."""


class GroupOptions(TypedDict):
    """Of ``subprocess.Popen`` and its like."""

    start_new_session: bool
    creationflags: int


def group_options() -> GroupOptions:
    """Return how a leader of a group is started; ``adopt`` lets it run."""
    if sys.platform == "win32":
        flags = _SUSPENDED | subprocess.CREATE_NEW_PROCESS_GROUP
        return {"start_new_session": False, "creationflags": flags}
    return {"start_new_session": True, "creationflags": 0}


class GroupLeader(Protocol):
    """A process started with ``group_options``, by asyncio or by anyio."""

    @property
    def pid(self) -> int:
        """Its number, which is the number of its group."""

    @property
    def returncode(self) -> int | None:
        """Its exit code; ``None`` while it runs."""

    def terminate(self) -> None:
        """Ask the process to end."""

    def kill(self) -> None:
        """Kill the process."""

    async def wait(self) -> int:
        """Wait for its end."""


def adopt(leader: GroupLeader) -> Job | None:
    """Let a leader run that was just started; return its job, on Windows.

    Raises:
        OSError: It does not run, and is killed.
    """
    api = native_jobs()
    if api is None:
        return None
    try:
        return Job.of_suspended(leader.pid, api)
    except BaseException:
        with contextlib.suppress(OSError):
            leader.kill()
        raise


def signal_group(leader: GroupLeader, name: str, job: Job | None = None) -> None:
    """Send a signal to all of a group; where there are no signals, ask it to end, or end it.

    Args:
        leader: The leader of the group.
        name: The signal, such as ``SIGTERM``.
        job: Its job, on Windows.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(leader.pid, getattr(signal, name))
        elif name == "SIGTERM" and leader.returncode is None and send_break(leader.pid):
            pass
        elif job is not None:
            job.terminate()
        elif leader.returncode is None:
            end = leader.terminate if name == "SIGTERM" else leader.kill
            end()


def group_exists(leader: GroupLeader, job: Job | None = None) -> bool:
    """Return whether any process of a group is left.

    The number of the leader is not reused while its group has members (setpgid(2)), so it is never
    that of another group. A group that has changed its user is not ours to wait for.
    """
    if not hasattr(os, "killpg"):
        return leader.returncode is None or (job is not None and not job.is_empty)
    try:
        os.killpg(leader.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    # kill(2) finds the dead too, until they are waited for; in a container whose process 1 waits
    # for none of its orphans, that is for ever.
    return leader.returncode is None or _has_living(leader.pid)


def _has_living(group: int) -> bool:
    """Return whether a process of the group is not a zombie; True where the system does not tell.

    proc(5), ``/proc/pid/stat``: the state and the process group follow the name in parentheses.
    """
    try:
        numbers = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return True
    for number in numbers:
        try:
            with open(f"/proc/{number}/stat", "rb") as file:
                state, _, found = file.read().rpartition(b")")[2].split()[:3]
        except (OSError, ValueError):
            continue  # it ended meanwhile
        if int(found) == group and state not in {b"Z", b"X"}:
            return True
    return not numbers


async def end_group(
    leader: GroupLeader,
    *,
    sleep: Callable[[float], Awaitable[object]],
    job: Job | None = None,
    grace: float = GRACE_S,
    hurry: Callable[[], bool] = lambda: False,
) -> None:
    """Ask all of a group to end, then kill what is left; must not be cancelled.

    Args:
        leader: The leader of the group.
        sleep: ``asyncio.sleep`` or ``anyio.sleep``: whatever the caller runs on.
        job: Its job, on Windows; it is closed.
        grace: Seconds between SIGTERM and SIGKILL.
        hurry: Returns whether to kill the group now.
    """
    try:
        signal_group(leader, "SIGTERM", job)
        end = time.monotonic() + grace
        while group_exists(leader, job) and time.monotonic() < end and not hurry():
            await sleep(_POLL_S)
        signal_group(leader, "SIGKILL", job)
    finally:
        if job is not None:
            job.close()
    await leader.wait()
