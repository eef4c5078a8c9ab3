"""Events at times: a cron expression as an input."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

from cronsim import CronSim, CronSimError
from mewbot.api.v1 import Input, InputEvent, IOConfig, Output

from limpet._setting_types import MadeBy
from limpet.bot._zone import ZoneText, system_zone
from limpet.bot.io._named_component import NamedComponent
from limpet.bot.settings._setting import Setting

_SLEEP_S: Final = 30.0
"""Longest sleep: the clock may be set, and the system may have slept."""

_MOST_MISSED: Final = 10_000
"""Most missed times that are counted: the event loop waits for the count, 0.3 s."""

_LOG: Final = logging.getLogger("limpet.bot.input")


def _cron(given: str) -> str:
    """Return the expression.

    Raises:
        ValueError: It is not a cron expression, or names a day that never comes.
    """
    try:
        next(CronSim(given, datetime(2024, 1, 1)))  # noqa: DTZ001 - any time will do
    except CronSimError as error:
        message = f"{given!r} is no cron expression such as '*/5 * * * *': {error}"
        raise ValueError(message) from error
    except StopIteration:
        message = f"{given!r} names a time that never comes"
        raise ValueError(message) from None
    return given


_Cron: TypeAlias = Annotated[str, MadeBy(_cron)]


@dataclasses.dataclass(kw_only=True)
class ScheduleInputEvent(InputEvent):
    """A time of a schedule has come."""

    io: str = ""
    """Name of the schedule."""
    time: float = 0.0
    """The time that the schedule names, in Unix seconds."""
    missed: int = 0
    """Earlier times that passed while nobody was awake, such as a suspended system; they have no
    event of their own. 10,000 are that many or more."""


class Schedule(NamedComponent, IOConfig):
    """Delivers an event at the times of a cron expression: each night, or every five minutes.

    The expression has five fields (minute, hour, day of month, month, day of week), or six with
    seconds first, in the syntax of Debian's cron. When clocks change for summer, times that are
    skipped or doubled are treated as there. Times that pass while the bot does not run are not made
    up for.
    """

    cron: _Cron = Setting(description="The times, such as '*/5 * * * *' or '0 3 * * mon'.")
    timezone: ZoneText | None = Setting(
        None, description="Time zone such as Europe/London; by default that of this system."
    )
    clock: Callable[[], float] = staticmethod(time.time)

    _input: ScheduleInput | None = None

    def get_inputs(self) -> Sequence[Input]:
        """Return the one input."""
        if self._input is None:
            self._input = ScheduleInput(self)
        return [self._input]

    def get_outputs(self) -> Sequence[Output]:
        """Return none."""
        return []


class ScheduleInput(Input):
    """Waits for the next time of a ``Schedule``, again and again."""

    def __init__(self, io: Schedule) -> None:
        super().__init__()
        self._io = io

    @property
    def label(self) -> str:
        """The name of the schedule in messages."""
        return self._io.label

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        """Produce moments."""
        return {ScheduleInputEvent}

    async def run(self) -> None:
        """Put an event into the queue at each time; a clock that is set back is followed."""
        queue: Any = self.queue
        last = self._io.clock()
        while True:
            rule, due = self._rule(), self._next(last)
            while True:
                now = self._io.clock()
                if now < last or rule != self._rule():  # the clock was set back, or it is another
                    last = min(now, last)
                    rule, due = self._rule(), self._next(max(last, now))
                if now >= due:
                    break
                await asyncio.sleep(min(max(due - now, 0.001), _SLEEP_S))
            last, passed = self._newest(due, now)
            if passed:
                _LOG.info("%s: %d times passed while nobody was awake", self._io.label, passed)
            await queue.put(ScheduleInputEvent(io=self._io.label, time=last, missed=passed))

    def _rule(self) -> tuple[object, ...]:
        return self._io.cron, self._io.timezone

    def _newest(self, due: float, now: float) -> tuple[float, int]:
        """Return the newest time of those that have come, and how many there are before it."""
        for passed in range(_MOST_MISSED):
            if (later := self._next(due)) > now:
                return due, passed
            due = later
        back = 1.0  # a clock without a battery began in 1970: do not go through all the minutes
        while (later := self._next(now - back)) > now:
            back *= 2
        while later <= now:
            due, later = later, self._next(later)
        return due, _MOST_MISSED

    def _next(self, after: float) -> float:
        """Return the first time after a moment, in Unix seconds."""
        zone = self._io.timezone or system_zone()
        local = datetime.fromtimestamp(after, zone)
        times = (one.timestamp() for one in CronSim(self._io.cron, local))
        return next(moment for moment in times if moment > after)
