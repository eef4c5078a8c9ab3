"""Conditions: which of the triggering events pass. All conditions must allow an event.

Conditions that read the disk declare it with ``waits``: limpet's runner calls them in a thread,
mewbot's own on its loop. An event without the field that a condition checks does not pass.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from datetime import time as clock_time
from typing import Annotated, ClassVar, Final, Literal, TypeAlias, get_args

from mewbot.api.v1 import Condition, InputEvent

from limpet._setting_types import (
    Count,
    Encoding,
    MadeBy,
    OneOrMore,
    PositiveCount,
    PositiveSeconds,
    Regex,
    Seconds,
    Text,
)
from limpet._shared_open import open_shared
from limpet.bot._zone import ZoneText
from limpet.bot.events._input_events import FileSystemInputEvent
from limpet.bot.settings._setting import Configured, Setting
from limpet.bot.settings._template import Template
from limpet.bot.settings._template_fields import FIELDS, Fields
from limpet.bot.settings._template_values import MissingFieldError
from limpet.bot.settings._types import TemplateText
from limpet.errors import UsageError

__all__ = [
    "AgeCondition",
    "ContentCondition",
    "ExtensionCondition",
    "RateLimitCondition",
    "SizeCondition",
    "StillThereCondition",
    "TimeOfDayCondition",
]

_Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: Final[tuple[_Day, ...]] = get_args(_Day)

_MAX_KEYS: Final = 10_000
"""Keys that a rate limit remembers; the least recently used one is dropped first."""


class _Condition(Configured, Condition):
    waits: ClassVar[bool] = False
    """Whether it may wait for the disk."""

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Accept any event."""
        return {InputEvent}


class SizeCondition(_Condition):
    """Passes files of some sizes, by the size in the event."""

    min_bytes: Count = Setting(0, description="Least size in bytes.")
    max_bytes: Count | None = Setting(None, description="Most size in bytes.")

    def allows(self, event: InputEvent) -> bool:
        """Return whether the size is within the bounds."""
        size = FIELDS["size"](event)
        if not isinstance(size, int):
            return False
        return self.min_bytes <= size and (self.max_bytes is None or size <= self.max_bytes)


class AgeCondition(_Condition):
    """Passes files by the age of their last change, from their modification time."""

    min_seconds: Seconds = Setting(0.0, description="Least age in seconds.")
    max_seconds: Seconds | None = Setting(None, description="Most age in seconds.")
    clock: Callable[[], float] = staticmethod(time.time)

    def allows(self, event: InputEvent) -> bool:
        """Return whether the age is within the bounds."""
        changed = FIELDS["mtime"](event)
        if not isinstance(changed, float):
            return False
        age = self.clock() - changed
        return self.min_seconds <= age and (self.max_seconds is None or age <= self.max_seconds)


class ExtensionCondition(_Condition):
    """Passes names with some extensions, in any case."""

    extensions: OneOrMore[Text] = Setting(
        min_length=1, description="Such as .pdf or .tar.gz, with or without the dot."
    )
    but_not: bool = Setting(False, description="Pass all names but these.")

    def allows(self, event: InputEvent) -> bool:
        """Return whether the name has one of the extensions."""
        name = FIELDS["name"](event)
        if not isinstance(name, str):
            return False
        ends = tuple("." + one.lstrip(".").lower() for one in self.extensions)
        return name.lower().endswith(ends) != self.but_not


class RateLimitCondition(_Condition):
    """Passes a number of events in a span of time; further ones are dropped, not delayed."""

    most: PositiveCount = Setting(description="Most events ...")
    seconds: PositiveSeconds = Setting(description="... in this number of seconds.")
    key: TemplateText = Setting(
        Template("all"),
        description="Template whose values are counted separately, such as {{ path }}.",
    )
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, **unknown: object) -> None:
        super().__init__(**unknown)
        self._passed: OrderedDict[str, deque[float]] = OrderedDict()
        self.dropped = 0
        """Events that did not pass."""

    def allows(self, event: InputEvent) -> bool:
        """Return whether the limit allows one more."""
        try:
            key = self.key.text(Fields(event))
        except MissingFieldError:
            key = ""
        now = self.clock()
        passed = self._passed.setdefault(key, deque())
        self._passed.move_to_end(key)
        while passed and passed[0] <= now - self.seconds:
            passed.popleft()
        if len(self._passed) > _MAX_KEYS:
            self._passed.popitem(last=False)
        if len(passed) >= self.most:
            self.dropped += 1
            return False
        passed.append(now)
        return True


