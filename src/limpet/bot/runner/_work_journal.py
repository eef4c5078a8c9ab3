"""Events that were not processed before the end, stored for the next start.

One JSON object a line: an event and the behaviour that still has to process it; then, as they are
processed, lines that mark them done. Each stop that leaves events replaces the file in one step;
once all its entries are done, it is removed. An entry that was processed but not marked, as after
a kill, is processed again: at least once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from mewbot.core import InputEvent

from limpet._atomic_file import write_atomic
from limpet._surrogates import json_text
from limpet.bot.events._event_codec import CodecError, decode, encode

_LOG: Final = logging.getLogger("limpet.bot.journal")


@dataclass(frozen=True, slots=True)
class Progress:
    """The step a behaviour has reached, so that the steps before it are not repeated."""

    step: int
    actions: tuple[str, ...]
    """The classes of its actions, by their public names; if they differ now, it starts over."""
    state: dict[str, Any]
    """The state that the actions before it have left."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An event to store, for one behaviour."""

    entry: str | None
    """Its entry in the journal, if it came from there."""
    behaviour: str
    event: InputEvent
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A stored event, for one behaviour."""

    ident: str
    """Identifies the entry in the journal."""
    behaviour: str
    """Identifies the behaviour: as ``BehaviourQueue.ident``."""
    event: InputEvent
    progress: Progress | None = None
    """The progress of the behaviour; ``None`` is at the beginning."""


class WorkJournal:
    """The journal in one directory. Synchronous; the runner calls it in threads."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal.jsonl"
        self._lines: dict[str, str] = {}
        """Entries that are not done -> their lines."""
        self._done_file: IO[str] | None = None
        self._is_loaded = False
        self._lock = threading.RLock()

    def load(self) -> list[JournalEntry]:
        """Return the entries, oldest first; one that cannot be read stays, and is logged.

        Raises:
            OSError: The file exists and cannot be read.
        """
        with self._lock:
            return self._load()

    def _load(self) -> list[JournalEntry]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            text = ""
        self._is_loaded = True
        lines: dict[str, str] = {}
        for line in text.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                found = json.loads(line)
                if "done" in found:
                    lines.pop(found["done"], None)
                else:
                    lines[str(found["id"])] = line
        entries = []
        for ident, line in lines.items():
            found = json.loads(line)
            self._lines[ident] = line
            try:
                event, progress = decode(found["event"]), _progress(found.get("progress"))
                entries.append(JournalEntry(ident, found["behaviour"], event, progress))
            except (CodecError, KeyError) as error:
                _LOG.error("an entry of %s cannot be read and stays there: %s", self.path, error)
        return entries

    def mark_done(self, idents: Iterable[str]) -> None:
        """Mark entries as done; with the last one the file is removed."""
        with self._lock:
            self._mark_done(idents)

    def _mark_done(self, idents: Iterable[str]) -> None:
        done = [ident for ident in idents if self._lines.pop(ident, None) is not None]
        if not done:
            return
        try:
            if not self._lines:
                self.close()
                self.path.unlink(missing_ok=True)
                return
            if self._done_file is None:
                self._done_file = self.path.open("a", encoding="utf-8")
            self._done_file.writelines(json.dumps({"done": ident}) + "\n" for ident in done)
            self._done_file.flush()
        except OSError as error:
            _LOG.error("cannot mark entries of %s as done: %s", self.path, error)

    def store(self, unfinished: Iterable[Unfinished]) -> tuple[int, int]:
        """Write events in one step, in order; earlier entries that are not done stay.

        Returns:
            How many events are stored, and how many have no form in JSON; those are logged.

        Raises:
            OSError: The old file is unchanged.
        """
        with self._lock:
            if not self._is_loaded:  # stopped before it began: the entries stay
                self._load()
            return self._store(unfinished)

    def _store(self, unfinished: Iterable[Unfinished]) -> tuple[int, int]:
        lines: dict[str, str] = {}
        lost = 0
        for one in unfinished:
            ident = one.entry or os.urandom(8).hex()
            try:
                wire: dict[str, Any] = {
                    "v": 1,
                    "id": ident,
                    "behaviour": one.behaviour,
                    "event": encode(one.event),
                    "progress": _encoded(one.progress),
                }
                lines[ident] = json_text(wire, allow_nan=False)
            except CodecError as error:
                lost += 1
                _LOG.error(
                    "an event is lost, because it cannot be stored: %s: %r", error, one.event
                )
        self.close()
        # Earlier entries keep their order, and are older than the new ones.
        lines = {ident: lines.get(ident, line) for ident, line in self._lines.items()} | lines
        if not lines:
            self.path.unlink(missing_ok=True)
            return 0, lost
        write_atomic(self.path, "".join(line + "\n" for line in lines.values()).encode())
        self._lines = lines
        return len(lines), lost

    def close(self) -> None:
        file, self._done_file = self._done_file, None
        if file is not None:
            file.close()


def _encoded(progress: Progress | None) -> object:
    if progress is None:
        return None
    try:
        state = encode(progress.state)
    except CodecError:
        return None  # the state cannot be stored, so the behaviour starts over
    return {"step": progress.step, "actions": progress.actions, "state": state}


def _progress(found: dict[str, Any] | None) -> Progress | None:
    if found is None:
        return None
    return Progress(int(found["step"]), tuple(found["actions"]), decode(found["state"]))
