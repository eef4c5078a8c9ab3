"""The replay of dead letters: which are taken, where each goes on, and what became of it.

A dead letter goes on at the step that failed, with the state that the steps before it have left,
and at the place where its file is now. It ends only when its event was processed: one that fails
again, that a condition does not pass, or that is not reached, stays.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mewbot.core import BehaviourInterface, InputEvent

from limpet._error_text import reason_of
from limpet.bot._components import Components
from limpet.bot._delivery import Delivery, Earlier, Fate
from limpet.bot.actions._archive import MoveProcessedFileAction
from limpet.bot.events._event_codec import CodecError
from limpet.bot.events._host_path import HostPath
from limpet.bot.events._input_events import FileSystemInputEvent
from limpet.bot.runner._dead_letters import DeadLetter, DeadLetters
from limpet.bot.runner._state_dir import StateDir
from limpet.bot.runner._work_journal import Progress, Unfinished, progress_to_wire
from limpet.errors import UsageError
from limpet.events import FileDeleted, FileEvent

_LOG: Final = logging.getLogger("limpet.bot.replay")


@dataclass(slots=True)
class ReplayReport:
    """What became of the dead letters: the number of each."""

    done: int = 0
    """Processed, and removed from the dead letters."""
    failed: int = 0
    """Failed again."""
    skipped: int = 0
    """Not processed: no trigger matched, a condition did not pass, or the file is not there."""
    unreadable: int = 0
    """Not tried: the event cannot be read, or its behaviour is not in the bot."""
    not_reached: int = 0
    """Not tried, or not to the end: the replay was stopped, or was a dry run."""
    not_asked: int = 0
    """Not tried: other ids were given."""
    busy: int = 0
    """Not tried: they are being processed again already."""

    @property
    def left(self) -> int:
        """Return how many dead letters there are now."""
        tried = self.failed + self.skipped
        return tried + self.unreadable + self.not_reached + self.not_asked + self.busy


class FileGoneError(LookupError):
    """The file of a dead letter is at none of the places where it could be."""


class Replay:
    """One replay. It is the source of its deliveries."""

    def __init__(self, directory: Path, *, only: Sequence[str] = (), dry: bool = False) -> None:
        """Prepare a replay; nothing is read before ``load``.

        Args:
            directory: The state directory.
            only: The ids of the dead letters to process; empty for all.
            dry: Change nothing.
        """
        self.report = ReplayReport()
        self._only = set(only)
        self._dry = dry
        self._dead_letters = DeadLetters(directory)
        self._chosen: dict[str, tuple[DeadLetter, InputEvent, Progress | None]] = {}
        self._open = 0
        """How many of them have not ended."""
        self.ended = asyncio.Event()
        """Set once all that were chosen have ended; or by who stops before."""
        self._state_dir: StateDir | None = None

    def load(
        self, components: Components, state_dir: StateDir, *, busy: Collection[str] = ()
    ) -> None:
        """Read the dead letters, and choose those to process; in the locked state directory.

        Args:
            components: The bot that processes them.
            state_dir: Where they are.
            busy: The ids of those that another replay processes, which are left to it.

        Raises:
            UsageError: There is no dead letter of an id that was given.
            OSError: The dead letters cannot be read.
        """
        self._state_dir = state_dir
        self._dead_letters = state_dir.dead_letter_file or self._dead_letters
        found = self._dead_letters.read()
        if unknown := self._only - {one.ident for one in found}:
            shown = ", ".join(sorted(map(repr, unknown)))
            message = f"there is no dead letter {shown}: see 'limpet dead-letters list'"
            raise UsageError(message)
        behaviours = {ident: behaviour for behaviour, ident in components.active()}
        for one in found:
            if self._only and one.ident not in self._only:
                self.report.not_asked += 1
                continue
            if one.ident in busy:
                self.report.busy += 1
                continue
            try:
                event, progress = one.event(), one.progress()
                if one.behaviour not in behaviours:
                    message = f"there is no behaviour {one.behaviour}"
                    raise LookupError(message)
                event = where_it_lies(event, behaviours[one.behaviour])
            except FileGoneError as error:
                self.report.skipped += 1
                _LOG.error("the dead letter %s was skipped and stays: %s", one.ident, error)
            except (CodecError, LookupError) as error:
                self.report.unreadable += 1
                _LOG.error("the dead letter %s stays: %s", one.ident, error)
            else:
                self._chosen[one.ident] = one, event, progress
        self.report.not_reached = self._open = len(self._chosen)

    @property
    def idents(self) -> frozenset[str]:
        """Return the ids of those that were chosen."""
        return frozenset(self._chosen)

    def stored(self) -> Iterator[tuple[Delivery, str, Progress | None]]:
        """Yield what the dispatcher replays: each event, its behaviour, and where it goes on."""
        for ident, (one, event, progress) in self._chosen.items():
            delivery = Delivery(event, self, ident)
            tries = one.wire.get("tries")
            delivery.dead_letter = Earlier(ident, tuple(tries) if isinstance(tries, list) else ())
            yield delivery, one.behaviour, progress

    def acknowledge(self, delivery: Delivery) -> None:
        """Count what became of a dead letter, and end it if its event was processed."""
        ident, fate, report = str(delivery.token), delivery.fate, self.report
        self._open -= 1
        if self._open == 0:
            self.ended.set()
        if self._dry:
            return
        report.not_reached -= 1
        if fate is None:
            report.unreadable += 1
            _LOG.error("the dead letter %s stays: its behaviour is not in the bot any more", ident)
        elif fate is Fate.DONE:
            report.done += 1
            self._put(json.dumps({"done": ident}))
        elif fate is Fate.SKIPPED:
            report.skipped += 1
            message = (
                "the dead letter %s was skipped and stays: no trigger matched, or a condition "
                "did not pass, for %s"
            )
            _LOG.warning(message, ident, self._chosen[ident][0].about)
        else:
            report.failed += 1

    def will_redeliver(self, delivery: Delivery) -> bool:
        """Return True: what is not processed stays a dead letter."""
        del delivery
        return True

    def keep(self, unfinished: Iterable[tuple[Delivery, Unfinished]]) -> None:
        """Note how far unfinished dead letters have come, for the next replay."""
        for delivery, one in unfinished:
            found = self._chosen.get(str(delivery.token))
            if found is None or one.progress is None or one.progress == found[2]:
                continue
            wire = found[0].wire | {"progress": progress_to_wire(one.progress)}
            self._put(json.dumps(wire, ensure_ascii=False))

    def tidy(self) -> None:
        """Rewrite the file without what is done; if that fails, the next replay does."""
        if self._dry:
            return
        try:
            self._dead_letters.tidy()
        except OSError as error:
            path = self._dead_letters.path
            _LOG.error("cannot tidy %s: %s", path, reason_of(error, path))

    def _put(self, line: str) -> None:
        if self._state_dir is not None:
            self._state_dir.put_dead_letter(line)


def where_it_lies(
    event: InputEvent,
    behaviour: BehaviourInterface,
    *,
    exists: Callable[[str | os.PathLike[str]], bool] = os.path.lexists,
) -> InputEvent:
    """Return the event with the place where its file is now.

    That is where ``MoveProcessedFileAction`` has put it, or the reported place, if somebody has put
    it back. A dead letter that does not know is looked up in the directory for failures.

    Raises:
        FileGoneError: It was moved, and is at neither place.
    """
    if not isinstance(event, FileSystemInputEvent) or not isinstance(event.event, FileEvent):
        return event
    reported = event.event.path
    if isinstance(event.event, FileDeleted) or isinstance(reported, HostPath):
        return event
    if event.moved is not None:
        if exists(event.moved):
            return event
        if exists(reported):
            return event.at(None)
        message = f"the file is neither at {event.moved} nor at {reported}"
        raise FileGoneError(message)
    if exists(reported):
        return event
    for action in getattr(behaviour, "actions", ()):
        if isinstance(action, MoveProcessedFileAction):
            moved = action.find_failed(event)
            if moved is not None:
                return event.at(moved)
    return event
