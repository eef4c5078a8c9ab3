"""Conditions: which of the events that triggered are let through. All must allow it.

Those that look at the disk say so with ``waits``: limpet's runner asks them in a thread, mewbot's
own asks them on its loop. An event without what a condition looks at is not let through.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from datetime import time as clock_time
from typing import ClassVar, Final
from zoneinfo import ZoneInfo

from mewbot.api.v1 import Condition, InputEvent

from limpet.bot.events._input_events import FileSystemInputEvent
from limpet.bot.settings._setting import Configured, Setting
from limpet.bot.settings._template import MissingFieldError, Template
from limpet.bot.settings._template_fields import FIELDS, Fields, template
from limpet.bot.settings._validators import (
    choice,
    fitting,
    flag,
    listed,
    maybe,
    number,
    regex,
    text,
    whole,
)
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

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_MOST_KEYS: Final = 10_000
"""Keys a rate limit remembers; the one that was used longest ago is forgotten first."""


class _Condition(Configured, Condition):
    waits: ClassVar[bool] = False
    """Whether it may wait for the disk."""

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Look at any event."""
        return {InputEvent}


class SizeCondition(_Condition):
    """Lets files of some sizes through: the size in the event, not asked for again."""

    min_bytes = Setting(whole(), 0, "No smaller than this.")
    max_bytes = Setting(maybe(whole()), None, "No larger than this.")

    def allows(self, event: InputEvent) -> bool:
        """Whether the size is within the bounds."""
        size = FIELDS["size"](event)
        if not isinstance(size, int):
            return False
        return self.min_bytes <= size and (self.max_bytes is None or size <= self.max_bytes)


class AgeCondition(_Condition):
    """Lets files through by how long ago they were last changed, going by their own date."""

    min_seconds = Setting(number(), 0.0, "Changed at least so long ago.")
    max_seconds = Setting(maybe(number()), None, "Changed no longer ago than this.")
    clock: Callable[[], float] = staticmethod(time.time)

    def allows(self, event: InputEvent) -> bool:
        """Whether the age is within the bounds."""
        changed = FIELDS["mtime"](event)
        if not isinstance(changed, float):
            return False
        age = self.clock() - changed
        return self.min_seconds <= age and (self.max_seconds is None or age <= self.max_seconds)


class ExtensionCondition(_Condition):
    """Lets names with some extensions through; case does not count."""

    extensions = Setting(
        listed(text(), least=1),
        (),
        "Such as .pdf or .tar.gz, with or without the dot.",
        required=True,
    )
    but_not = Setting(flag(), False, "Let through all but these.")

    def allows(self, event: InputEvent) -> bool:
        """Whether the name ends in one of them."""
        name = FIELDS["name"](event)
        if not isinstance(name, str):
            return False
        ends = tuple("." + one.lstrip(".").lower() for one in self.extensions)
        return name.lower().endswith(ends) != self.but_not


class RateLimitCondition(_Condition):
    """Lets so many events through in so many seconds; the others are dropped, not put off."""

    most = Setting(whole(least=1), 1, "So many events ...", required=True)
    seconds = Setting(number(least=0.001), 60.0, "... in so many seconds.", required=True)
    key = Setting(
        fitting(text(), template),
        Template("all"),
        "Counted apart for each value of this template, such as {path}.",
        plain=lambda key: key.source,
    )
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, **unknown: object) -> None:
        """Start with nothing counted."""
        super().__init__(**unknown)
        self._passed: OrderedDict[str, deque[float]] = OrderedDict()
        self.dropped = 0
        """Events that were not let through."""

    def allows(self, event: InputEvent) -> bool:
        """Whether there is room for one more."""
        try:
            key = self.key.text(Fields(event))
        except MissingFieldError:
            key = ""
        now = self.clock()
        passed = self._passed.setdefault(key, deque())
        self._passed.move_to_end(key)
        while passed and passed[0] <= now - self.seconds:
            passed.popleft()
        if len(self._passed) > _MOST_KEYS:
            self._passed.popitem(last=False)
        if len(passed) >= self.most:
            self.dropped += 1
            return False
        passed.append(now)
        return True


class ContentCondition(_Condition):
    """Lets files through whose content matches: what the event brings, else what the file holds.

    At most ``max_bytes`` from the file's beginning are read. A file that cannot be read does not
    match.
    """

    waits = True

    pattern = Setting(
        regex(),
        re.compile(""),
        "The expression, as Python's re has it; it may match anywhere.",
        plain=lambda pattern: pattern.pattern,
        required=True,
    )
    max_bytes = Setting(whole(least=1), 1 << 20, "Look no further than this.")
    encoding = Setting(text(), "utf-8", "How the file is read; what does not fit is replaced.")

    def allows(self, event: InputEvent) -> bool:
        """Whether the content has it."""
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
            # A FIFO, or a device, would be waited for.
            handle = os.open(event.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except (OSError, ValueError):
            return None
        with open(handle, "rb") as file:
            try:
                return file.read(self.max_bytes)
            except OSError:
                return None


class StillThereCondition(_Condition):
    """Lets an event through if what it is about is there now: it may have waited for its turn."""

    waits = True

    def allows(self, event: InputEvent) -> bool:
        """Whether the path is there."""
        return isinstance(event, FileSystemInputEvent) and os.path.lexists(event.path)


def _clock_time(given: str) -> clock_time:
    if not re.fullmatch(r"[0-2]\d:[0-5]\d(:[0-5]\d)?", given):
        message = f"{given!r} is no time of day such as '07:30' (in quotes)"
        raise ValueError(message)
    return clock_time.fromisoformat(given)


def _zone(given: str) -> ZoneInfo:
    try:
        return ZoneInfo(given)
    except (OSError, KeyError, ValueError) as error:
        message = f"there is no time zone {given!r}"
        raise ValueError(message) from error


class TimeOfDayCondition(_Condition):
    """Lets events through at some hours, going by when they are looked at.

    ``after`` may be later than ``before``: then it is the night between. ``days`` are those on
    which the span begins.
    """

    after = Setting(
        fitting(text(), _clock_time),
        clock_time(0),
        "From this time of day on, such as '07:30'.",
        plain=lambda moment: moment.isoformat(),
    )
    before = Setting(
        maybe(fitting(text(), _clock_time)),
        None,
        "Up to this time of day, which is not in it any more; without it midnight.",
        plain=lambda moment: None if moment is None else moment.isoformat(),
    )
    days = Setting(listed(choice(*_DAYS)), _DAYS, "On these days: mon, tue, ...")
    timezone = Setting(
        maybe(fitting(text(), _zone)),
        None,
        "Name of a time zone such as Europe/London; without it this system's.",
        plain=lambda zone: None if zone is None else zone.key,
    )
    clock: Callable[[], float] = staticmethod(time.time)

    def check(self) -> None:
        """Refuse a span without length."""
        if self.before is not None and self.before == self.after:
            message = "TimeOfDayCondition: after and before are the same, so no time is in between"
            raise UsageError(message)

    def allows(self, event: InputEvent) -> bool:
        """Whether it is the time."""
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
