"""The state directory of a run: its lock, its journal, and its dead letters."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar, TypeVarTuple

from limpet._error_text import reason_of, safe_repr
from limpet._file_lock import FileLock, holder_of
from limpet._process_end import POOL
from limpet.bot._delivery import Delivery
from limpet.bot.events._event_codec import CodecError
from limpet.bot.runner._dead_letters import DeadLetters
from limpet.bot.runner._stats import Stats
from limpet.bot.runner._work_journal import JournalEntry, Unfinished, WorkJournal, entry_line
from limpet.errors import UsageError

T = TypeVar("T")
Args = TypeVarTuple("Args")

_MOST_WAITING: Final = 1000
"""Dead letters that wait in memory for a disk that takes them again."""

_LOG: Final = logging.getLogger("limpet.bot.runner")


class StateDir:
    """A state directory that one run has locked; without a path, losses are logged.

    It is the source of the deliveries from its journal.
    """

    def __init__(self, path: Path | None, stats: Stats, *, dry: bool = False) -> None:
        """Use this directory; nothing is touched before the block is entered."""
        self._stats = stats
        self._path = None if path is None else Path(os.path.abspath(path))
        self._dry = dry
        self._lock: FileLock | None = None
        self._journal = WorkJournal(self._path) if self._path is not None else None
        self.dead_letter_file = DeadLetters(self._path) if self._path is not None else None
        """The dead letters on disk; for ``in_thread`` alone while the run goes on."""
        self._thread: ThreadPoolExecutor | None = None
        self._done: list[str] = []
        self._marking: asyncio.Task[None] | None = None
        self._waiting: deque[tuple[str, str]] = deque()
        """Dead letters to write, oldest first, each with the line that it replaces, if any."""
        self._writing: asyncio.Task[None] | None = None
        self.dead_letters = 0
        """Dead letters written by this run."""

    def __enter__(self) -> Self:
        """Create and lock the directory.

        Raises:
            UsageError: Another run has locked it.
            OSError: It cannot be created.
        """
        if self._path is not None and not self._dry:
            self._path.mkdir(parents=True, exist_ok=True)
            try:
                self._lock = FileLock(self._path / "lock")
            except BlockingIOError as error:
                which = holder_of(self._path / "lock")
                message = (
                    f"another bot runs with the state directory {str(self._path)!r}{which}: "
                    "stop it, or give each bot its own"
                )
                raise UsageError(message, code="state-in-use") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Release the directory."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False)
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    async def in_thread(self, call: Callable[[*Args], T], *args: *Args) -> T:
        """Call a function that waits for the disk, in the thread of this directory alone.

        Components may have every thread of ``asyncio.to_thread``, and hang in it.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=POOL)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    def load(self) -> list[JournalEntry]:
        """Return the events that the last stop has stored.

        Raises:
            OSError: The journal cannot be read.
        """
        return [] if self._journal is None or self._dry else self._journal.load()

    def acknowledge(self, delivery: Delivery) -> None:
        """Mark the journal entry of a delivery as done, soon."""
        self._done.append(str(delivery.token))
        if (self._marking is None or self._marking.done()) and _loop_runs():
            self._marking = asyncio.create_task(self._mark_done(), name="journal")

    def will_redeliver(self, delivery: Delivery) -> bool:
        """Return False: storing its events replaces the journal."""
        del delivery
        return False

    async def flush(self) -> None:
        """Wait until all done entries are marked, and all dead letters are written.

        Dead letters that the disk does not take are lost, and logged as such.
        """
        while tasks := {
            task for task in (self._marking, self._writing) if task and not task.done()
        }:
            await asyncio.wait(tasks)
        if self._waiting and self.dead_letter_file is not None:
            await self._write_waiting(self.dead_letter_file)
        self.lose_waiting()

    async def written(self) -> None:
        """Wait until what is being written of the dead letters is; the disk may refuse it."""
        while self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing})

    async def write_again(self) -> bool:
        """Write what waits of the dead letters; return whether the disk has all of it now."""
        await self.written()
        if self._waiting and self.dead_letter_file is not None:
            self._writing = asyncio.create_task(
                self._write_waiting(self.dead_letter_file), name="dead letters"
            )
            await self.written()
        return not self._waiting

    def flush_now(self) -> None:
        """Write what waits for a task, in the calling thread: the loop does not answer."""
        if self._journal is not None and self._done:
            self._journal.mark_done(self._done)
        lines = [line for line, _ in self._waiting]
        if lines and self.dead_letter_file is not None:
            try:
                self.dead_letter_file.add(lines)
                self._waiting.clear()
            except OSError as error:
                path = self.dead_letter_file.path
                _LOG.error("cannot write %s: %s", path, reason_of(error, path))
        self.lose_waiting()

    def lose_waiting(self) -> None:
        """Count and log the dead letters that could not be written: they are lost."""
        while self._waiting:
            self._lose_first()

    def _lose_first(self) -> None:
        self._stats.lost += 1
        text = f"lost: a dead letter that cannot be written: {self._waiting.popleft()[0]}"
        _LOG.error(text)

    async def _mark_done(self) -> None:
        while self._done and self._journal is not None:
            entries, self._done = self._done, []
            await self.in_thread(self._journal.mark_done, entries)

    def store(self, unfinished: Sequence[Unfinished]) -> bool:
        """Store events for the next start, and return whether all of them are stored.

        Those that are not are lost: counted, and logged with all that is known of them.
        """
        if self._journal is None:
            self._lose([(one, "there is no state_dir") for one in unfinished])
            return False
        try:
            stored, lost = self._journal.store(unfinished)
        except OSError as error:
            reason = f"cannot write {self._journal.path}: {reason_of(error, self._journal.path)}"
            self._lose([(one, reason) for one in unfinished])
            return False
        if stored:
            self._stats.kept += stored
            _LOG.warning("%d events were not processed; the next start processes them", stored)
        self._lose(lost)
        return not lost

    def _lose(self, lost: Sequence[tuple[Unfinished, str]]) -> None:
        if not lost:
            return
        self._stats.lost += len(lost)
        _LOG.error("%d events were not processed and are lost: %s", len(lost), lost[0][1])
        for one, reason in lost:
            try:
                line = entry_line(one)
            except CodecError:
                line = f"{safe_repr(one.event)[:2000]}, for the behaviour {one.behaviour}"
            _LOG.error(f"lost: {reason}: {line}")

    def mark_of_dead_letters(self) -> object:
        """Return what changes with the file of the dead letters.

        Raises:
            OSError: It cannot be examined.
        """
        return None if self.dead_letter_file is None else self.dead_letter_file.mark()

    async def write_dead_letter(self, line: str, *, replaces: str = "") -> None:
        """Write a line of ``dead_letter_line``; without a state directory, log it.

        While the disk does not take it, it waits for the next one, or for the end.

        Args:
            line: The dead letter.
            replaces: The line of this run that it takes the place of.
        """
        self.dead_letters += not replaces
        if self.dead_letter_file is None or self._dry:
            if not replaces:
                _LOG.error(f"dead letter: {line}")
            return
        self.put_dead_letter(line, replaces)
        if self._writing is not None:
            await asyncio.shield(self._writing)

    def put_dead_letter(self, line: str, replaces: str = "") -> None:
        """Add a line to the dead letters, soon; ``flush`` waits for it."""
        if self.dead_letter_file is None or self._dry:
            return
        self._waiting.append((line, replaces))
        if len(self._waiting) > _MOST_WAITING:
            self._lose_first()
        # A task of its own: it is written even if the caller is cancelled.
        if (self._writing is None or self._writing.done()) and _loop_runs():
            self._writing = asyncio.create_task(
                self._write_waiting(self.dead_letter_file), name="dead letters"
            )

    async def _write_waiting(self, dead_letters: DeadLetters) -> None:
        while self._waiting:
            taken = [self._waiting.popleft()]
            while self._waiting and not (taken[0][1] or self._waiting[0][1]):
                taken.append(self._waiting.popleft())
            line, replaces = taken[0]
            try:
                if replaces:
                    await self.in_thread(dead_letters.replace, replaces, line)
                else:
                    await self.in_thread(dead_letters.add, [line for line, _ in taken])
            except Exception as error:  # noqa: BLE001 - the worker that waits for this goes on
                self._waiting.extendleft(reversed(taken))
                message = "cannot write %s: %s; %d dead letters wait for another try"
                path = dead_letters.path
                _LOG.error(message, path, reason_of(error, path), len(self._waiting))
                return


def _loop_runs() -> bool:
    """Return whether the caller runs in an event loop, and not in the thread that gives one up."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
