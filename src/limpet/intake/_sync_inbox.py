"""The synchronous shell of an inbox, for scripts without an event loop."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from limpet.intake._arrivals import note_events, watch_keywords
from limpet.intake._inbox_options import InboxOptions
from limpet.intake._inbox_stats import InboxStats
from limpet.intake._intake import Claim, Intake
from limpet.intake._job_content import read_job
from limpet.watching import SyncWatch, watch_dir

_log: Final = logging.getLogger("limpet.inbox")
_WAIT_S: Final = 0.5
"""The longest single wait on the watch: a job that fails meanwhile, in another thread, and a close
from there do not end it."""
_STALLED_S: Final = 10.0


class SyncJob:
    """One file or folder to process: a context manager, to be entered once; as ``Job``."""

    def __init__(self, box: SyncInbox, intake: Intake, claim: Claim) -> None:
        self._box, self._intake, self._claim = box, intake, claim
        self.path: Final = Path(claim.path)
        """Where it is, until the block is left."""
        self.attempt: Final = claim.attempt
        """Number of the try, from 1."""

    def __repr__(self) -> str:
        return f"<SyncJob {str(self.path)!r} attempt {self.attempt}>"

    def data(self) -> bytes:
        """Return the content of the file.

        Raises:
            OSError: It cannot be read, or the job is a folder.
        """
        return read_job(self._claim.path)

    def text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the content of the file as text; line ends stay as they are.

        Raises:
            OSError: As ``data``.
            UnicodeDecodeError: It is not text in this encoding.
        """
        return self.data().decode(encoding, errors)

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            RuntimeError: It was entered before, or the inbox was closed meanwhile.
        """
        if not self._intake.enter(self._claim):
            message = f"{self!r} has ended: each job is entered once, before its inbox is closed"
            raise RuntimeError(message)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        """End the job, as ``Job``. Returns true for an ``Exception``."""
        self._intake.end(self._claim, error)
        self._box._wake()  # noqa: SLF001 (its own part)
        return isinstance(error, Exception)

    def __del__(self) -> None:
        """Return the job to the inbox if its block was never entered."""
        if not self._claim.is_over and not sys.is_finalizing():
            self._intake.drop(self._claim)


class SyncInbox:
    """An inbox for plain scripts: a context manager, and an iterator of jobs that blocks.

    ``for job in limpet.inbox(...).sync():`` starts by itself. Several threads may iterate and end
    jobs; each job goes to one of them.
    """

    def __init__(
        self, location: Path, done: Path | None, failed: Path, options: InboxOptions
    ) -> None:
        self.location: Final = location
        self.done: Final = done
        self.failed: Final = failed
        self.options: Final = options
        self._intake: Intake | None = None
        self._watch: SyncWatch | None = None
        self._turn: Final = threading.Lock()
        self._ended: Final = threading.Event()
        """Set when a job has ended."""
        self._closed = False
        self._is_warned = False

    def __repr__(self) -> str:
        return f"<SyncInbox {str(self.location)!r}>"

    def __enter__(self) -> Self:
        """Start; see ``open``."""
        return self.open()

    def open(self) -> Self:
        """Start without a block; ``close`` is due later.

        Raises:
            LimpetError: As ``Inbox.aopen``; nothing was started.
        """
        self._closed = False
        with self._turn:
            self._start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop; see ``close``."""
        self.close()

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

    def close(self) -> None:
        """Stop: iterations end, and jobs whose block was not entered are given back.

        May be called twice, and from any thread.
        """
        self._closed = True
        self._wake()
        with self._turn:
            watch, self._watch = self._watch, None
            intake, self._intake = self._intake, None
            try:
                if watch is not None:
                    watch.close()
            finally:
                if intake is not None:
                    intake.close()

    def __del__(self) -> None:
        """Return what was not begun, if the loop over the jobs ended without ``close``."""
        intake = getattr(self, "_intake", None)
        if intake is not None and not sys.is_finalizing():
            intake.close()

    def __iter__(self) -> Iterator[SyncJob]:
        """Iterate over jobs; start if it is not running."""
        self.open()
        return self

    def __next__(self) -> SyncJob:
        """Return the next job; block until there is one, and room for it."""
        job = None if self._closed else self.next()
        if job is None:
            raise StopIteration
        return job

    def next(self, timeout: float | None = None) -> SyncJob | None:
        """Return the next job, or ``None`` if none comes within ``timeout`` seconds.

        Raises:
            RuntimeError: The inbox was closed. One that is closed meanwhile returns ``None``.
        """
        if self._closed:
            message = f"{self!r} is closed: use it in 'with'"
            raise RuntimeError(message)
        end = float("inf") if timeout is None else time.monotonic() + timeout
        full_since = time.monotonic()
        while not self._closed:
            with self._turn:
                if self._closed:
                    break
                intake, watch = self._start()
                self._ended.clear()
                intake.advance()
                claim = intake.pop()
                if claim is not None:
                    return SyncJob(self, intake, claim)
                left = end - time.monotonic()
                if left <= 0:
                    break
                if intake.has_room:
                    self._take_events(intake, watch, left)
                    full_since = time.monotonic()
                    continue
            self._ended.wait(min(_WAIT_S, left))
            self._warn(intake, full_since)
        return None

    def _take_events(self, intake: Intake, watch: SyncWatch, left: float) -> None:
        due = intake.next_due()
        wait = min(_WAIT_S, left)
        if due is not None:
            wait = min(wait, max(0.0, due - time.monotonic()))
        event = watch.next(timeout=wait)
        events = []
        while event is not None:
            events.append(event)
            event = watch.next(timeout=0) if len(events) < _MOST else None
        note_events(intake, events)

    def _warn(self, intake: Intake, since: float) -> None:
        idle = intake.never_entered()
        if idle and not self._is_warned and time.monotonic() - since > _STALLED_S:
            self._is_warned = True
            _log.warning(
                "%d of %d jobs were taken and not begun, so none comes: end each by 'with job:'",
                *(len(idle), self.options.concurrency),
            )

    def _wake(self) -> None:
        self._ended.set()

    def _start(self) -> tuple[Intake, SyncWatch]:
        if self._intake is None or self._watch is None:
            intake = Intake(self.location, self.done, self.failed, self.options)
            intake.open()
            keywords = watch_keywords(self.options, intake.folders_inside)
            watch = watch_dir(self.location, **keywords).sync()
            watch.open()
            self._intake, self._watch = intake, watch
        return self._intake, self._watch


_MOST: Final = 10_000
"""Events taken at a time; the rest are taken next."""
