"""Triggers: which events a behaviour is about. Any one that matches is enough."""

from __future__ import annotations

import re
from typing import Any, cast

import pathspec
from mewbot.api.v1 import InputEvent, Trigger

from limpet._wire import EVENT_TYPES
from limpet.bot.events._input_events import FileSystemInputEvent, LinesAddedInputEvent
from limpet.bot.settings._setting import Configured, Setting
from limpet.bot.settings._template_fields import FIELDS
from limpet.bot.settings._validators import choice, fitting, listed, maybe, regex, text
from limpet.events import EntryEvent, Event, TargetEvent, event_name

__all__ = [
    "AllEventsTrigger",
    "ClassTrigger",
    "FileSystemTrigger",
    "GlobTrigger",
    "LinesTrigger",
    "RegexTrigger",
]


class AllEventsTrigger(Configured, Trigger):
    """Matches every event, of every input."""

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Take any event."""
        return {InputEvent}

    def matches(self, event: InputEvent) -> bool:
        """Say yes."""
        return True


class ClassTrigger(Configured, Trigger):
    """Matches events of a class, and of those derived from it, from whatever input."""

    event_class = Setting(
        text(), "", "Full name of the class, as my_bot.chat.Message.", required=True
    )

    def __init__(self, **unknown: object) -> None:
        """Remember which classes were looked at."""
        super().__init__(**unknown)
        self._known: dict[type, bool] = {}

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Take any event: which class it is to be is known only from the file."""
        return {InputEvent}

    def matches(self, event: InputEvent) -> bool:
        """Whether the event is of that class."""
        kind = type(event)
        found = self._known.get(kind)
        if found is None:
            names = {f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__}
            names |= {
                f"limpet.bot.{base.__qualname__}"
                for base in kind.__mro__
                if base.__module__.startswith("limpet.bot.")
            }
            found = self._known[kind] = self.event_class in names
        return found


class FileSystemTrigger(Configured, Trigger):
    """Matches what a ``FileSystem`` tells, by kind of event."""

    events = Setting(
        listed(choice(*EVENT_TYPES)),
        (),
        "Kinds such as file.created; without them everything that happens on disk.",
    )
    io = Setting(maybe(text()), None, "Only events of the FileSystem of this name or uuid.")
    target = Setting(
        cast("Any", choice("any", "only", "never")),
        "any",
        "only: what happens to the watched place itself; never: only what happens in it.",
    )

    def __init__(self, **unknown: object) -> None:
        """Remember which classes were looked at."""
        super().__init__(**unknown)
        self._known: dict[type[Event], bool] = {}

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Take what a ``FileSystem`` tells."""
        return {FileSystemInputEvent}

    def on_change(self, name: str) -> None:
        """Look at every class again."""
        self.__dict__["_known"] = {}

    def matches(self, event: InputEvent) -> bool:
        """Whether the event is of one of the kinds, and from the right place."""
        if not isinstance(event, FileSystemInputEvent) or isinstance(event, LinesAddedInputEvent):
            return False
        kind = type(event.event)
        found = self._known.get(kind)
        if found is None:
            found = self._known[kind] = self._is_meant(kind)
        return found and (self.io is None or self.io == event.io)

    def _is_meant(self, kind: type[Event]) -> bool:
        if self.target != "any" and issubclass(kind, TargetEvent) != (self.target == "only"):
            return False
        if not self.events:
            return issubclass(kind, EntryEvent)
        return event_name(kind) in self.events


def _globs(patterns: tuple[str, ...]) -> tuple[str, ...]:
    pathspec.GitIgnoreSpec.from_lines(patterns)
    return patterns


class GlobTrigger(FileSystemTrigger):
    """Matches by kind of event and by globs on the path below the watched folder.

    Globs are as in gitignore: ``*.pdf`` is any PDF, ``/in/*.pdf`` those directly in ``in``, and
    ``!draft*`` takes out again. Of a rename the new name counts.
    """

    globs = Setting(fitting(listed(text(), least=1), _globs), (), "The globs.", required=True)

    def on_change(self, name: str) -> None:
        """Put the globs together anew."""
        super().on_change(name)
        self.__dict__["_spec"] = pathspec.GitIgnoreSpec.from_lines(self.globs)

    def matches(self, event: InputEvent) -> bool:
        """Whether the kind fits, and the path one of the globs."""
        return super().matches(event) and bool(self.__dict__["_spec"].match_file(_rel(event)))


class RegexTrigger(FileSystemTrigger):
    """Matches by kind of event and by a regular expression on the path below the watched folder.

    It may match anywhere in the path; ``^`` and ``$`` hold on to its ends.
    """

    pattern = Setting(
        regex(),
        re.compile(""),
        "The expression, as Python's re has it.",
        plain=lambda pattern: pattern.pattern,
        required=True,
    )

    def matches(self, event: InputEvent) -> bool:
        """Whether the kind fits, and the path the expression."""
        return super().matches(event) and self.pattern.search(_rel(event)) is not None


class LinesTrigger(Configured, Trigger):
    """Matches lines that came to the end of a followed file (``input_mode: lines``)."""

    pattern = Setting(
        maybe(regex()),
        None,
        "Only if one of the lines has it, as Python's re has it.",
        plain=lambda pattern: None if pattern is None else pattern.pattern,
    )
    io = Setting(maybe(text()), None, "Only lines of the FileSystem of this name or uuid.")

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Take lines."""
        return {LinesAddedInputEvent}

    def matches(self, event: InputEvent) -> bool:
        """Whether a line fits."""
        if not isinstance(event, LinesAddedInputEvent):
            return False
        if self.io is not None and self.io != event.io:
            return False
        pattern = self.pattern
        return pattern is None or any(pattern.search(line) for line in event.lines)


def _rel(event: InputEvent) -> str:
    found = FIELDS["rel"](event)
    return "" if found is None else str(getattr(found, "as_posix", lambda: found)())
