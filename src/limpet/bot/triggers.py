"""Triggers: the events that a behaviour reacts to. One match is enough."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import pathspec
from mewbot.api.v1 import InputEvent, Trigger
from pydantic import AfterValidator

from limpet._setting_types import OneOf, OneOrMore, Regex, Text
from limpet._wire import EVENT_TYPES
from limpet.bot.events._input_events import FileSystemInputEvent, LinesAddedInputEvent
from limpet.bot.settings._setting import Configured, Setting
from limpet.bot.settings._template_fields import FIELDS
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
        """Accept any event."""
        return {InputEvent}

    def matches(self, event: InputEvent) -> bool:
        """Return True."""
        return True


class ClassTrigger(Configured, Trigger):
    """Matches events of a class, and of those derived from it, from whatever input."""

    event_class: Text = Setting(description="Full name of the class, such as my_bot.chat.Message.")

    def __init__(self, **unknown: object) -> None:
        super().__init__(**unknown)
        self._known: dict[type, bool] = {}

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Accept any event: only the file names the class."""
        return {InputEvent}

    def matches(self, event: InputEvent) -> bool:
        """Return whether the event is of that class."""
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


_EventType: TypeAlias = Annotated[str, OneOf(EVENT_TYPES)]


class FileSystemTrigger(Configured, Trigger):
    """Matches events of a ``FileSystem``, by kind."""

    events: OneOrMore[_EventType] = Setting(
        (), description="Kinds such as file.created; without them all changes on disk."
    )
    io: Text | None = Setting(
        None, description="Only events of the FileSystem of this name or uuid."
    )
    target: Literal["any", "only", "never"] = Setting(
        "any",
        description=(
            "only: just events about the watched path itself; never: just events about its entries."
        ),
    )

    def __init__(self, **unknown: object) -> None:
        super().__init__(**unknown)
        self._known: dict[type[Event], bool] = {}

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Accept the events of a ``FileSystem``."""
        return {FileSystemInputEvent}

    def on_change(self, name: str) -> None:
        """Clear the cached classes."""
        self.__dict__["_known"] = {}

    def matches(self, event: InputEvent) -> bool:
        """Return whether the event is of one of the kinds, and of the right ``FileSystem``."""
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


_Globs: TypeAlias = Annotated[OneOrMore[Text], AfterValidator(_globs)]


class GlobTrigger(FileSystemTrigger):
    """Matches by kind of event and by globs on the path below the watched folder.

    Globs follow gitignore: ``*.pdf`` matches any PDF, ``/in/*.pdf`` those directly in ``in``, and
    ``!draft*`` excludes again. A rename is matched by its new name.
    """

    globs: _Globs = Setting(min_length=1, description="The globs.")

    def on_change(self, name: str) -> None:
        """Compile the globs again."""
        super().on_change(name)
        if name == "globs":
            self.__dict__["_spec"] = pathspec.GitIgnoreSpec.from_lines(self.globs)

    def matches(self, event: InputEvent) -> bool:
        """Return whether the kind and one of the globs match."""
        return super().matches(event) and bool(self.__dict__["_spec"].match_file(_rel(event)))


class RegexTrigger(FileSystemTrigger):
    """Matches by kind of event and by a regular expression on the path below the watched folder.

    It may match anywhere in the path; ``^`` and ``$`` anchor it.
    """

    pattern: Regex = Setting(description="The expression, in the syntax of Python's re.")

    def matches(self, event: InputEvent) -> bool:
        """Return whether the kind and the expression match."""
        return super().matches(event) and self.pattern.search(_rel(event)) is not None


class LinesTrigger(Configured, Trigger):
    """Matches lines added to a followed file (``input_mode: lines``)."""

    pattern: Regex | None = Setting(
        None, description="Only if it matches one of the lines; in the syntax of Python's re."
    )
    io: Text | None = Setting(
        None, description="Only lines of the FileSystem of this name or uuid."
    )

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Accept lines."""
        return {LinesAddedInputEvent}

    def matches(self, event: InputEvent) -> bool:
        """Return whether a line matches."""
        if not isinstance(event, LinesAddedInputEvent):
            return False
        if self.io is not None and self.io != event.io:
            return False
        pattern = self.pattern
        return pattern is None or any(pattern.search(line) for line in event.lines)


def _rel(event: InputEvent) -> str:
    found = FIELDS["rel"](event)
    return "" if found is None else str(getattr(found, "as_posix", lambda: found)())
