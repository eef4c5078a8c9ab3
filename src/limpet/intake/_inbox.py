"""The async shell of an inbox: waits, has jobs claimed and ended on threads; decides nothing.

One task at a time claims jobs, and waits on the watch if there is none; other tasks that iterate
wait for it. What a thread has claimed is kept by the core until it is handed out, so a task that is
cancelled loses none.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, Self

import anyio
import anyio.lowlevel
from anyio.to_thread import run_sync

from limpet._event_loop import EventLoop
from limpet.events import Event
from limpet.intake._arrivals import note_events, watch_keywords
from limpet.intake._inbox_options import InboxOptions
from limpet.intake._inbox_stats import InboxStats
from limpet.intake._intake import Claim, Intake
from limpet.intake._job_content import read_job
from limpet.intake._sync_inbox import SyncInbox
from limpet.watching import Watch, WatchStats, watch_dir

_log: Final = logging.getLogger("limpet.inbox")
STALLED_S: Final = 10.0
"""After this time without room, jobs whose block was never entered are reported."""


class Job:
    """One file or folder to process: an async context manager, to be entered once.

    ``async with job:`` ends it. Left normally, it is moved to the done folder. Left with an
    ``Exception``, which goes no further, it is tried again later, or moved to the failed folder.
    Left with a cancellation or another ``BaseException``, it stays and comes again, and the try is
    not counted.
    """

    def __init__(self, box: Inbox, intake: Intake, claim: Claim) -> None:
        self._box, self._intake, self._claim = box, intake, claim
        self.path: Final = Path(claim.path)
        """Where it is, until the block is left."""
        self.attempt: Final = claim.attempt
        """Number of the try, from 1."""

    def __repr__(self) -> str:
        return f"<Job {str(self.path)!r} attempt {self.attempt}>"

    async def data(self) -> bytes:
        """Return the content of the file.

        Raises:
            OSError: It cannot be read, or the job is a folder.
        """
        return await run_sync(read_job, self._claim.path)

    async def text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the content of the file as text; line ends stay as they are.

        Raises:
            OSError: As ``data``.
            UnicodeDecodeError: It is not text in this encoding.
        """
        return (await self.data()).decode(encoding, errors)

    def keeps_locked(self) -> tuple[int, ...]:
        """Return descriptors for ``pass_fds``: while a process has them, nobody else gets the job.

        A program that outlives this process, because that was killed, then still has its job to
        itself. Empty where a process cannot inherit one (Windows).
        """
        return () if sys.platform == "win32" else (self._claim.record.fd,)

    async def __aenter__(self) -> Self:
        """Begin.

        Raises:
            RuntimeError: It was entered before, or the inbox was closed meanwhile: then it comes
                again at the next start.
        """
        if not self._intake.enter(self._claim):
            message = f"{self!r} has ended: each job is entered once, before its inbox is closed"
            raise RuntimeError(message)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        """End the job; see the class. Returns true for an ``Exception``."""
        await self._box._end(self._intake, self._claim, error)  # noqa: SLF001 (its own part)
        return isinstance(error, Exception)

    def __del__(self) -> None:
        """Return the job to the inbox if its block was never entered."""
        if not self._claim.is_over and not sys.is_finalizing():
            self._intake.drop(self._claim)
            self._box._wake_from_thread()  # noqa: SLF001 (its own part)


