"""Runs a command for each event: a number of them at once, those of one path in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import IO, Final

import anyio

from limpet._keyed_queue import EVERY_KEY, KeyedItem, KeyedQueue
from limpet._printable import escape
from limpet._process_group import GRACE_S
from limpet.cli._commands import Commands
from limpet.cli._placeholders import expand
from limpet.cli._watch_plan import Command
from limpet.events import DirRenamed, EntryEvent, Event, FileRenamed, event_name

QUEUE: Final = 10_000
"""Events that may wait for a command; then no more are pulled, and the watch merges what happens
meanwhile: some 10 MB of JSON at most, and hours of work for any real command."""


class Job(KeyedItem):
    """One event for a command; two jobs that share a path run one after the other, in order."""

    __slots__ = ("environment", "paths", "payload", "time", "title")

    def __init__(
        self,
        title: str,
        keys: Collection[str],
        environment: dict[str, str],
        payload: bytes,
        *,
        time: float | None = None,
        paths: Sequence[str] = (),
    ) -> None:
        """Create a job for an event about the paths ``keys``."""
        super().__init__(keys)
        self.paths = paths
        """What placeholders of the command stand for."""
        self.time = time
        """When the event was noticed, if it may be one of a loop."""
        self.title = title
        """Type and path for messages, printable."""
        self.environment = environment
        """Values of ``VARIABLES``."""
        self.payload = payload
        """The event's JSON line, for standard input."""

    @property
    def is_start(self) -> bool:
        """Return whether it is the job before any event."""
        return self.environment.get("LIMPET_EVENT_TYPE") == "watch.ready"


def job_for(event: Event, payload: bytes, shown: Callable[[Path, Path], str] | None = None) -> Job:
    """Return the job for an event.

    Args:
        event: The event.
        payload: Its wire JSON.
        shown: Returns the text for a path of the watch at a location; else it is absolute.
    """
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
    text = str(path) if shown is None else shown(path, event.location)
    time = event.time if may_loop else None
    return Job(title, keys, environment, payload, time=time, paths=(text,))


def start_job(roots: Sequence[Path], paths: Sequence[str], payload: bytes) -> Job:
    """Return the job of a run before any event, which is about all watches; others wait for it.

    Args:
        roots: The location of each watch; not empty.
        paths: What placeholders stand for.
        payload: The ready lines.
    """
    environment = {
        "LIMPET_EVENT_TYPE": "watch.ready",
        "LIMPET_PATH": str(roots[0]),
        "LIMPET_ROOT": str(roots[0]),
    }
    return Job("the start", {EVERY_KEY}, environment, payload, paths=paths)


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
        quiet: bool = False,
        before: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Create a runner without workers.

        Args:
            command: What to run, how many at once, and what to do with an event while all run.
            report: Takes a line about a command that failed.
            stdout: Standard output of commands, as for ``subprocess.Popen``.
            limit: Jobs that may wait before `submit` does.
            grace: Seconds between SIGTERM and SIGKILL.
            quiet: Do not report that a command ended with a status other than 0.
            before: Awaited before each start.
        """
        self._commands = Commands(
            command.argv, report=report, stdout=stdout, grace=grace, quiet=quiet, before=before
        )
        self.skipped = 0
        """Events left out by ``busy="skip"``, or superseded by a later one with ``restart``."""
        self._command = command
        self._limit = limit
        self._queue: KeyedQueue[Job] = KeyedQueue()
        self._turn = anyio.Condition()
        self._current: anyio.CancelScope | None = None

    @property
    def failed(self) -> int:
        """Number of commands that could not be started, or ended with a status other than 0."""
        return self._commands.failed

    @property
    def waiting(self) -> int:
        """Number of jobs that are not started."""
        return len(self._queue)

    async def submit(self, job: Job) -> None:
        """Add a job, by the rule for when commands run: may wait, leave it out, or end one."""
        if job.time is not None:
            kind = job.environment["LIMPET_EVENT_TYPE"]
            await self._commands.warn_of_loops(job.environment["LIMPET_PATH"], kind, job.time)
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
        self._commands.hurry()

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
        argv = expand(self._command.argv, job.paths)
        await self._commands.run(argv, job.environment, job.payload, job.title)
