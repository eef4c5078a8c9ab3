"""The state directory of a run: its lock, its journal, and its dead letters."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from limpet._file_lock import FileLock
from limpet.bot._delivery import Delivery
from limpet.bot.runner._dead_letters import DeadLetters
from limpet.bot.runner._work_journal import JournalEntry, Unfinished, WorkJournal
from limpet.errors import UsageError

_LOG: Final = logging.getLogger("limpet.bot.runner")


class StateDir:
    """A state directory that one run has locked; without a path, losses are logged.

    It is the source of the deliveries from its journal.
    """

    def __init__(self, path: Path | None, *, dry: bool = False) -> None:
        """Use this directory; nothing is touched before the block is entered."""
        self._path = None if path is None else Path(os.path.abspath(path))
        self._dry = dry
        self._lock: FileLock | None = None
        self._journal = WorkJournal(self._path) if self._path is not None else None
        self._dead_letters = DeadLetters(self._path) if self._path is not None else None
        self._done: list[str] = []
        self._marking: asyncio.Task[None] | None = None
        self._writes: set[asyncio.Task[None]] = set()
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
                message = (
                    f"another bot runs with the state directory {str(self._path)!r}: "
                    "give each bot its own"
                )
                raise UsageError(message, code="state-in-use") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Release the directory."""
        if self._journal is not None:
            self._journal.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def load(self) -> list[JournalEntry]:
        """Return the events that the last stop has stored.

        Raises:
            OSError: The journal cannot be read.
        """
        return [] if self._journal is None or self._dry else self._journal.load()

    def acknowledge(self, delivery: Delivery) -> None:
        """Mark the journal entry of a delivery as done, soon."""
        self._done.append(str(delivery.token))
        if self._marking is None or self._marking.done():
            self._marking = asyncio.create_task(self._mark_done(), name="journal")

    def will_redeliver(self, delivery: Delivery) -> bool:
        """Return False: storing its events replaces the journal."""
        del delivery
        return False

    async def flush(self) -> None:
        """Wait until all done entries are marked, and all dead letters are written."""
        while tasks := {
            task for task in (self._marking, *self._writes) if task and not task.done()
        }:
            await asyncio.wait(tasks)

    async def _mark_done(self) -> None:
        while self._done and self._journal is not None:
            entries, self._done = self._done, []
            await asyncio.to_thread(self._journal.mark_done, entries)

    def store(self, unfinished: Sequence[Unfinished]) -> bool:
        """Store events for the next start, and return whether all of them are stored."""
        if self._journal is None:
            if unfinished:
                message = "%d events were not processed and are lost: there is no state_dir"
                _LOG.warning(message, len(unfinished))
            return False
        try:
            stored, lost = self._journal.store(unfinished)
        except OSError as error:
            message = "cannot write %s: %s; %d events"
            _LOG.error(message, self._journal.path, error, len(unfinished))
            return False
        if stored:
            _LOG.warning("%d events were not processed; the next start processes them", stored)
        return not lost

    async def write_dead_letter(self, line: str) -> None:
        """Write a line of ``dead_letter_line``; where that is impossible, log it."""
        self.dead_letters += 1
        if self._dead_letters is None or self._dry:
            _LOG.error("dead letter: %s", line)
            return
        # A task of its own: it is written even if the caller is cancelled.
        task = asyncio.create_task(self._write(self._dead_letters, line))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        await asyncio.shield(task)

    async def _write(self, dead_letters: DeadLetters, line: str) -> None:
        try:
            await asyncio.to_thread(dead_letters.add, [line])
        except OSError as failure:
            _LOG.error("cannot write %s: %s; dead letter: %s", dead_letters.path, failure, line)
