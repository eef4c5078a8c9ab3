"""Runs a command for each event: so many at once, those of a path in order, all ended at the end.

Every command gets a process group of its own, so that ending it ends what it started, and a Ctrl-C
on the terminal reaches limpet alone, which then ends them in order.
"""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import anyio
from anyio.abc import Process

from limpet.cli._event_text import escape
from limpet.cli._watch_plan import Command
from limpet.events import DirRenamed, EntryEvent, Event, FileRenamed, event_name

__all__ = ["Job", "Runner", "job_for", "next_ready"]

QUEUE: Final = 10_000
"""Events that may wait for a command; then no more are pulled, and the watch merges what happens
meanwhile: some 10 MB of JSON at most, and hours of work for any real command."""

GRACE_S: Final = 5.0
"""What a command gets between SIGTERM and SIGKILL: half of what container runtimes give limpet."""

VARIABLES: Final = frozenset({"LIMPET_EVENT_TYPE", "LIMPET_OLD_PATH", "LIMPET_PATH", "LIMPET_ROOT"})
"""What a command finds in its environment; the old path only of a rename."""

_LOOK_S: Final = 0.02
"""How often an ended command's group is looked at: the kernel does not tell when it is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One event on its way to a command."""

    title: str
    """What a message about it says: type and path, printable."""
    keys: frozenset[str]
    """Paths it is about; two jobs that share one are run one after the other, in order."""
    environment: dict[str, str]
    """Values of ``VARIABLES``."""
    payload: bytes
    """The event's JSON line, for standard input."""


def job_for(event: Event, payload: bytes) -> Job:
    """Give the job for an event, its wire JSON being ``payload``."""
    kind = event_name(type(event))
    path: Path = getattr(event, "path", event.location)
    environment = {
        "LIMPET_EVENT_TYPE": kind,
        "LIMPET_PATH": str(path),
        "LIMPET_ROOT": str(event.location),
    }
    keys = {str(path)} if isinstance(event, EntryEvent) else set()
    if isinstance(event, FileRenamed | DirRenamed):
        environment["LIMPET_OLD_PATH"] = str(event.source)
        keys.add(str(event.source))
    return Job(
        title=f"{kind} {escape(str(path))}",
        keys=frozenset(keys),
        environment=environment,
        payload=payload,
    )


def next_ready(waiting: deque[Job], running: set[str]) -> int | None:
    """Give the place of the first job that may start now; ``None`` if there is none.

    It must share no path with one that runs, nor with one that waits before it.
    """
    blocked = set(running)
    for at, job in enumerate(waiting):
        if blocked.isdisjoint(job.keys):
            return at
        blocked |= job.keys
    return None


