"""Dead letters: events that were given up, as JSON lines to read and to replay.

The file is a log: the last line of an id is the dead letter, and ``{"done": id}`` ends it. So each
change is one line at the end, and a kill between two of them neither loses a dead letter nor makes
two of one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mewbot.core import InputEvent

from limpet._atomic_file import write_atomic
from limpet._dead_letter import dead_letter, shortened
from limpet._error_text import safe_repr
from limpet._file_stat import identity_of
from limpet.bot.events._event_codec import CodecError, encode
from limpet.bot.runner._json_lines import (
    VERSION,
    Damaged,
    append_lines,
    read_lines,
    replace_last,
    set_aside,
)
from limpet.bot.runner._work_journal import (
    Progress,
    event_from_wire,
    progress_from_wire,
    progress_to_wire,
)
from limpet.bot.settings._template_fields import wire_of

_LOG: Final = logging.getLogger("limpet.bot.dead_letters")


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a step that failed."""

    at: str
    """When it failed, in ISO 8601."""
    step: str
    """What failed: a step, or an output event and the output."""
    type: str
    """The class of the error."""
    message: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event that a behaviour gave up."""

    ident: str
    behaviour: str
    """Identifies the behaviour: as ``BehaviourQueue.ident``."""
    name: str
    """The name of the behaviour in messages."""
    at: str
    """When it was given up, in ISO 8601."""
    step: str
    """The step that failed."""
    attempts: int
    """How often that was tried."""
    about: str
    """The path of the event or, if it has none, its type."""
    path: str | None
    """The path: where the file was when it was given up, or moved to then."""
    error: str
    error_type: str
    traceback: str
    """Of the last failure; empty in a record of an earlier version."""
    tries: tuple[Try, ...]
    """The tries that failed, oldest first, of replays too; at most the 20 newest."""
    line: bytes
    """The line in the file."""
    wire: dict[str, Any]
    """The same as an object."""

    def event(self) -> InputEvent:
        """Return the event.

        Raises:
            CodecError: It cannot be read; the message has the reason.
        """
        if self.wire["v"] != VERSION:
            message = f"it is of version {self.wire['v']}, and this limpet reads {VERSION}"
            raise CodecError(message)
        event = self.wire.get("event")
        if isinstance(event, dict) and event.get("$") == "unknown":
            message = f"its event could not be stored: {event.get('why')}"
            raise CodecError(message)
        return event_from_wire(event)

    def progress(self) -> Progress | None:
        """Return the progress of the behaviour: where a replay goes on.

        Raises:
            CodecError: It cannot be read; the message has the reason.
        """
        return progress_from_wire(self.wire.get("progress"))


class DeadLetters:
    """The dead letters in one directory; synchronous, for any thread."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "dead-letters.jsonl"
        self._before = directory / "dead-letters.replaying.jsonl"
        """Where an earlier version kept those that a replay had taken and not finished."""
        self._lock = threading.Lock()

    def add(self, lines: Sequence[str]) -> None:
        """Append dead letters, and sync them to disk; one of a known id replaces that one.

        Raises:
            OSError: They are missing.
        """
        with self._lock:
            append_lines(self.path, lines)

    def replace(self, old: str, new: str) -> None:
        """Put a longer line in the place of the last one; if others came since, at the end.

        Raises:
            OSError: The old one is there, unless the system has crashed in the middle.
        """
        with self._lock:
            if not replace_last(self.path, old, new):
                append_lines(self.path, [new])

    def mark(self) -> object:
        """Return what changes whenever their files do: it costs less than reading them.

        Raises:
            OSError: They cannot be examined.
        """
        return tuple(_mark_of(path) for path in (self._before, self.path))

    def read(self) -> list[DeadLetter]:
        """Return the dead letters, oldest first; log other lines, and leave them in the file.

        Raises:
            OSError: The file cannot be read.
        """
        with self._lock:
            found, damaged = self._read()
        for one in damaged:
            _LOG.error("a line of %s is not a dead letter: %s", self.path, one.reason)
        return found

    def drop(self, idents: Collection[str]) -> int:
        """End dead letters that nobody wants to process, and return how many that were.

        Raises:
            OSError: They are still there.
        """
        found = [one.ident for one in self.read() if one.ident in idents]
        if found:
            self.add([json.dumps({"done": ident}) for ident in found])
            self.tidy()
        return len(found)

    def tidy(self) -> None:
        """Rewrite the file without what is done; damaged lines are set aside with their reasons.

        The file is removed when no dead letter is left.

        Raises:
            OSError: The file is as it was.
        """
        with self._lock:
            found, damaged = self._read()
            lines = [one.line for one in found]
            if not set_aside(self.path, damaged):
                lines += [one.line for one in damaged]
            if lines:
                write_atomic(self.path, b"".join(line + b"\n" for line in lines))
            else:
                self.path.unlink(missing_ok=True)
            self._before.unlink(missing_ok=True)

    def _read(self) -> tuple[list[DeadLetter], list[Damaged]]:
        before, damaged = read_lines(self._before)
        lines, more = read_lines(self.path)
        damaged += more
        found: dict[str, DeadLetter] = {}
        for line, wire in [*before, *lines]:
            if isinstance(wire.get("done"), str):
                found.pop(wire["done"], None)
                continue
            try:
                one = _dead_letter(line, wire)
            except (KeyError, TypeError, ValueError) as error:
                damaged.append(
                    Damaged(line, f"it is not a dead letter: {type(error).__name__} {error}")
                )
            else:
                found[one.ident] = one
        return list(found.values()), damaged