class Inbox:
    """The jobs of one folder: an async context manager, and an async iterator of jobs.

    ``async for job in limpet.inbox(...)`` starts by itself. In the block several tasks may iterate,
    each job goes to one of them; ``__anext__`` may be cancelled at any moment and no job is lost.
    Any number of processes may work on one inbox. After the block it can be entered again.
    """

    def __init__(
        self, location: Path, done: Path | None, failed: Path, options: InboxOptions
    ) -> None:
        self.location: Final = location
        self.done: Final = done
        self.failed: Final = failed
        self.options: Final = options
        self._intake: Intake | None = None
        self._watch: Watch | None = None
        self._events: AsyncIterator[list[Event]] | None = None
        self._arrived: deque[list[Event]] = deque()
        """What the watch has reported, at most one batch for each task that was cancelled since."""
        self._loop: EventLoop | None = None
        self._turn: anyio.Lock | None = None
        self._threads: anyio.CapacityLimiter | None = None
        self._wait_scope: anyio.CancelScope | None = None
        self._is_open = False
        self._is_woken = False
        self._is_warned = False

    def __repr__(self) -> str:
        return f"<Inbox {str(self.location)!r}>"

    async def __aenter__(self) -> Self:
        """Start; see ``aopen``."""
        return await self.aopen()

    async def aopen(self) -> Self:
        """Start without a block; ``aclose`` is due later. The folder need not exist yet.

        Raises:
            UsageError: The inbox is not a folder, or is one of the folders it is emptied into.
            UnsupportedError: As ``Watch.aopen``.
            LimitError: The process is out of file descriptors.
            RuntimeError: It is running already.
        """
        if self._is_open:
            message = f"{self!r} is running already"
            raise RuntimeError(message)
        self._is_open = True
        try:
            await self._start()
        except BaseException:
            self._is_open = False
            raise
        return self

    async def _start(self) -> None:
        intake = Intake(self.location, self.done, self.failed, self.options)
        self._loop = EventLoop()
        self._turn = anyio.Lock()
        self._threads = anyio.CapacityLimiter(self.options.concurrency + 1)
        self._is_woken = self._is_warned = False
        self._arrived.clear()
        await run_sync(intake.open, limiter=self._threads)
        keywords = watch_keywords(self.options, intake.folders_inside)
        watch = watch_dir(self.location, **keywords)
        await watch.aopen()
        self._watch, self._intake, self._events = watch, intake, watch.batches()

    async def __aexit__(self, *_error: object) -> None:
        """Stop; see ``aclose``."""
        await self.aclose()

    def watch_stats(self) -> WatchStats:
        """Return figures of the watch of its folder.

        Raises:
            RuntimeError: It is not running.
        """
        if self._watch is None:
            message = f"{self!r} is not running"
            raise RuntimeError(message)
        return self._watch.stats()

    def stats(self) -> InboxStats:
        """Return figures of this process; in any thread.

        Raises:
            RuntimeError: It is not running.
        """
        intake = self._intake
        if intake is None:
            message = f"{self!r} is not running"
            raise RuntimeError(message)
        return intake.stats()

    async def aclose(self) -> None:
        """Stop: iterations end, and jobs whose block was not entered are given back.

        A job whose block is entered goes on and ends as usual. May be called twice.
        """
        watch, intake, threads = self._watch, self._intake, self._threads
        self._watch = self._intake = self._events = None
        self._is_open = False
        self._wake()
        if watch is None or intake is None:
            return
        try:
            await watch.aclose()
        finally:
            await self._surely(intake.close, threads)

    def _abandon(self) -> None:
        """Free everything soon, without a wait: for iterators that the garbage collector found."""
        watch, intake = self._watch, self._intake
        self._watch = self._intake = self._events = None
        self._is_open = False
        if watch is not None:
            watch._abandon()  # noqa: SLF001 (no task is there to await its aclose)
        if intake is not None and not sys.is_finalizing():
            threading.Thread(target=intake.close, name="limpet inbox", daemon=True).start()

    def sync(self) -> SyncInbox:
        """Return the synchronous form, for scripts without an event loop."""
        return SyncInbox(self.location, self.done, self.failed, self.options)

    def __aiter__(self) -> AsyncIterator[Job]:
        """Iterate over jobs until the block is left; start if it is not running."""
        return _Jobs(self, owns=not self._is_open)

    async def __anext__(self) -> Job:
        """Return the next job; wait until there is one, and room for it."""
        intake = self._intake
        if intake is None or self._loop is None or self._turn is None:
            message = f"{self!r} is not running: use it in 'async with', or iterate over it"
            raise RuntimeError(message)
        self._loop.check(self)
        return await self._next(intake, self._turn)

    async def _next(self, intake: Intake, turn: anyio.Lock) -> Job:
        async with turn:
            while self._intake is intake:
                claim = intake.pop()
                if claim is not None:
                    return Job(self, intake, claim)
                if not intake.has_room:
                    await self._wait_for_room(intake)
                    continue
                await self._in_thread(partial(self._advance, intake))
                if not intake.is_ready:
                    await self._wait_for_events(intake)
        raise StopAsyncIteration

    def _advance(self, intake: Intake) -> None:
        """Take over what the watch has reported, then claim; on a thread."""
        while self._arrived:
            with suppress(IndexError):  # another thread was quicker
                note_events(intake, self._arrived.popleft())
        intake.advance()

    async def _wait_for_room(self, intake: Intake) -> None:
        idle = intake.never_entered()
        if await self._wait(None, STALLED_S if idle else math.inf) or self._is_warned:
            return
        idle = intake.never_entered()
        if idle:
            self._is_warned = True
            _log.warning(
                "%d of %d jobs were taken and not begun, so none comes: "
                "end each by 'async with job:' (%s)",
                *(len(idle), self.options.concurrency, ", ".join(map(repr, idle[:5]))),
            )

    async def _wait_for_events(self, intake: Intake) -> None:
        due = intake.next_due()
        timeout = math.inf if due is None else due - time.monotonic()
        if timeout > 0 and self._events is not None:
            await self._wait(self._events, timeout)

    async def _wait(self, events: AsyncIterator[list[Event]] | None, timeout: float) -> bool:
        """Wait for events, for ``_wake`` or for a time; return whether it was one of the first."""
        if self._is_woken:
            self._is_woken = False
            return True
        with anyio.CancelScope(deadline=anyio.current_time() + timeout) as scope:
            self._wait_scope = scope
            try:
                if events is None:
                    await anyio.sleep_forever()
                else:
                    self._arrived.append(await anext(events))
            finally:
                self._wait_scope = None
        found, self._is_woken = self._is_woken or not scope.cancelled_caught, False
        return found

    async def _end(self, intake: Intake, claim: Claim, error: BaseException | None) -> None:
        """End a job; once begun it is finished, whatever happens to the task."""

        def end() -> None:
            try:
                intake.end(claim, error)
            finally:
                self._wake_from_thread()

        await self._surely(end, self._threads)

    @staticmethod
    async def _surely(doing: Callable[[], None], threads: anyio.CapacityLimiter | None) -> None:
        """Run on a thread what has no effect the second time, whatever happens to the task.

        ``Task.cancel`` of asyncio passes the shield. If that is before the thread has begun, it
        would never begin; so there is another one, for which a program that ends waits.
        """
        try:
            with anyio.CancelScope(shield=True):
                await run_sync(doing, limiter=threads)
        except BaseException as error:
            if not isinstance(error, Exception):
                threading.Thread(target=doing, name="limpet inbox").start()
            raise

    async def _in_thread(self, doing: Callable[[], None]) -> None:
        """Run on a thread; a task that is cancelled waits for its end, as far as it can."""
        with anyio.CancelScope(shield=True):
            await run_sync(doing, limiter=self._threads)
        await anyio.lowlevel.checkpoint_if_cancelled()

    def _wake(self) -> None:
        self._is_woken = True
        if self._wait_scope is not None:
            self._wait_scope.cancel()

    def _wake_from_thread(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.post(self._wake)


class _Jobs:
    """Iterates over one run of an inbox; one that it has started ends with it."""

    def __init__(self, box: Inbox, *, owns: bool) -> None:
        self._box, self._owns = box, owns
        self._intake = None if owns else box._intake  # noqa: SLF001 (its own part)
        self._is_over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Job:
        box = self._box
        if self._is_over:
            raise StopAsyncIteration
        if self._intake is None:
            await box.aopen()
            self._intake = box._intake  # noqa: SLF001 (its own part)
        turn = box._turn  # noqa: SLF001 (its own part)
        if self._intake is None or turn is None:
            raise StopAsyncIteration
        try:
            return await box._next(self._intake, turn)  # noqa: SLF001 (its own part)
        except StopAsyncIteration:
            self._is_over = True
            raise

    def __del__(self) -> None:
        box, intake = self._box, self._intake
        if self._owns and intake is not None and box._intake is intake:  # noqa: SLF001 (its own part)
            box._abandon()  # noqa: SLF001 (its own part)
