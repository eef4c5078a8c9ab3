"""Dead letters: events that were given up, as JSON lines to read and to replay."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mewbot.core import InputEvent

from limpet._dead_letter import dead_letter, shortened
from limpet._surrogates import json_text
from limpet.bot.events._event_codec import CodecError, decode, encode
from limpet.bot.settings._template_fields import wire_of

_LOG: Final = logging.getLogger("limpet.bot.dead_letters")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event that a behaviour gave up."""

    ident: str
    behaviour: str
    """Identifies the behaviour: as ``BehaviourQueue.ident``."""
    name: str
    """The name of the behaviour in messages."""
    line: str
    """The line in the file."""
    error: str
    event: InputEvent | None
    """``None`` if it cannot be decoded; then ``error`` is the reason."""


class DeadLetters:
    """The dead letters in one directory; synchronous, for any thread."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "dead-letters.jsonl"
        self.replaying_path = directory / "dead-letters.replaying.jsonl"
        """Those that a replay has taken and not finished."""
        self._lock = threading.Lock()

    def add(self, lines: list[str]) -> None:
        """Append lines, and sync them to disk.

        Raises:
            OSError: They may be missing.
        """
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())

    def take(self) -> Path | None:
        """Rename the file for a replay, and return its path; ``None`` if there is none.

        A file that an earlier replay has not finished comes first.
        """
        if not self.replaying_path.exists():
            with contextlib.suppress(FileNotFoundError):
                self.path.replace(self.replaying_path)
        return self.replaying_path if self.replaying_path.exists() else None

    @staticmethod
    def read(path: Path) -> list[DeadLetter]:
        """Return the dead letters of a file; a line that is none is logged.

        Raises:
            OSError: The file cannot be read.
        """
        found = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                wire = json.loads(line)
                ident, behaviour = str(wire["id"]), wire["behaviour"]
                name, error = str(behaviour["name"]), str(wire["error"]["message"])
            except (ValueError, KeyError, TypeError):
                _LOG.error("a line of %s is not a dead letter: %.200s", path, line)
                continue
            event = None
            try:
                event = decode(wire["event"])
            except (CodecError, KeyError) as failure:
                error = f"the event cannot be decoded: {failure}"
            found.append(DeadLetter(ident, str(behaviour["id"]), name, line, error, event))
        return found


def dead_letter_line(
    event: InputEvent,
    *,
    behaviour: str,
    name: str,
    step: str,
    attempts: int,
    error: BaseException,
    output: object = None,
) -> str:
    """Return a dead letter as a line of its file; ``output`` is the output event that failed."""
    details = {"behaviour": {"id": behaviour, "name": name}, "step": step, "about": wire_of(event)}
    wire = dead_letter(_encoded(event), attempts=attempts, error=error, **details)
    if output is not None:
        wire["output"] = _encoded(output)
    return json_text(wire, default=str)


def _encoded(value: object) -> object:
    try:
        return encode(value)
    except CodecError as error:
        return {"$": "unknown", "v": shortened(repr(value)), "why": str(error)}
