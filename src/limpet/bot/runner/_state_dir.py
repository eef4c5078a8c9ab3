"""The folder in which a run keeps what must not be lost: the journal, and the dead letters."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from mewbot.core import InputEvent

from limpet.bot.runner._dead_letters import Letters, letter
from limpet.bot.runner._work_journal import Entry, Journal, Left
from limpet.errors import UsageError

__all__ = ["Keep"]

_LOG: Final = logging.getLogger("limpet.bot.runner")


class Keep:
    """A state folder that one run holds; without a folder, what would be kept is said and lost."""

    def __init__(self, folder: Path | None, *, dry: bool = False) -> None:
        """Use this folder; nothing is touched before the block is entered."""
        self._folder = None if folder is None else Path(os.path.abspath(folder))
        self._dry = dry
        self._lock: Any = None
        self._journal = Journal(self._folder) if self._folder is not None else None
        self.letters = Letters(self._folder) if self._folder is not None else None
        self._done: list[str] = []
        self._noting: asyncio.Task[None] | None = None
        self._writes: set[asyncio.Task[None]] = set()
        self.buried = 0
        """Dead letters written."""

    def __enter__(self) -> Self:
        """Make the folder, and hold it alone.

        Raises:
            UsageError: Another run holds it.
            OSError: It cannot be made.
        """
        if self._folder is not None and not self._dry:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self._folder / "lock")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of it."""
        if self._journal is not None:
            self._journal.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def load(self) -> list[Entry]:
        """Give what the last stop has left.

        Raises:
            OSError: The journal cannot be read.
        """
        return [] if self._journal is None or self._dry else self._journal.load()

    def done(self, entry: str) -> None:
        """An entry of the journal is done; that is noted soon."""
        self._done.append(entry)
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._note(), name="journal")

    async def settled(self) -> None:
        """Return once all that is done is noted, and every dead letter is written."""
        while tasks := {task for task in (self._noting, *self._writes) if task and not task.done()}:
            await asyncio.wait(tasks)

    async def _note(self) -> None:
        while self._done and self._journal is not None:
            entries, self._done = self._done, []
            await asyncio.to_thread(self._journal.done, entries)

    def write(self, left: Sequence[Left]) -> bool:
        """Keep what is left for the next start; tells whether nobody need keep it otherwise."""
        if self._journal is None:
            if left:
                _LOG.warning("%d events were not done, and are kept nowhere (state_dir)", len(left))
            return False
        try:
            kept, lost = self._journal.keep(left)
        except OSError as error:
            _LOG.error("cannot write %s: %s; %d events", self._journal.path, error, len(left))
            return False
        if kept:
            _LOG.warning("%d events were not done; the next start does them", kept)
        return not lost

    async def bury(
        self,
        event: InputEvent,
        behaviour: str,
        name: str,
        step: str,
        attempts: int,
        error: BaseException,
        output: object = None,
    ) -> None:
        """Write a dead letter; where that cannot be, the log gets it."""
        self.buried += 1
        line = letter(
            event,
            behaviour=behaviour,
            name=name,
            step=step,
            attempts=attempts,
            error=error,
            output=output,
        )
        if self.letters is None or self._dry:
            _LOG.error("dead letter: %s", line)
            return
        # A task of its own: who waits for it may be broken off, and it is written all the same.
        task = asyncio.create_task(self._write_letter(self.letters, line))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        await asyncio.shield(task)

    async def _write_letter(self, letters: Letters, line: str) -> None:
        try:
            await asyncio.to_thread(letters.add, [line])
        except OSError as failure:
            _LOG.error("cannot write %s: %s; dead letter: %s", letters.path, failure, line)


def _locked(path: Path) -> Any:  # noqa: ANN401 - an open file
    file = path.open("a")
    try:
        fcntl: Any = import_module("fcntl")
    except ImportError:  # no advisory locks there
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        message = f"another bot runs with the state folder {str(path.parent)!r}: give each its own"
        raise UsageError(message, code="state-in-use") from error
    return file
