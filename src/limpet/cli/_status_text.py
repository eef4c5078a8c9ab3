"""A status as text: lines of pieces with styles, for a terminal or a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from limpet._printable import escape
from limpet.cli._color import Piece
from limpet.status import DeadLetterStatus, Status

_HEALTH_STYLES: Final = {"ok": "green", "degraded": "bold yellow", "failing": "bold red"}

_STEPS: Final = (("d", 86400.0), ("h", 3600.0), ("min", 60.0))
_SIZES: Final = ("B", "kB", "MB", "GB", "TB")


def health_style(health: str) -> str:
    """Return the style of a health; another word is of a newer limpet."""
    return _HEALTH_STYLES.get(health, "bold yellow")


def worst_of(healths: Iterable[str]) -> str:
    """Return the worst of several."""
    known = list(_HEALTH_STYLES)
    return max(healths, key=lambda one: known.index(one) if one in known else 1, default="ok")


def safe(line: Iterable[Piece]) -> list[Piece]:
    """Return a line without anything that drives a terminal, wherever it comes from."""
    return [(text if text.isprintable() else escape(text), style) for text, style in line]


def lasted(seconds: float) -> str:
    """Return a length of time in its largest unit: ``3 s``, ``12 min``, ``5 h``."""
    for unit, length in _STEPS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def ago(moment: float | None, now: float) -> str:
    """Return how long ago a moment was; ``never`` without one."""
    return "never" if moment is None else f"{lasted(now - moment)} ago"


def size(count: float) -> str:
    """Return a number of bytes in a readable unit."""
    for unit in _SIZES:
        if count < 1000 or unit == _SIZES[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""


def number(value: float) -> str:
    """Return a number with separators, and without a fraction that says nothing."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def short(value: float) -> str:
    """Return a number in five cells at most: ``999``, ``12.3k``, ``4.5M``."""
    if value < 1000:
        return number(value)
    for unit in ("k", "M", "G"):
        value /= 1000
        if value < 1000 or unit == "G":
            return f"{value:.1f}{unit}" if value < 100 else f"{value:.0f}{unit}"
    return ""


def sentence(status: Status, now: float) -> list[Piece]:
    """Return what a program is, and how it is."""
    return [
        (escape(status.name), "bold"),
        (f" ({status.program}, process {status.pid}): ", "dim"),
        (status.health, health_style(status.health)),
        (f", {status.state}, for {lasted(now - status.started)}", ""),
    ]


def story(status: Status, now: float | None = None) -> Iterator[list[Piece]]:
    """Yield the lines of a status; problems come first."""
    now = time.time() if now is None else now
    yield from map(safe, _story(status, now))


def _story(status: Status, now: float) -> Iterator[list[Piece]]:
    yield sentence(status, now)
    for problem in status.problems:
        style = "bold red" if problem.is_failure else "bold yellow"
        yield [("  problem   ", style), (f"{escape(problem.where)}: {escape(problem.reason)}", "")]
    last = ago(status.last_event, now)
    yield _line(
        "events", "",
        f"{number(status.events)}, {number(status.events_per_minute)} a minute, last {last}; "
        f"{number(status.queued)} waiting",
    )  # fmt: skip
    yield from _inputs(status, now)
    yield from _work(status, now)
    yield from _remote(status, now)
    yield from _dead_letters(status)


def _line(kind: str, name: str, text: str) -> list[Piece]:
    shown = f"{escape(name)}  " if name else ""
    return [(f"  {kind.ljust(10)}", "dim"), (shown, "cyan"), (text, "")]


def _inputs(status: Status, now: float) -> Iterator[list[Piece]]:
    for watch in status.watches:
        where = "" if watch.name == watch.place else f"{escape(watch.place)}, "
        polled = f", {number(watch.polled)} polled" if watch.polled else ""
        held = f", {number(watch.held)} held" if watch.held else ""
        yield _line(
            "watch", watch.name,
            f"{where}{watch.backend or 'nothing watched'}, {number(watch.entries)} entries, "
            f"{number(watch.marks)} marks{polled}{held}, "
            f"{number(watch.events_per_minute)} a minute, last {ago(watch.last_event, now)}",
        )  # fmt: skip
    for follow in status.follows:
        where = "" if follow.name == follow.place else f"{escape(follow.place)}, "
        lag = f"{size(follow.lag_bytes)} behind" if follow.lag_bytes else "up to date"
        late = f" for {lasted(follow.lag_s)}" if follow.lag_s >= 1 else ""
        gaps = f", {number(follow.gaps)} gaps ({size(follow.gap_bytes)})" if follow.gaps else ""
        yield _line(
            "follow", follow.name,
            f"{where}{number(follow.files)} files, {number(follow.lines)} lines, {lag}{late}{gaps}",
        )  # fmt: skip
    for inbox in status.inboxes:
        yield _line(
            "inbox", inbox.place,
            f"{inbox.waiting} waiting, {inbox.active} active, {inbox.retrying} to be tried again, "
            f"{number(inbox.done)} done, {number(inbox.failed)} failed",
        )  # fmt: skip