def _mark_of(path: Path) -> object:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return *identity_of(found), found.st_size, found.st_mtime_ns


def _dead_letter(line: bytes, wire: dict[str, Any]) -> DeadLetter:
    behaviour, about = wire["behaviour"], wire.get("about")
    if not isinstance(wire["id"], str) or not isinstance(wire["v"], int):
        message = "of its id or its version"
        raise TypeError(message)
    facts = about if isinstance(about, dict) else {}
    path = _path(facts)
    error = wire["error"]
    return DeadLetter(
        ident=wire["id"],
        behaviour=str(behaviour["id"]),
        name=str(behaviour["name"]),
        at=str(wire.get("at", "")),
        step=str(wire.get("step", "")),
        attempts=int(wire.get("attempts", 0)),
        about=path or str(facts.get("type") or ""),
        path=path or None,
        error=str(error["message"]),
        error_type=str(error.get("type", "")),
        traceback=str(error.get("traceback", "")),
        tries=tuple(_tries(wire.get("tries"))),
        line=line,
        wire=wire,
    )


def _path(facts: dict[str, Any]) -> str:
    """Return the path of an event in its form for commands; also one that is not UTF-8."""
    raw = facts.get("path_b64")
    if isinstance(raw, str):
        with contextlib.suppress(ValueError):
            return os.fsdecode(base64.b64decode(raw, validate=True))
    return str(facts.get("path") or "")


def _tries(found: object) -> Iterator[Try]:
    """Yield the tries of a record; what is none of them, somebody has written into the file."""
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict):
            yield Try(*(str(one.get(key, "")) for key in ("at", "step", "type", "message")))


def dead_letter_line(
    event: InputEvent,
    *,
    behaviour: str,
    name: str,
    step: str,
    attempts: int,
    error: BaseException,
    output: object = None,
    progress: Progress | None = None,
    ident: str | None = None,
    tries: Sequence[object] = (),
) -> str:
    """Return a dead letter as a line of its file. Raises nothing.

    Args:
        event: The event; one without a form in JSON is described.
        behaviour: Identifies the behaviour.
        name: Its name in messages.
        step: The step that failed.
        attempts: How often it was tried.
        error: The last failure.
        output: The output event that failed, if it was one.
        progress: Where a replay goes on.
        ident: The dead letter that this one replaces.
        tries: The records of the tries that failed, oldest first.
    """
    wire = dead_letter(
        _described(event), attempts=attempts, error=error, ident=ident, tries=tries,
        behaviour={"id": behaviour, "name": name}, step=step, about=_about(event),
        progress=progress_to_wire(progress),
    )  # fmt: skip
    if output is not None:
        wire["output"] = _described(output)
    return json.dumps(wire, ensure_ascii=False)


def _described(value: object) -> object:
    try:
        return encode(value)
    except CodecError as error:
        return {"$": "unknown", "v": shortened(safe_repr(value)), "why": shortened(str(error))}


def _about(event: InputEvent) -> object:
    """Return the event as commands get it; of one that cannot be read, its class."""
    try:
        found = wire_of(event)
        json.dumps(found)
    except Exception:  # noqa: BLE001 - foreign classes may raise anything, even when they are read
        return {"type": type(event).__name__}
    return found
