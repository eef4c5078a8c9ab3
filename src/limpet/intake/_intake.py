"""The synchronous core of an inbox: which name becomes a job, and what becomes of a job.

All that asks the disk is in here and belongs on a thread. One task or thread at a time calls
``advance``; jobs may end in several at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from limpet._backoff import Backoff
from limpet._error_text import reason_of
from limpet.errors import UsageError
from limpet.intake._failure_note import full_failure, note_text, short_failure
from limpet.intake._inbox_options import InboxOptions
from limpet.intake._inbox_stats import InboxStats
from limpet.intake._job_queue import JobQueue, Waiting
from limpet.intake._job_record import (
    FOLDER,
    JobRecord,
    identity_of_job,
    lock_record,
    remove_folder,
)
from limpet.intake._put_away import ReplacedError, delete, is_same, put_away
from limpet.intake._recorded_names import recorded_names

_log: Final = logging.getLogger("limpet.inbox")
_BUSY_S: Final = 0.5
"""How often a job is tried that another process works on: nobody reports that it was killed."""
_FEW: Final = 64
"""Names that one call examines, so that a caller that was stopped meanwhile does not wait long."""
_LOST: Final = "the process ended during the try, and left no error"


@dataclass(slots=True, eq=False)
class Claim:
    """One job that is open: its record is locked by this process."""

    name: str
    path: str
    attempt: int
    record: JobRecord
    since: float = field(default_factory=time.time)
    is_entered: bool = False
    is_over: bool = False
    came_again: bool = False
    """Something happened to the path meanwhile: it is examined when the job has ended."""


class Intake:
    """The jobs of one inbox in this process."""

    def __init__(
        self, location: Path, done: Path | None, failed: Path, options: InboxOptions
    ) -> None:
        self.location: Final = location
        self.options: Final = options
        self.queue: Final = JobQueue()
        self._done = None if done is None else os.fspath(done)
        self._failed = os.fspath(failed)
        self._root = os.fspath(location)
        self._lock = threading.Lock()
        """Guards the tables below and the queue; nothing waits for the disk with it."""
        self._turn = threading.Lock()
        """One thread claims at a time, also where a cancelled task has left one behind."""
        self._is_closed = False
        self._open: dict[str, Claim] = {}
        self._ready: deque[Claim] = deque()
        """Claimed, not handed out: a caller that is cancelled loses none."""
        self._dropped: deque[Claim] = deque()
        """Of jobs that the garbage collector found; it takes no lock, so they are ended later."""
        self._backoff = Backoff(options.backoff, options.backoff_max)
        self._trouble = Backoff(0.5, 60.0)
        self._troubles: dict[str, int] = {}
        """Name -> how often something stood in the way that is not the job's own failure."""
        self._unsaved: dict[str, dict[str, Any]] = {}
        """Name -> facts, of records that a full disk did not take."""
        self._changed: dict[str, tuple[int, float]] = {}
        """Name -> how often it changed while it was processed, and the earliest next try."""
        self._retrying: set[str] = set()
        """Names of jobs that have failed and wait for another try."""
        self._retried = self._done_count = self._failed_count = 0
        self._last_done: float | None = None
        self._away = self._folders_inside((self._root,))

    def stats(self) -> InboxStats:
        """Return figures; in any thread."""
        with self._lock:
            oldest = min((one.since for one in self._open.values()), default=None)
            return InboxStats(
                waiting=len(self.queue),
                active=len(self._open),
                retrying=len(self._retrying),
                done=self._done_count,
                retried=self._retried,
                failed=self._failed_count,
                oldest=oldest,
                last_done=self._last_done,
            )

    def open(self) -> None:
        """Verify the folders, and take up the jobs that an earlier process left.

        Raises:
            UsageError: The inbox is not a folder, or is one of the folders it is emptied into.
        """
        root = os.path.realpath(self._root)
        with contextlib.suppress(OSError):
            if not stat.S_ISDIR(os.stat(root).st_mode):
                message = f"the inbox {self._root!r} is not a folder"
                raise UsageError(message)
        for option, folder in (("done", self._done), ("failed", self._failed)):
            if folder is not None and os.path.realpath(folder) == root:
                message = f"{option} must be another folder than the inbox {self._root!r}"
                raise UsageError(message)
        self._away = self._folders_inside((self._root, root))
        self._take_up_records()

    def _take_up_records(self, *, delay: float = 0.0) -> None:
        """Add the jobs that others have left or work on; records of those that are gone go."""
        for name in recorded_names(self._root, recursive=self.options.recursive):
            self.add(name, delay=delay)

    @property
    def has_room(self) -> bool:
        """Return whether another job may be open."""
        return len(self._open) < self.options.concurrency or bool(self._dropped)

    @property
    def is_ready(self) -> bool:
        """Return whether a job is claimed and not handed out."""
        return bool(self._ready)

    def never_entered(self) -> list[str]:
        """Return the names of open jobs whose block was not entered."""
        return [one.name for one in list(self._open.values()) if not one.is_entered]

    # -- names ---------------------------------------------------------------------------------

    def add(self, name: str, *, delay: float = 0.0, is_held: bool = False) -> None:
        """Add a name that may be a job."""
        if name and not self._is_away(name):
            with self._lock:
                self.queue.add(name, self._due(name, delay), is_held=is_held)

    def _due(self, name: str, delay: float) -> float:
        """Return when a name is due, monotonic seconds: one that has changed waits its pause."""
        return max(time.monotonic() + delay, self._changed.get(name, (0, 0.0))[1])

    def discard(self, name: str) -> None:
        """Remove a name that is gone."""
        with self._lock:
            self.queue.discard(name)
            self._troubles.pop(name, None)
            self._changed.pop(name, None)
            self._retrying.discard(name)

    def rename(self, source: str, target: str) -> None:
        """Move what is waiting below a folder that was renamed; what is open there comes again."""
        with self._lock:
            now = time.monotonic()
            self.queue.rename(source, target, now)
            for name in [n for n in self._open if n.startswith(source + "/")]:
                self.queue.add(target + name[len(source) :], now)

    def clear(self) -> None:
        """Forget what waits: the inbox itself is gone."""
        with self._lock:
            self.queue.clear()
            self._troubles.clear()
            self._changed.clear()
            self._retrying.clear()

    def next_due(self) -> float | None:
        """Return when a name is due, monotonic seconds; ``None`` if none waits."""
        with self._lock:
            return self.queue.next_due()

    # -- claiming ------------------------------------------------------------------------------

    def pop(self) -> Claim | None:
        """Return a job that ``advance`` has claimed, if there is one."""
        return self._ready.popleft() if self._ready else None

    def advance(self) -> None:
        """Claim the next job that is due, if there is room; put away what is still to be."""
        with self._turn:
            if not self._is_closed:
                self._end_dropped()
                self._claim_next()

    def _claim_next(self) -> None:
        for _ in range(_FEW):
            if self._ready or len(self._open) >= self.options.concurrency:
                return
            with self._lock:
                waiting = self.queue.take(time.monotonic())
                if waiting is None:
                    break
                claim = self._open.get(waiting.name)
                if claim is not None:
                    claim.came_again = True
                    continue
            try:
                self._examine(waiting)
            except OSError as error:
                self._meet_trouble(waiting.name, "cannot begin", error)
        if not self._open and not len(self.queue) and not remove_folder(self._root):
            self._take_up_records(delay=_BUSY_S)

    def _examine(self, waiting: Waiting) -> None:
        name = waiting.name
        path = os.path.join(self._root, *name.split("/"))
        delay = None if self._leads_out(name) else self._delay(path, is_held=waiting.is_held)
        if delay is None:
            self._troubles.pop(name, None)
            self._unsaved.pop(name, None)
            self._changed.pop(name, None)
            self._forget_record(name)
            return
        if delay > 0:
            self.add(name, delay=delay, is_held=True)
            return
        record = lock_record(self._root, name)
        if record is None:
            self.add(name, delay=_BUSY_S)
            return
        claim = None
        try:
            claim = self._claim(name, path, record)
        finally:
            if claim is None:
                record.release()

    def _leads_out(self, name: str) -> bool:
        """Return whether a folder on the way to a file has become a symlink, or is gone.

        RACE: one that comes after this is noticed when the job ends: the file is not the same.
        """
        path = self._root
        for part in name.split("/")[:-1]:
            path = os.path.join(path, part)
            try:
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    return True
            except FileNotFoundError:
                return True
        return False

    def _delay(self, path: str, *, is_held: bool) -> float | None:
        """Return the seconds until a name may be taken; ``None`` if there is no job at it."""
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        wanted = stat.S_ISDIR if self.options.unit == "dir" else stat.S_ISREG
        if not wanted(found.st_mode):
            return None
        if not is_held or self.options.unit == "dir":
            return 0.0
        age = time.time() - found.st_mtime
        return self.options.settle - age if 0 <= age < self.options.settle else 0.0

    def _forget_record(self, name: str) -> None:
        """Remove what is left of a job that is gone."""
        with contextlib.suppress(OSError):
            if os.path.isdir(os.path.join(self._root, FOLDER)):
                record = lock_record(self._root, name)
                if record is not None:
                    record.forget()

    def _claim(self, name: str, path: str, record: JobRecord) -> Claim | None:
        """Begin a try; or do what else is due for the job, and return ``None``."""
        try:
            identity = identity_of_job(os.lstat(path))  # again: the lock was another's until now
        except (FileNotFoundError, NotADirectoryError):
            record.forget()
            return None
        record.take_over(self._unsaved.pop(name, {}))
        if record.identity != identity:
            record.start_over(identity)
        if record.outcome:
            self._put_away(name, path, record, record.error)
            return None
        wait = min(record.due - time.time(), self.options.backoff_max)
        if wait > 0:
            self.add(name, delay=wait)
            return None
        if record.attempts >= self.options.attempts:
            record.outcome = "failed"
            record.error = record.error or _LOST
            self.report(f"{name!r} failed {record.attempts} times: {record.error}")
            self._put_away(name, path, record, record.error)
            return None
        record.attempts += 1
        record.due, record.error = 0.0, ""
        self._save(name, record)
        claim = Claim(name, path, record.attempts, record)
        with self._lock:
            self._open[name] = claim
            self._retrying.discard(name)
        self._ready.append(claim)
        return claim

    # -- ending --------------------------------------------------------------------------------

    def end(
        self, claim: Claim, error: BaseException | None, *, unless_entered: bool = False
    ) -> None:
        """End a job: it is done, has failed, or is to come again as if it had not begun.

        Args:
            claim: The job.
            error: What its block was left with: nothing, an ``Exception``, or something else (a
                cancellation, the end of the program), which says nothing of the job.
            unless_entered: Leave a job whose block was entered.
        """
        if not self._take_over(claim, unless_entered=unless_entered):
            return
        try:
            if error is None:
                claim.record.outcome = "done"
                self._put_away(claim.name, claim.path, claim.record, "")
            elif isinstance(error, Exception):
                self._fail(claim, error)
            else:
                self._give_back(claim)
        except OSError as trouble:
            self._meet_trouble(claim.name, "cannot end", trouble)
        except BaseException:  # Ctrl-C in the middle of it
            claim.came_again = True
            raise
        finally:
            claim.record.release()
            with self._lock:
                self._open.pop(claim.name, None)
                if claim.came_again:
                    self.queue.add(claim.name, self._due(claim.name, 0.0), is_held=True)
                idle = not self._open and not len(self.queue)
            if idle:
                remove_folder(self._root)

    def enter(self, claim: Claim) -> bool:
        """Record that the block of a job is entered; return whether the job is still open."""
        with self._lock:
            if claim.is_over or claim.is_entered:
                return False
            claim.is_entered = True
            return True

    def _take_over(self, claim: Claim, *, unless_entered: bool = False) -> bool:
        """Return whether the caller is the one that ends a job."""
        with self._lock:
            if claim.is_over or (unless_entered and claim.is_entered):
                return False
            claim.is_over = True
            return True

    def drop(self, claim: Claim) -> None:
        """End a job later that nobody can end any more; called by the garbage collector."""
        self._dropped.append(claim)

    def close(self) -> None:
        """Return the jobs whose block was not entered; those that were end as usual."""
        with self._turn:  # what is being claimed now is returned, too
            self._is_closed = True
        self._ready.clear()
        self._dropped.clear()
        with self._lock:
            claims = list(self._open.values())
        for claim in claims:
            self.end(claim, GeneratorExit(), unless_entered=True)
        if not self._open:
            remove_folder(self._root)

    def _end_dropped(self) -> None:
        while self._dropped:
            claim = self._dropped.popleft()
            if claim.is_over:
                continue
            self.report(f"{claim.name!r} was not processed: end each job by 'async with job:'")
            self.end(claim, GeneratorExit())
            with self._lock:
                delay = self._next_trouble(claim.name)
                self.queue.add(claim.name, time.monotonic() + delay)

    def _fail(self, claim: Claim, error: Exception) -> None:
        name, record, most = claim.name, claim.record, self.options.attempts
        record.error = short_failure(error)
        message = f"{name!r} failed (try {claim.attempt} of {most}): {record.error}"
        if claim.attempt >= most:
            self.report(message)
            record.outcome = "failed"
            self._put_away(name, claim.path, record, full_failure(error))
            return
        if self._is_replaced(claim.path, record):
            self._start_over(name, claim.path, record)
            return
        delay = self._backoff.after(claim.attempt)
        self.report(f"{message}; again in {delay:.1f} s")
        record.due = time.time() + delay
        with self._lock:
            self._retried += 1
            self._retrying.add(name)
        self._save(name, record)
        self.add(name, delay=delay)

    def _give_back(self, claim: Claim) -> None:
        record = claim.record
        record.attempts -= 1
        if record.attempts:
            self._save(claim.name, record)
        else:
            record.forget()
        self.add(claim.name)

    def _is_replaced(self, path: str, record: JobRecord) -> bool:
        try:
            return not is_same(path, record.identity)
        except FileNotFoundError:
            return True

    def _start_over(self, name: str, path: str, record: JobRecord) -> None:
        """Take what is at the path now, if anything, for a job of its own once complete.

        After a pause: if the job itself writes to its file, this happens without an end.
        """
        record.forget()
        if not os.path.lexists(path):
            return
        with self._lock:
            count = self._changed.get(name, (0, 0.0))[0] + 1
            delay = self._backoff.after(count)
            self._changed[name] = count, time.monotonic() + delay
        self.report(
            f"{name!r} changed while it was processed, so it is processed again in {delay:.1f} s; "
            "a job that writes to its own file never ends: let it write to another one"
        )
        self.add(name, is_held=True)

    def _put_away(self, name: str, path: str, record: JobRecord, failure: str) -> None:
        """Move a job out of the inbox by its outcome; if that fails, that alone is tried again."""
        try:
            if record.outcome == "copied" or (record.outcome == "done" and self._done is None):
                delete(path, record.identity)
            elif record.outcome == "done" and self._done is not None:
                put_away(path, self._done, name, record.identity, copied=self._copied(name, record))
            else:
                tries = f"{record.attempts} of {self.options.attempts}"
                note = note_text(name, failure, tries=tries)
                put_away(
                    *(path, self._failed, name, record.identity),
                    note=note,
                    copied=self._copied(name, record),
                )
        except ReplacedError:
            self._start_over(name, path, record)
            return
        except OSError as error:
            if not isinstance(error, FileNotFoundError) or os.path.lexists(path):
                record.error = failure[:2000]
                self._save(name, record)
                self._meet_trouble(name, "cannot put away", error)
                return
        self._troubles.pop(name, None)
        self._unsaved.pop(name, None)
        self._changed.pop(name, None)
        with self._lock:
            if failure:
                self._failed_count += 1
            else:
                self._done_count += 1
                self._last_done = time.time()
        record.forget()

    def _copied(self, name: str, record: JobRecord) -> Callable[[], None]:
        def keep() -> None:
            record.outcome = "copied"
            self._save(name, record)

        return keep

    def _save(self, name: str, record: JobRecord) -> None:
        try:
            record.save()
        except OSError as error:
            self._unsaved[name] = record.facts()
            self.report(f"cannot write down the tries of {name!r}: {reason_of(error)}")

    # -- trouble -------------------------------------------------------------------------------

    def _meet_trouble(
        self,
        name: str,
        what: Literal["cannot begin", "cannot end", "cannot put away"],
        error: OSError,
    ) -> None:
        """Report what stands in the way of one job, and try it again later; the others go on."""
        with self._lock:
            delay = self._next_trouble(name)
        self.report(f"{what} {name!r}, again in {delay:.1f} s: {reason_of(error)}")
        self.add(name, delay=delay)

    def _next_trouble(self, name: str) -> float:
        count = self._troubles[name] = self._troubles.get(name, 0) + 1
        return self._trouble.after(count)

    @staticmethod
    def report(message: str) -> None:
        """Report what stands in the way of a job, by the logger ``limpet.inbox``."""
        _log.warning("%s", message)

    # -- folders -------------------------------------------------------------------------------

    def _folders_inside(self, roots: tuple[str, ...]) -> tuple[str, ...]:
        """Return the paths below the inbox of the folders that it is emptied into."""
        found = {FOLDER}
        for folder in filter(None, (self._done, self._failed)):
            for root in roots:
                for spelled in {folder, os.path.realpath(folder)} if len(roots) > 1 else {folder}:
                    inside = Path(spelled)
                    if inside != Path(root) and inside.is_relative_to(root):
                        found.add(inside.relative_to(root).as_posix())
        return tuple(sorted(found))

    @property
    def folders_inside(self) -> tuple[str, ...]:
        """Return what is in the inbox and no job: paths below it."""
        return self._away

    def _is_away(self, name: str) -> bool:
        return any(name == one or name.startswith(one + "/") for one in self._away)
