"""Runs a command once for each burst of events, one at a time, with the paths of all of them.

A burst ends when nothing was reported for a moment. What comes while a command runs is the next
burst. A command that is ended for a later burst has not done its work: its paths come with that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import IO, Final

import anyio

from limpet._printable import escape
from limpet._process_group import GRACE_S
from limpet.cli._commands import Commands
from limpet.cli._exec import QUEUE, Job
from limpet.cli._placeholders import expand, has_placeholder, split
from limpet.cli._watch_plan import Command

LONGEST: Final = 20
"""Quiet times after which a burst that does not end is cut, if that is more than `LONGEST_S`."""

LONGEST_S: Final = 1.0


class BatchRunner:
    """Runs a command for each burst of jobs; takes jobs as `Runner` does, and has one worker."""

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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a runner without a worker.

        Args:
            command: What to run, when a burst ends, and what to do with events while it runs.
            report: Takes a line about a command that failed.
            stdout: Standard output of commands, as for ``subprocess.Popen``.
            limit: Paths of one burst: with that many it ends, and `submit` waits.
            grace: Seconds between SIGTERM and SIGKILL.
            quiet: Do not report that a command ended with a status other than 0.
            before: Awaited before each start.
            clock: Seconds of a clock that only goes forward.
        """
        self.skipped = 0
        """Events left out by ``busy="skip"``, and paths of ended commands that are too many."""
        self._commands = Commands(
            command.argv, report=report, stdout=stdout, grace=grace, quiet=quiet, before=before
        )
        self._command = command
        self._has_placeholder = any(map(has_placeholder, command.argv))
        self._report = report
        self._limit = limit
        self._clock = clock
        self._turn = anyio.Condition()
        self._paths: dict[str, str] = {}
        """Path of the burst that gathers -> the root that it is below; in their order."""
        self._first = self._last = 0.0
        """When the burst that gathers began, and when the last event came."""
        self._is_due = False
        """The burst that gathers is not waited for."""
        self._is_running = False
        self._current: anyio.CancelScope | None = None

    @property
    def failed(self) -> int:
        """Number of commands that could not be started, or ended with a status other than 0."""
        return self._commands.failed

    @property
    def waiting(self) -> int:
        """Number of paths that no command was started for."""
        return len(self._paths)

    async def submit(self, job: Job) -> None:
        """Add the paths of a job to the burst; may wait, leave them out, or end the command."""
        root = job.environment["LIMPET_ROOT"]
        if job.time is not None:
            kind = job.environment["LIMPET_EVENT_TYPE"]
            await self._commands.warn_of_loops(job.environment["LIMPET_PATH"], kind, job.time)
        async with self._turn:
            if self._command.busy == "skip" and self._is_running:
                self.skipped += 1
                return
            while len(self._paths) >= self._limit:
                await self._turn.wait()
            self._last = self._clock()
            if not self._paths:
                self._first = self._last
            for path in job.paths:
                self._paths.setdefault(path, root)
            self._is_due |= job.is_start
            if self._command.busy == "restart" and self._current is not None:
                self._current.cancel()
            self._turn.notify_all()

    async def work(self) -> None:
        """Run the command for one burst after another until cancelled, which also ends it."""
        while True:
            burst = await self._take()
            left = list(burst)
            try:
                with anyio.CancelScope() as scope:
                    self._current = scope
                    for part in split(self._command.argv, list(burst)):
                        await self._run(part, {burst[path] for path in part})
                        del left[: len(part)]
            finally:
                self._current = None
                with anyio.CancelScope(shield=True):
                    async with self._turn:
                        self._is_running = False
                        if scope.cancelled_caught:
                            self._put_back({path: burst[path] for path in left})
                        self._turn.notify_all()

    async def drain(self) -> None:
        """Return once no path waits and no command runs; the burst that gathers ends at once."""
        async with self._turn:
            while self._paths or self._is_running:
                self._is_due = True
                self._turn.notify_all()
                await self._turn.wait()

    def hurry(self) -> None:
        """Kill the commands that are being ended, and from now on without a grace."""
        self._commands.hurry()

    async def _take(self) -> dict[str, str]:
        """Wait for the end of a burst, and return it."""
        async with self._turn:
            while not self._paths:
                await self._turn.wait()
        while (left := self._quiet_left()) > 0:
            with anyio.move_on_after(left):
                async with self._turn:
                    if self._quiet_left() > 0:
                        await self._turn.wait()
        async with self._turn:
            burst, self._paths = self._paths, {}
            self._is_due, self._is_running = False, True
            self._turn.notify_all()
        return burst

    def _quiet_left(self) -> float:
        """Return for how long the burst that gathers is waited for, if nothing more comes."""
        if self._is_due or len(self._paths) >= self._limit:
            return 0.0
        quiet = self._command.burst
        end = min(self._last + quiet, self._first + max(LONGEST * quiet, LONGEST_S))
        return end - self._clock()

    def _put_back(self, paths: dict[str, str]) -> None:
        """Put the paths of a command that was ended before those that came since."""
        merged = paths | self._paths
        for path in list(merged)[: max(0, len(merged) - self._limit)]:
            del merged[path]  # a server that never ends has nothing to do with them
            self.skipped += 1
        self._paths = merged

    async def _run(self, paths: Sequence[str], roots: set[str]) -> None:
        title = f"{len(paths)} path{'s' * (len(paths) != 1)}"
        environment = {"LIMPET_ROOT": roots.pop()} if len(roots) == 1 else {}
        argv = expand(self._command.argv, paths)
        await self._commands.run(argv, environment, await self._input(paths), title)

    async def _input(self, paths: Sequence[str]) -> bytes:
        """Return the paths for standard input, each ended by a line feed or a NUL."""
        if self._command.null:
            return b"".join(os.fsencode(path) + b"\0" for path in paths)
        lines = []
        for path in paths:
            if "\n" not in path:
                lines.append(os.fsencode(path) + b"\n")
            elif not self._has_placeholder:  # it would be taken for two, and is nowhere else
                name = escape(path)
                await self._report(f"{name}: a path with a line feed is no line; see --null")
        return b"".join(lines)
