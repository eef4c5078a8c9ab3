"""Runs a command for each event: a number of them at once, those of one path in order.

Every command gets a process group of its own, so that ending it ends what it started, and a Ctrl-C
on the terminal reaches limpet alone, which then ends them cleanly.
"""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import anyio

from limpet._keyed_queue import KeyedItem, KeyedQueue
from limpet._loop_guard import LoopGuard, loop_text
from limpet._process_group import GRACE_S, adopt, end_group, group_options
from limpet.cli._event_text import escape
from limpet.cli._watch_plan import Command
from limpet.events import DirRenamed, EntryEvent, Event, FileRenamed, event_name

QUEUE: Final = 10_000
"""Events that may wait for a command; then no more are pulled, and the watch merges what happens
meanwhile: some 10 MB of JSON at most, and hours of work for any real command."""

VARIABLES: Final = frozenset({"LIMPET_EVENT_TYPE", "LIMPET_OLD_PATH", "LIMPET_PATH", "LIMPET_ROOT"})
"""What a command finds in its environment; the old path only of a rename."""


class Job(KeyedItem):
    """One event for a command; two jobs that share a path run one after the other, in order."""

    __slots__ = ("environment", "payload", "time", "title")

    def __init__(
        self,
        title: str,
        keys: Collection[str],
        environment: dict[str, str],
        payload: bytes,
        *,
        time: float | None = None,
    ) -> None:
        """Create a job for an event about the paths ``keys``."""
        super().__init__(keys)
        self.time = time
        """When the event was noticed, if it may be one of a loop."""
        self.title = title
        """Type and path for messages, printable."""
        self.environment = environment
        """Values of ``VARIABLES``."""
        self.payload = payload
        """The event's JSON line, for standard input."""


def job_for(event: Event, payload: bytes) -> Job:
    """Return the job for an event whose wire JSON is ``payload``."""
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
    may_loop = isinstance(event, EntryEvent) and event.origin != "initial"
    title = f"{kind} {escape(str(path))}"
    return Job(title, keys, environment, payload, time=event.time if may_loop else None)


class Runner:
    """Runs a command for each job; a worker (`work`) runs one command at a time."""

    def __init__(
        self,
        command: Command,
        *,
        report: Callable[[str], Awaitable[None]],
        stdout: int | IO[bytes] | None = None,
        limit: int = QUEUE,
        grace: float = GRACE_S,
    ) -> None:
        """Create a runner without workers.

        Args:
            command: What to run, how many at once, and what to do with an event while all run.
            report: Takes a line about a command that failed.
            stdout: Standard output of commands, as for ``subprocess.Popen``.
            limit: Jobs that may wait before `submit` does.
            grace: Seconds between SIGTERM and SIGKILL.
        """
        self.failed = 0
        """Commands that could not be started or ended with a status other than 0."""
        self.skipped = 0
        """Events left out by ``busy="skip"``, or superseded by a later one with ``restart``."""
        self._command = command
        self._shown = escape(shlex.join(command.argv))
        self._report = report
        self._stdout = stdout
        self._limit = limit
        self._grace = grace
        self._queue: KeyedQueue[Job] = KeyedQueue()
        self._turn = anyio.Condition()
        self._current: anyio.CancelScope | None = None
        self._is_hurried = False
        self._loops = LoopGuard()

    @property
    def waiting(self) -> int:
        """Number of jobs that are not started."""
        return len(self._queue)

    async def submit(self, job: Job) -> None:
        """Add a job, by the rule for when commands run: may wait, leave it out, or end one."""
        await self._warn_of_loops(job)
        async with self._turn:
            match self._command.busy:
                case "queue":
                    while len(self._queue) >= self._limit:
                        await self._turn.wait()
                case "skip":
                    if self._is_busy_for(job):
                        self.skipped += 1
                        return
                case "restart":
                    while self._queue.has_ready:  # with one worker none is blocked by another
                        self._queue.finish(self._queue.take())
                        self.skipped += 1
                    if self._current is not None:
                        self._current.cancel()
            if self._command.jobs == 1:
                job.keys = ()  # all run in the order of their events
            self._queue.add(job)
            self._turn.notify_all()

    async def work(self) -> None:
        """Run jobs one after another until cancelled, which also ends the command that runs."""
        while True:
            job = await self._take()
            try:
                with anyio.CancelScope() as scope:
                    self._current = scope
                    await self._run(job)
            finally:
                self._current = None
                with anyio.CancelScope(shield=True):
                    async with self._turn:
                        self._queue.finish(job)
                        self._turn.notify_all()

    async def drain(self) -> None:
        """Return once no job waits and none runs."""
        async with self._turn:
            while not self._queue.is_idle:
                await self._turn.wait()

    def hurry(self) -> None:
        """Kill the commands that are being ended, and from now on without a grace."""
        self._is_hurried = True

    async def _warn_of_loops(self, job: Job) -> None:
        """Report that events of a path come faster than most programs cause them."""
        if job.time is None:
            return
        what = job.environment["LIMPET_PATH"]
        count = self._loops.count(what, job.time)
        if not count and job.environment["LIMPET_EVENT_TYPE"] == "file.created":
            what = os.path.dirname(what)
            count = self._loops.count_new(what, job.time)
        if count:
            await self._report(loop_text(self._shown, count, escape(what)))

    def _is_busy_for(self, job: Job) -> bool:
        taken = self._queue.unfinished()  # no more than there are workers, by this very rule
        return len(taken) >= self._command.jobs or any(
            key in job.keys for other in taken for key in other.keys
        )

    async def _take(self) -> Job:
        async with self._turn:
            while not self._queue.has_ready:
                await self._turn.wait()
            self._turn.notify_all()
            return self._queue.take()

    async def _run(self, job: Job) -> None:
        """Run the command to its end, or end it when cancelled; report how it failed."""
        ours = {key: value for key, value in os.environ.items() if key not in VARIABLES}
        try:
            with _as_stdin(job.payload) as stdin, anyio.CancelScope(shield=True):
                # Shielded: a cancelled start would leave a process that nobody ends.
                process = await anyio.open_process(
                    self._command.argv,
                    stdin=stdin,
                    stdout=self._stdout,
                    stderr=None,
                    env=ours | job.environment,  # an outer limpet may have set some
                    **group_options(),
                )
                try:
                    windows_job = adopt(process)
                except OSError:
                    await process.wait()
                    raise
        except (OSError, ValueError) as error:
            self.failed += 1
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            await self._report(f"cannot start {self._shown} for {job.title}: {why}")
            return
        try:
            status = await process.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await end_group(
                    process,
                    sleep=anyio.sleep,
                    job=windows_job,
                    grace=self._grace,
                    hurry=lambda: self._is_hurried,
                )
            raise
        if windows_job is not None:
            windows_job.release()
        if status != 0:
            self.failed += 1
            await self._report(f"{self._shown} {outcome(status)}, for {job.title}")


@contextmanager
def _as_stdin(payload: bytes) -> Iterator[IO[bytes]]:
    """Open a file without a name that holds ``payload``, at its beginning.

    Not a pipe: a command that never reads it can then keep nobody waiting. In memory where the
    system can (memfd_create(2)), for a watch of the temporary directory would see the other kind.
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


def outcome(status: int) -> str:
    """Return how a command ended, after its name."""
    if status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
