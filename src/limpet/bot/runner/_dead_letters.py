"""Dead letters: what failed for good, as JSON lines to be read, and done with ``replay``."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mewbot.core import InputEvent

from limpet.bot.events._event_codec import CodecError, decode, encode
from limpet.bot.settings._template_fields import wire_of

__all__ = ["DeadLetter", "Letters", "letter"]

_LONGEST: Final = 2000
"""Characters of an error's text: an error may carry a whole file."""

_LOG: Final = logging.getLogger("limpet.bot.letters")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event that a behaviour could not deal with."""

    ident: str
    behaviour: str
    """Which behaviour: as ``Lane.ident``."""
    name: str
    """What the behaviour is called."""
    line: str
    """As it stands in the file."""
    error: str
    event: InputEvent | None
    """``None`` if it cannot be made again; ``error`` says why not."""


class Letters:
    """The dead letters in one folder; synchronous, for any thread."""

    def __init__(self, folder: Path) -> None:
        """Use the file in this folder."""
        self.path = folder / "dead-letters.jsonl"
        self._turn = threading.Lock()

    def add(self, lines: list[str]) -> None:
        """Add letters as they stand.

        Raises:
            OSError: They are not there.
        """
        with self._turn, self.path.open("a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())

    def take(self) -> Path | None:
        """Put the file aside to work on it; ``None`` if there is none.

        One that was put aside before and not finished comes first.
        """
        aside = self.path.with_name("dead-letters.replaying.jsonl")
        if not aside.exists():
            with contextlib.suppress(FileNotFoundError):
                self.path.replace(aside)
        return aside if aside.exists() else None

    @staticmethod
    def read(path: Path) -> list[DeadLetter]:
        """Read letters.

        Raises:
            OSError: The file cannot be read.
        """
        found = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                wire = json.loads(line)
                ident, behaviour = str(wire["id"]), wire["behaviour"]
                name, said = str(behaviour["name"]), str(wire["error"]["message"])
            except (ValueError, KeyError, TypeError):
                _LOG.error("a line of %s is no dead letter: %.200s", path, line)
                continue
            event = None
            try:
                event = decode(wire["event"])
            except (CodecError, KeyError) as error:
                said = f"it cannot be made again: {error}"
            found.append(DeadLetter(ident, str(behaviour["id"]), name, line, said, event))
        return found


def letter(
    event: InputEvent,
    *,
    behaviour: str,
    name: str,
    step: str,
    attempts: int,
    error: BaseException,
    output: object = None,
) -> str:
    """Give a dead letter as one line of JSON."""
    wire: dict[str, Any] = {
        "v": 1,
        "id": os.urandom(8).hex(),
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "behaviour": {"id": behaviour, "name": name},
        "step": step,
        "attempts": attempts,
        "error": {"type": type(error).__name__, "message": _cut(str(error))},
        "about": wire_of(event),
        "event": _encoded(event),
    }
    if output is not None:
        wire["output"] = _encoded(output)
    return json.dumps(wire, ensure_ascii=False, default=str)


def _encoded(value: object) -> object:
    try:
        return encode(value)
    except CodecError as error:
        return {"$": "unknown", "v": _cut(repr(value)), "why": str(error)}


def _cut(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
