"""Events that were not processed before the end, stored for the next start.

One JSON object a line: an event and the behaviour that still has to process it; then, as they are
processed, lines that mark them done. Each stop that leaves events replaces the file in one step;
once all its entries are done, it is removed. An entry that was processed but not marked, as after
a kill, is processed again: at least once.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

from mewbot.core import InputEvent

from limpet._atomic_file import write_atomic
from limpet._error_text import reason_of
from limpet.bot.events._event_codec import CodecError, decode, encode
from limpet.bot.runner._json_lines import (
    VERSION,
    Damaged,
    append_lines,
    encoded,
    read_lines,
    set_aside,
)

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
    ident: str
    """Identifies its entry from now on."""
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
        self._lines: dict[str, bytes] = {}
        """Entries that are not done -> their lines."""
        self._is_loaded = False
        self._lock = threading.RLock()

    def load(self) -> list[JournalEntry]:
        """Return the entries, oldest first.

        A damaged line is set aside. An entry of a class that is not loaded, or of another version,
        stays for a bot that can read it, and is logged.

        Raises:
            OSError: The file exists and cannot be read.
        """
        with self._lock:
            return self._load()

    def _load(self) -> list[JournalEntry]:
        found, damaged = read_lines(self.path)
        self._is_loaded = True
        open_entries: dict[str, tuple[bytes, dict[str, Any]]] = {}
        for line, wire in found:
            done = wire.get("done")
            if isinstance(done, str):
                open_entries.pop(done, None)
            elif reason := _fault(wire):
                damaged.append(Damaged(line, reason))
            else:
                open_entries[wire["id"]] = line, wire
        self._lines = {ident: line for ident, (line, _) in open_entries.items()}
        if damaged:
            if not set_aside(self.path, damaged):
                self._lines |= {f"damaged {at}": one.line for at, one in enumerate(damaged)}
            self._replace_quietly()
        entries = []
        for ident, (_, wire) in open_entries.items():
            try:
                entries.append(_entry(ident, wire))
            except CodecError as error:
                _LOG.error("an entry of %s cannot be read and stays there: %s", self.path, error)
        return entries

    def _replace_quietly(self) -> None:
        """Write the file without what was set aside; if that fails, it is set aside once more."""
        try:
            self._replace(self._lines)
        except OSError as error:
            _LOG.error("cannot write %s: %s", self.path, reason_of(error, self.path))

    def _replace(self, lines: dict[str, bytes]) -> None:
        if lines:
            write_atomic(self.path, b"".join(line + b"\n" for line in lines.values()))
        else:
            self.path.unlink(missing_ok=True)

    def mark_done(self, idents: Iterable[str]) -> None:
        """Mark entries as done; with the last one the file is removed."""
        with self._lock:
            self._mark_done(idents)

    def _mark_done(self, idents: Iterable[str]) -> None:
        done = [ident for ident in idents if self._lines.pop(ident, None) is not None]
        if not done:
            return
        try:
            if self._lines:
                marks = [json.dumps({"done": ident}) for ident in done]
                append_lines(self.path, marks, durable=False)
            else:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            message = "cannot mark entries of %s as done: %s"
            _LOG.error(message, self.path, reason_of(error, self.path))

    def store(self, unfinished: Iterable[Unfinished]) -> tuple[int, list[tuple[Unfinished, str]]]:
        """Write events in one step, in order; earlier entries that are not done stay.

        Returns:
            How many events are stored, and those that have no form in JSON, with the reason.

        Raises:
            OSError: The old file is unchanged.
        """
        with self._lock:
            if not self._is_loaded:  # stopped before it began: the entries stay
                self._load()
            return self._store(unfinished)

    def _store(self, unfinished: Iterable[Unfinished]) -> tuple[int, list[tuple[Unfinished, str]]]:
        lines: dict[str, bytes] = {}
        lost = []
        for one in unfinished:
            try:
                lines[one.ident] = encoded(entry_line(one))
            except CodecError as error:
                lost.append((one, str(error)))
        # Earlier entries keep their order, and are older than the new ones.
        lines = {ident: lines.get(ident, line) for ident, line in self._lines.items()} | lines
        self._replace(lines)
        self._lines = lines
        return len(lines), lost


def entry_line(one: Unfinished) -> str:
    """Return an event as a line of the journal.

    Raises:
        CodecError: It has no form in JSON.
    """
    wire = {
        "v": VERSION,
        "id": one.ident,
        "behaviour": one.behaviour,
        "event": encode(one.event),
        "progress": progress_to_wire(one.progress),
    }
    return json.dumps(wire, ensure_ascii=False, allow_nan=False)


def progress_to_wire(progress: Progress | None) -> object:
    """Return a progress in a form for JSON; ``None``, the beginning, if its state has none."""
    if progress is None:
        return None
    try:
        state = encode(progress.state)
    except CodecError as error:
        message = (
            "the state that the actions have left cannot be stored, so that all are repeated: %s"
        )
        _LOG.warning(message, error)
        return None
    return {"step": progress.step, "actions": progress.actions, "state": state}


def progress_from_wire(found: object) -> Progress | None:
    """Return the progress that was stored.

    Raises:
        CodecError: It is damaged.
    """
    if found is None:
        return None
    if isinstance(found, dict):
        step, actions, state = (found.get(key) for key in ("step", "actions", "state"))
        if type(step) is int and _is_names(actions):
            decoded = decode(state)
            if isinstance(decoded, dict) and all(isinstance(key, str) for key in decoded):
                return Progress(step, tuple(actions), decoded)
    message = "its progress is damaged"
    raise CodecError(message)


def _is_names(found: Any) -> TypeGuard[list[str]]:  # noqa: ANN401 - from a file
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


def event_from_wire(found: object) -> InputEvent:
    """Return the event that was stored.

    Raises:
        CodecError: It is damaged, no event, or of a class that is not loaded.
    """
    event = decode(found)
    if not isinstance(event, InputEvent):
        message = f"it is not an event but a {type(event).__name__}"
        raise CodecError(message)
    return event


def _fault(wire: dict[str, Any]) -> str:
    """Return why an object is not an entry; empty if it may be one."""
    if not isinstance(wire.get("id"), str) or not wire["id"]:
        return "it has no id"
    if not isinstance(wire.get("v"), int):
        return "it has no version"
    return ""


def _entry(ident: str, wire: dict[str, Any]) -> JournalEntry:
    """Return a stored entry.

    Raises:
        CodecError: It cannot be read.
    """
    if wire["v"] != VERSION:
        message = f"it is of version {wire['v']}, and this limpet reads {VERSION}"
        raise CodecError(message)
    if not isinstance(wire.get("behaviour"), str):
        message = "it names no behaviour"
        raise CodecError(message)
    event = event_from_wire(wire.get("event"))
    return JournalEntry(ident, wire["behaviour"], event, progress_from_wire(wire.get("progress")))
