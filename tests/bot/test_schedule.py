"""A cron expression as an input: its times, changes of clocks, and times that are missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from limpet.bot import Schedule, ScheduleInputEvent
from limpet.errors import UsageError

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: Any = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


class Clock:
    """A clock that goes on while somebody sleeps."""

    def __init__(self, start: float) -> None:
        self.now = start
        self.jumps: dict[float, float] = {}
        """A moment -> what the clock says once it is reached."""
        self.changes: dict[float, Callable[[], None]] = {}
        """A moment -> what somebody does then."""

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment, to in list(self.jumps.items()):
            if self.now >= moment:
                self.now = to
                del self.jumps[moment]
        for moment in [one for one in self.changes if self.now >= one]:
            self.changes.pop(moment)()
        await yielded()


async def yielded() -> None:
    """Let the other tasks run."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_soon(done.set_result, None)
    await done


def times(
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    start: float,
    jumps: dict[float, float] | None = None,
    change: tuple[float, str] | None = None,
    **properties: Any,
) -> list[ScheduleInputEvent]:
    """Return the first events of a schedule, by a clock that starts at a moment."""
    clock = Clock(start)
    clock.jumps = jumps or {}
    io = Schedule(**{"name": "s", "timezone": "Europe/Berlin", **properties})
    if change is not None:
        clock.changes[change[0]] = lambda: setattr(io, "cron", change[1])
    monkeypatch.setattr(io, "clock", clock)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)

    async def main() -> list[ScheduleInputEvent]:
        (source,) = io.get_inputs()
        queue: Any = asyncio.Queue()
        source.bind(queue)
        task = asyncio.create_task(source.run())
        try:
            return [await queue.get() for _ in range(count)]
        finally:
            task.cancel()

    return asyncio.run(main())


def test_the_times_of_an_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    found = times(monkeypatch, 3, at("2026-11-29T12:01"), cron="*/5 * * * *")
    assert [one.time for one in found] == [
        at("2026-11-29T12:05"),
        at("2026-11-29T12:10"),
        at("2026-11-29T12:15"),
    ]
    assert {(one.io, one.missed) for one in found} == {("s", 0)}


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        ("0 3 * * *", "2026-03-28T12:00", ["2026-03-29T03:00", "2026-03-30T03:00"]),
        ("0 3 * * *", "2026-10-24T12:00", ["2026-10-25T03:00", "2026-10-26T03:00"]),
        ("0 12 * * mon", "2026-11-29T12:00", ["2026-11-30T12:00", "2026-12-07T12:00"]),
        ("30 0 10 * * *", "2026-11-29T12:00", ["2026-11-30T10:00:30"]),
    ],
)
def test_days_on_which_clocks_change(
    monkeypatch: pytest.MonkeyPatch, cron: str, start: str, expected: list[str]
) -> None:
    """Local times stay what they say."""
    found = times(monkeypatch, len(expected), at(start), cron=cron)
    assert [one.time for one in found] == [at(one) for one in expected]


def test_no_time_is_lost_or_doubled_when_an_hour_comes_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = at("2026-10-25T00:00", UTC)
    found = times(monkeypatch, 8, start, cron="*/15 * * * *")
    assert [one.time - start for one in found] == [900.0 * n for n in range(1, 9)]


def test_times_that_passed_in_sleep_are_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspended system wakes up hours later."""
    jumps = {at("2026-11-29T12:02"): at("2026-11-29T15:01")}
    first, second = times(monkeypatch, 2, at("2026-11-29T12:00"), jumps, cron="*/30 * * * *")
    assert (first.time, first.missed) == (at("2026-11-29T15:00"), 5)
    assert (second.time, second.missed) == (at("2026-11-29T15:30"), 0)


@pytest.mark.parametrize("cron", ["* * * * * *", "* * * * *", "0 0 * * *"])
def test_a_clock_that_began_in_1970_is_set(monkeypatch: pytest.MonkeyPatch, cron: str) -> None:
    """Some systems know the time only after their first look at the network."""
    now = at("2026-11-29T12:00:30", UTC)
    (first,) = times(monkeypatch, 1, 0.0, {0.0: now}, cron=cron, timezone="UTC")
    newest = {"* * * * * *": now, "* * * * *": now - 30, "0 0 * * *": at("2026-11-29T00:00", UTC)}
    assert (first.time, first.missed) == (newest[cron], 10_000)


def test_a_clock_that_is_set_back_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = {at("2026-11-29T12:02"): at("2026-11-29T09:10")}
    (first,) = times(monkeypatch, 1, at("2026-11-29T12:00"), jumps, cron="*/30 * * * *")
    assert first.time == at("2026-11-29T09:30")


def test_a_changed_expression_has_no_event_at_the_old_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change = (at("2026-11-29T03:00"), "0 4 * * *")  # while the last seconds are slept
    (first,) = times(monkeypatch, 1, at("2026-11-29T02:59:50"), change=change, cron="0 3 * * *")
    assert first.time == at("2026-11-29T04:00")


def test_the_zone_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    from limpet.bot._zone import system_zone

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    system_zone.cache_clear()
    try:
        (first,) = times(
            monkeypatch, 1, at("2026-11-29T00:00", UTC), cron="0 12 * * *", timezone=None
        )
    finally:
        system_zone.cache_clear()
    assert first.time == at("2026-11-29T12:00", ZoneInfo("Asia/Tokyo"))


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, "needs the property 'cron'"),
        ({"cron": "*/5 * * *"}, "no cron expression"),
        ({"cron": "61 * * * *"}, "no cron expression"),
        ({"cron": "0 0 31 2 *"}, "no cron expression"),
        ({"cron": "* * * * *", "timezone": "Europe/Bxl"}, "no time zone"),
        ({"cron": 5}, "must be text"),
    ],
)
def test_what_is_no_schedule_is_refused(properties: Any, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        Schedule(**properties)