class Runner:
    """Runs ``command`` for each job it is given; `work` must run as often as there are jobs.

    Args:
        command: What to run, how many at once, and what to do with an event while all run.
        report: Where a line about a command that failed goes.
        stdout: What commands have as standard output, as for ``subprocess.Popen``.
        limit: Jobs that may wait before `submit` does.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        command: Command,
        *,
        report: Callable[[str], Awaitable[None]],
        stdout: int | IO[bytes] | None = None,
        limit: int = QUEUE,
        grace: float = GRACE_S,
    ) -> None:
        self.failed = 0
        """Commands that could not be started or ended with another status than 0."""
        self.skipped = 0
        """Events left out by ``busy="skip"``, or superseded by a later one with ``restart``."""
        self._command = command
        self._report = report
        self._stdout = stdout
        self._limit = limit
        self._grace = grace
        self._waiting: deque[Job] = deque()
        self._running: set[str] = set()
        self._active = 0
        self._turn = anyio.Condition()
        self._current: anyio.CancelScope | None = None
        self._endings: set[anyio.CancelScope] = set()

    @property
    def waiting(self) -> int:
        """Jobs that were taken and not started."""
        return len(self._waiting)

    async def submit(self, job: Job) -> None:
        """Take a job, by the rule for when commands run: may wait, leave it out, or end one."""
        async with self._turn:
            match self._command.busy:
                case "queue":
                    while len(self._waiting) >= self._limit:
                        await self._turn.wait()
                case "skip":
                    if self._is_busy_for(job):
                        self.skipped += 1
                        return
                case "restart":
                    self.skipped += len(self._waiting)
                    self._waiting.clear()
                    if self._current is not None:
                        self._current.cancel()
            self._waiting.append(job)
            self._turn.notify_all()

    async def work(self) -> None:
        """Run jobs one after another, for ever; when cancelled, end the one that runs."""
        while True:
            job = await self._take()
            try:
                with anyio.CancelScope() as scope:
                    self._current = scope
                    await self._run(job)
            finally:
                self._current = None
                self._running -= job.keys
                self._active -= 1
                with anyio.CancelScope(shield=True):
                    async with self._turn:
                        self._turn.notify_all()

    async def drain(self) -> None:
        """Return once no job waits and none runs."""
        async with self._turn:
            while self._waiting or self._active:
                await self._turn.wait()

    def hurry(self) -> None:
        """Kill at once what is being ended gently."""
        for scope in self._endings:
            scope.cancel()

    def _is_busy_for(self, job: Job) -> bool:
        taken = self._active + len(self._waiting)
        ahead = self._running.union(*(other.keys for other in self._waiting))
        return taken >= self._command.jobs or not ahead.isdisjoint(job.keys)

    async def _take(self) -> Job:
        async with self._turn:
            while (at := next_ready(self._waiting, self._running)) is None:
                await self._turn.wait()
            job = self._waiting[at]
            del self._waiting[at]
            self._running |= job.keys
            self._active += 1
            self._turn.notify_all()
            return job

    async def _run(self, job: Job) -> None:
        """Run the command to its end, or end it when cancelled; say how it failed, if it did."""
        try:
            with _as_stdin(job.payload) as stdin, anyio.CancelScope(shield=True):
                # Shielded: a cancelled start would leave a process that nobody knows of.
                process = await anyio.open_process(
                    self._command.argv,
                    stdin=stdin,
                    stdout=self._stdout,
                    stderr=None,
                    env=_environment(job.environment),
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            self.failed += 1
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            await self._report(f"cannot start {self._shown()} for {job.title}: {why}")
            return
        try:
            status = await process.wait()
        except BaseException:
            await self._end(process)
            raise
        if status != 0:
            self.failed += 1
            await self._report(f"{self._shown()} {_fate(status)}, for {job.title}")

    async def _end(self, process: Process) -> None:
        """Ask the command and all it started to end, then make them."""
        with anyio.CancelScope(shield=True):
            _signal_group(process, "SIGTERM")
            with anyio.move_on_after(self._grace) as patience:
                self._endings.add(patience)
                await process.wait()
                while _group_exists(process.pid):  # noqa: ASYNC110 - nobody tells when it is empty
                    await anyio.sleep(_LOOK_S)
            self._endings.discard(patience)
            if patience.cancelled_caught:
                _signal_group(process, "SIGKILL")
            await process.wait()

    def _shown(self) -> str:
        return escape(shlex.join(self._command.argv))


@contextmanager
def _as_stdin(payload: bytes) -> Iterator[IO[bytes]]:
    """Give an open file without a name that holds ``payload``, at its beginning.

    Not a pipe: a command that never reads it can then keep nobody waiting. In memory where the
    system can (memfd_create(2)), for a watch of the temporary folder would see the other kind.
    """
    opened = (
        os.fdopen(os.memfd_create("limpet-event"), "w+b")
        if hasattr(os, "memfd_create")
        else tempfile.TemporaryFile()  # noqa: SIM115 - closed by the block below
    )
    with opened as file:
        file.write(payload)
        file.seek(0)
        yield file


def _environment(changes: dict[str, str]) -> dict[str, str]:
    """Give ours without what an outer limpet has set, and with the event's."""
    return {key: value for key, value in os.environ.items() if key not in VARIABLES} | changes


def _signal_group(process: Process, name: str) -> None:
    """Send a signal to the command's group; where there are no groups, end the command alone."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, getattr(signal, name))
        else:
            process.terminate()


def _group_exists(leader: int) -> bool:
    """Say whether anything the command started is left.

    The leader's number is not given out again while its group has members (setpgid(2)), so it is
    never another's; a group that has changed its user is not ours to wait for.
    """
    if not hasattr(os, "killpg"):
        return False
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _fate(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