def _work(status: Status, now: float) -> Iterator[list[Piece]]:
    for one in status.behaviours:
        oldest = f", the oldest for {lasted(one.oldest_s)}" if one.oldest_s >= 1 else ""
        failed = f", {number(one.failed)} failed" if one.failed else ""
        retried = f", {number(one.retried)} retried" if one.retried else ""
        yield _line(
            "behaviour", one.name,
            f"{one.queue_depth} waiting, {one.active} active{oldest}, {number(one.done)} done, "
            f"{number(one.skipped)} skipped{retried}{failed}",
        )  # fmt: skip
    for output in status.outputs:
        done = ", ".join(f"{verb} {number(count)}" for verb, count in output.operations.items())
        refused = "".join(
            f", refused {code} {number(count)}" for code, count in output.refusals.items()
        )
        last = ago(output.last_operation, now)
        yield _line(
            "output", output.name,
            f"{escape(output.root)}, {done or 'nothing written'}{refused}, "
            f"{size(output.bytes_written)}, last {last}",
        )  # fmt: skip


def _remote(status: Status, now: float) -> Iterator[list[Piece]]:
    if (hub := status.hub) is not None:
        off = f", clock {hub.clock_offset_s:+.1f} s" if abs(hub.clock_offset_s) >= 0.1 else ""
        trouble = f", {escape(hub.trouble)}" if hub.trouble else ""
        yield _line("hub", hub.url, f"{hub.state}, {number(hub.lag)} behind{off}{trouble}")
    if (spool := status.spool) is not None:
        lost = f", {number(spool.collapsed)} given up" if spool.collapsed else ""
        yield _line(
            "spool", "",
            f"{number(spool.waiting)} waiting ({size(spool.waiting_bytes)}), "
            f"{number(spool.sent)} sent{lost}",
        )  # fmt: skip
    for agent in status.agents:
        seen = f", seen {ago(agent.last_seen, now)}" if agent.last_seen is not None else ""
        trouble = f", {escape(agent.trouble)}" if agent.trouble else ""
        yield _line("agent", agent.host, f"{escape(agent.state)}{seen}{trouble}")


def _dead_letters(status: Status) -> Iterator[list[Piece]]:
    dead = status.dead_letters
    if dead is None or not dead.waiting:
        return
    yield [("  dead letters  ", "bold red"), (str(dead.waiting), "")]
    for one in dead.newest[:5]:
        yield [("    ", ""), *dead_letter(one)]
    if dead.waiting > 5:
        yield [(f"    and {dead.waiting - 5} more: limpet dead-letters list", "dim")]


def dead_letter(one: DeadLetterStatus) -> list[Piece]:
    """Return one dead letter in a line."""
    return [
        (one.id, "cyan"),
        (f"  {local_time(one.time)}  {escape(one.behaviour)}: ", ""),
        (escape(one.about), "bold"),
        (f"  {escape(one.error.partition(chr(10))[0])}", "dim"),
    ]


def dead_letter_story(one: DeadLetterStatus) -> list[list[Piece]]:
    """Return one dead letter in lines: which, about what, and why."""
    tries = f"{one.attempts} {'try' if one.attempts == 1 else 'tries'}"
    return [
        [
            ("  ", ""), (one.id, "cyan"),
            (f"  {local_time(one.time)}  {escape(one.behaviour)}, {escape(one.step)}, {tries}", ""),
        ],
        [("    ", ""), (escape(one.about), "bold")],
        [(f"    {escape(one.error.partition(chr(10))[0])}", "red")],
    ]  # fmt: skip


def local_time(text: str) -> str:
    """Return an ISO time as local time to the second; as it is, if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return escape(text)
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