class ContentCondition(_Condition):
    """Passes files whose content matches: the content in the event, else that of the file.

    At most ``max_bytes`` from the beginning of the file are read. A file that cannot be read does
    not match.
    """

    waits = True

    pattern: Regex = Setting(
        description="The expression, in the syntax of Python's re; it may match anywhere."
    )
    max_bytes: PositiveCount = Setting(
        1 << 20, description="Bytes that are searched, from the beginning."
    )
    encoding: Encoding = Setting(
        "utf-8", description="Encoding of the file; invalid bytes are replaced."
    )

    def allows(self, event: InputEvent) -> bool:
        """Return whether the content matches."""
        content = FIELDS["content"](event)
        if content is None:
            content = self._read(event)
        if isinstance(content, bytes):
            content = content.decode(self.encoding, "replace")
        return isinstance(content, str) and self.pattern.search(content) is not None

    def _read(self, event: InputEvent) -> bytes | None:
        if not isinstance(event, FileSystemInputEvent):
            return None
        try:
            # Opening a FIFO or a device could wait.
            handle = open_shared(event.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except (OSError, ValueError):
            return None
        with open(handle, "rb") as file:
            try:
                return file.read(self.max_bytes)
            except OSError:
                return None


class StillThereCondition(_Condition):
    """Passes an event if its path still exists: it may have waited in the queue."""

    waits = True

    def allows(self, event: InputEvent) -> bool:
        """Return whether the path exists."""
        return isinstance(event, FileSystemInputEvent) and os.path.lexists(event.path)


def _clock_time(given: str) -> clock_time:
    if not re.fullmatch(r"[0-2]\d:[0-5]\d(:[0-5]\d)?", given):
        message = f"{given!r} is not a time of day such as '07:30' (in quotes)"
        raise ValueError(message)
    return clock_time.fromisoformat(given)


_ClockTime: TypeAlias = Annotated[clock_time, MadeBy(_clock_time, lambda given: given.isoformat())]


class TimeOfDayCondition(_Condition):
    """Passes events at some hours, by the time at which they are checked.

    ``after`` may be later than ``before``: then the span includes midnight. ``days`` are the days
    on which the span begins.
    """

    after: _ClockTime = Setting(
        clock_time(0), description="Beginning of the span, such as '07:30'."
    )
    before: _ClockTime | None = Setting(
        None, description="End of the span, exclusive; by default midnight."
    )
    days: OneOrMore[_Day] = Setting(_DAYS, description="Days: mon, tue, ...")
    timezone: ZoneText | None = Setting(
        None, description="Time zone such as Europe/London; by default that of this system."
    )
    clock: Callable[[], float] = staticmethod(time.time)

    def check(self) -> None:
        """Refuse an empty span."""
        if self.before is not None and self.before == self.after:
            message = "TimeOfDayCondition: after and before are equal, so the span is empty"
            raise UsageError(message)

    def allows(self, event: InputEvent) -> bool:
        """Return whether the current time is in the span."""
        now = datetime.fromtimestamp(self.clock(), UTC).astimezone(self.timezone)
        moment, day, end = now.time(), now.weekday(), self.before
        if end is None:
            inside = moment >= self.after
        elif self.after < end:
            inside = self.after <= moment < end
        else:
            inside = moment >= self.after or moment < end
            if moment < end:
                day = (day - 1) % 7
        return inside and _DAYS[day] in self.days
