"""What could not be done before the end, kept for the next start.

One JSON object a line: an event and the behaviour that has still to deal with it, then, as that is
done, lines that say so. The file is written anew in one step at each stop that leaves something,
and removed once all in it is done. An entry that is done and not noted, as after a kill, is done
again: at least once.
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

from limpet.bot.events._event_codec import CodecError, decode, encode

__all__ = ["Entry", "Journal", "Left", "Place", "write_whole"]

_LOG: Final = logging.getLogger("limpet.bot.journal")


@dataclass(frozen=True, slots=True)
class Place:
    """A step of a behaviour, so that what was done before it is not done again."""

    step: int
    actions: tuple[str, ...]
    """The classes of its actions: if they are others now, it begins anew."""
    state: dict[str, Any]
    """What the actions before it have left."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is to be kept."""

    entry: str | None
    """Its entry in the journal, if it comes from there."""
    behaviour: str
    event: InputEvent
    place: Place | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One event for one behaviour."""

    ident: str
    """Its own name in the journal."""
    behaviour: str
    """Which behaviour: as ``Lane.ident``."""
    event: InputEvent
    place: Place | None = None
    """How far the behaviour was; ``None`` is at the beginning."""


class Journal:
    """The journal in one folder. Synchronous; the runner calls what waits in a thread."""

    def __init__(self, folder: Path) -> None:
        """Use the file in this folder; nothing is read yet."""
        self.path = folder / "journal.jsonl"
        self._raw: dict[str, str] = {}
        """Entries that are not done -> their lines."""
        self._notes: IO[str] | None = None
        self._is_loaded = False
        self._turn = threading.RLock()

    def load(self) -> list[Entry]:
        """Give what is to be done, oldest first; what cannot be read is kept and said.

        Raises:
            OSError: The file is there and cannot be read.
        """
        with self._turn:
            return self._load()

    def _load(self) -> list[Entry]:
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
            self._raw[ident] = line
            try:
                event, place = decode(found["event"]), _place(found.get("place"))
                entries.append(Entry(ident, found["behaviour"], event, place))
            except (CodecError, KeyError) as error:
                _LOG.error("an entry of %s is kept and not done: %s", self.path, error)
                continue
        return entries

    def done(self, idents: Iterable[str]) -> None:
        """Note that entries are done; with the last one the file goes."""
        with self._turn:
            self._note(idents)

    def _note(self, idents: Iterable[str]) -> None:
        noted = [ident for ident in idents if self._raw.pop(ident, None) is not None]
        if not noted:
            return
        try:
            if not self._raw:
                self._close()
                self.path.unlink(missing_ok=True)
                return
            if self._notes is None:
                self._notes = self.path.open("a", encoding="utf-8")
            self._notes.writelines(json.dumps({"done": ident}) + "\n" for ident in noted)
            self._notes.flush()
        except OSError as error:
            _LOG.error("cannot note in %s what is done: %s", self.path, error)

    def keep(self, left: Iterable[Left]) -> tuple[int, int]:
        """Write what is left, in one step, in order.

        Entries of before that were not done stay. Gives how many are kept, and how many events have
        no form that could be kept; those are logged.

        Raises:
            OSError: The old file is unchanged.
        """
        with self._turn:
            if not self._is_loaded:  # stopped before it began: what is in it stays
                self._load()
            return self._keep(left)

    def _keep(self, left: Iterable[Left]) -> tuple[int, int]:
        lines: dict[str, str] = {}
        lost = 0
        for one in left:
            ident = one.entry or os.urandom(8).hex()
            try:
                wire: dict[str, Any] = {
                    "v": 1,
                    "id": ident,
                    "behaviour": one.behaviour,
                    "event": encode(one.event),
                    "place": _encoded_place(one.place),
                }
                lines[ident] = json.dumps(wire, ensure_ascii=False, allow_nan=False)
            except CodecError as error:
                lost += 1
                _LOG.error("this event is lost, for it cannot be kept: %s: %r", error, one.event)
        self._close()
        # Those of before in the order they had; they are older than what came since.
        lines = {ident: lines.get(ident, line) for ident, line in self._raw.items()} | lines
        if not lines:
            self.path.unlink(missing_ok=True)
            return 0, lost
        write_whole(self.path, "".join(line + "\n" for line in lines.values()))
        self._raw = lines
        return len(lines), lost

    def close(self) -> None:
        """Let go of the file."""
        self._close()

    def _close(self) -> None:
        notes, self._notes = self._notes, None
        if notes is not None:
            notes.close()


def _encoded_place(place: Place | None) -> object:
    if place is None:
        return None
    try:
        return {"step": place.step, "actions": place.actions, "state": encode(place.state)}
    except CodecError:
        return None  # what an action left cannot be kept, so all of them are done again


def _place(found: dict[str, Any] | None) -> Place | None:
    if found is None:
        return None
    return Place(int(found["step"]), tuple(found["actions"]), decode(found["state"]))


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, and have it on disk.

    Raises:
        OSError: The old file is unchanged.
    """
    temporary = path.with_name(f".limpet-{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
