"""The table of ``limpet top``: a row for each program and each of its parts that does something."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from limpet._printable import escape
from limpet.cli._programs import Seen
from limpet.cli._shown_paths import cells, shorten
from limpet.cli._status_text import ago, health_style, lasted, safe, short, size
from limpet.status import BehaviourStatus, FollowStatus, Health, InboxStatus, Status, WatchStatus

COLUMNS: Final = ("name", "what", "health", "/min", "waiting", "done", "failed", "dead", "last")
_RIGHT: Final = frozenset({"/min", "waiting", "done", "failed", "dead"})
_LEAST_NAME: Final = 12
"""Cells of a name, however narrow the terminal is."""
_STUCK_S: Final = 60.0
"""An event that takes longer is worth a look."""

Cell = tuple[str, str]
"""Text, and its style."""
Row = list[Cell]


def program_row(one: Seen, now: float) -> Row:
    """Return the row of a program."""
    status = one.status
    if status is None:
        return [(escape(one.name), "bold"), ("", ""), ("no answer", "bold red"), *[("", "")] * 6]
    done, failed = done_of(status), failed_of(status)
    dead = status.dead_letters.waiting if status.dead_letters is not None else 0
    return [
        (escape(status.name), "bold"),
        (status.program, ""),
        (status.health, health_style(status.health)),
        (short(status.events_per_minute), ""),
        (short(waiting_of(status)), ""),
        (short(done), ""),
        (short(failed), "bold red" if failed else ""),
        (short(dead), "bold red" if dead else ""),
        (_since(status.last_event, now), ""),
    ]


def part_rows(status: Status, now: float) -> list[Row]:
    """Return a row for each watch, follower, inbox and behaviour of a program."""
    return [
        *(_watch_row(one, now) for one in status.watches),
        *(_follow_row(one, now) for one in status.follows),
        *(_inbox_row(one, now) for one in status.inboxes),
        *(_behaviour_row(one) for one in status.behaviours),
    ]


def _row(name: str, what: str, **more: Cell) -> Row:
    """Return a row of a part; cells that are not given are empty."""
    given = {"name": (f"  {escape(name)}", ""), "what": (what, "dim"), **more}
    return [given.get(column.replace("/min", "rate"), ("", "")) for column in COLUMNS]


def _watch_row(watch: WatchStatus, now: float) -> Row:
    health = ("", "")
    if watch.failure or watch.degraded:
        name: Health = "failing" if watch.failure else "degraded"
        health = (name, health_style(name))
    return _row(
        watch.name,
        watch.backend or "watch",
        health=health,
        rate=(short(watch.events_per_minute), ""),
        waiting=(short(watch.held), "dim"),
        last=(_since(watch.last_event, now), "dim"),
    )


def _follow_row(follow: FollowStatus, now: float) -> Row:
    return _row(
        follow.name,
        "follow",
        health=(size(follow.lag_bytes), "yellow") if follow.lag_s >= 1 else ("", ""),
        rate=(short(follow.lines_per_minute), ""),
        done=(short(follow.lines), ""),
        last=(_since(follow.last_line, now), "dim"),
    )


def _inbox_row(inbox: InboxStatus, now: float) -> Row:
    return _row(
        inbox.place,
        "inbox",
        waiting=(short(inbox.waiting + inbox.active), ""),
        done=(short(inbox.done), ""),
        failed=(short(inbox.failed), "bold red" if inbox.failed else ""),
        last=(_since(inbox.last_done, now), "dim"),
    )


def _behaviour_row(one: BehaviourStatus) -> Row:
    stuck = one.oldest_s >= _STUCK_S
    return _row(
        one.name,
        "behaviour",
        health=(f"for {lasted(one.oldest_s)}", "bold yellow") if stuck else ("", ""),
        waiting=(short(one.queue_depth + one.active), ""),
        done=(short(one.done), ""),
        failed=(short(one.failed), "bold red" if one.failed else ""),
    )


def _since(moment: float | None, now: float) -> str:
    return ago(moment, now).removesuffix(" ago")


def done_of(status: Status) -> int:
    """Return how much was processed: by behaviours, or jobs of inboxes."""
    return sum(one.done for one in status.behaviours) + sum(one.done for one in status.inboxes)


def failed_of(status: Status) -> int:
    """Return how much has failed for good."""
    return sum(one.failed for one in status.behaviours) + sum(one.failed for one in status.inboxes)


def waiting_of(status: Status) -> int:
    """Return how much waits or is processed."""
    return (
        status.queued
        + sum(one.queue_depth + one.active for one in status.behaviours)
        + sum(one.waiting + one.active for one in status.inboxes)
        + (status.spool.waiting if status.spool is not None else 0)
    )


def laid_out(rows: Sequence[Row], width: float = math.inf) -> list[Row]:
    """Return the table with a head, its cells padded so that the columns line up.

    What does not fit into ``width`` is cut out of the middle of the names.
    """
    table = [[(name, "bold") for name in COLUMNS], *map(safe, rows)]
    widths = [max(cells(row[at][0]) for row in table) for at in range(len(COLUMNS))]
    room = width - sum(widths[1:]) - 2 * (len(COLUMNS) - 1)
    widths[0] = int(min(widths[0], max(_LEAST_NAME, room)))
    return [
        [(_padded(text, widths[at], COLUMNS[at]), style) for at, (text, style) in enumerate(row)]
        for row in table
    ]


def _padded(text: str, width: int, column: str) -> str:
    text = shorten(text, width)
    blank = " " * max(0, width - cells(text))
    gap = "" if column == COLUMNS[-1] else "  "
    return f"{blank}{text}{gap}" if column in _RIGHT else f"{text}{blank}{gap}"


def plain(rows: Sequence[Row]) -> list[str]:
    """Return a table as lines of text, for a pipe."""
    return ["".join(text for text, _ in row).rstrip() for row in laid_out(rows)]
