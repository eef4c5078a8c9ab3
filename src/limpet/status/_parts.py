"""The parts of a status that several programs have, from the figures of what they show."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from limpet.status._model import (
    FollowStatus,
    Health,
    InboxStatus,
    OutputStatus,
    Problem,
    State,
    WatchStatus,
)
from limpet.status._rates import Rates

if TYPE_CHECKING:
    from limpet.following import FollowStats
    from limpet.intake import InboxStats
    from limpet.output import OutputStats
    from limpet.watching import WatchStats

_LONGEST: Final = 2000
"""Characters of a reason."""


class Lags:
    """Since when each follower has had something unread, as far as it was seen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def read(self, name: str, backlog: int) -> float:
        """Take the present backlog in bytes, and return for how many seconds there was one."""
        if not backlog:
            self._since.pop(name, None)
            return 0.0
        now = self._clock()
        return round(now - self._since.setdefault(name, now), 3)


def watch_status(
    name: str,
    place: str | os.PathLike[str],
    stats: WatchStats | None,
    rates: Rates,
    *,
    degraded: Mapping[str, str] | None = None,
    failure: str = "",
) -> WatchStatus:
    """Return the status of a watch; without ``stats`` nothing is watched now."""
    place, degraded = os.fspath(place), dict(degraded or {})
    if stats is None:
        return WatchStatus(name=name, place=place, degraded=degraded, failure=failure)
    per_minute, last = rates.read(f"watch {name} {place}", stats.events)
    return WatchStatus(
        name=name,
        place=place,
        backend=stats.backend,
        entries=stats.entries,
        marks=stats.marks,
        polled=stats.polled,
        held=stats.held,
        scans=stats.scans,
        rescans=stats.rescans,
        events=stats.events,
        events_per_minute=per_minute,
        last_event=last,
        degraded=degraded,
        failure=failure,
    )


def follow_status(
    name: str,
    place: str | os.PathLike[str],
    stats: FollowStats,
    rates: Rates,
    lags: Lags,
    *,
    failure: str = "",
) -> FollowStatus:
    """Return the status of a follower."""
    place = os.fspath(place)
    key = f"follow {name} {place}"
    per_minute, last = rates.read(key, stats.lines)
    return FollowStatus(
        name=name,
        place=place,
        files=stats.generations,
        lag_bytes=stats.backlog,
        lag_s=lags.read(key, stats.backlog),
        lines=stats.lines,
        lines_per_minute=per_minute,
        bytes_read=stats.bytes_read,
        last_line=last,
        gaps=stats.gaps,
        gap_bytes=stats.gap_bytes,
        truncations=stats.truncations,
        lost_bytes=stats.lost_bytes,
        failure=failure or stats.last_error,
    )


def output_status(
    name: str, root: str | os.PathLike[str], stats: OutputStats, rates: Rates
) -> OutputStatus:
    """Return the status of an output."""
    _, last = rates.read(f"output {name} {root}", sum(stats.operations.values()))
    return OutputStatus(
        name=name,
        root=os.fspath(root),
        operations=dict(sorted(stats.operations.items())),
        refusals=dict(sorted(stats.refusals.items())),
        bytes_written=stats.bytes_written,
        last_operation=last,
    )


def inbox_status(place: str | os.PathLike[str], stats: InboxStats) -> InboxStatus:
    """Return the status of an inbox."""
    age = 0.0 if stats.oldest is None else max(0.0, time.time() - stats.oldest)
    return InboxStatus(
        place=os.fspath(place),
        waiting=stats.waiting,
        active=stats.active,
        retrying=stats.retrying,
        done=stats.done,
        retried=stats.retried,
        failed=stats.failed,
        oldest_s=round(age, 3),
        last_done=stats.last_done,
    )


def problems_of(
    *,
    failures: Mapping[str, str] | None = None,
    watches: Iterable[WatchStatus] = (),
    follows: Iterable[FollowStatus] = (),
) -> tuple[Problem, ...]:
    """Return what is wrong, each once: what has failed first, then what is degraded."""
    found: dict[tuple[str, str], bool] = {}
    for where, reason in (failures or {}).items():
        found[where, reason] = True
    for watch in watches:
        if watch.failure:
            found[watch.name, watch.failure] = True
        for where, reason in watch.degraded.items():
            found.setdefault((where, reason), False)
    for follow in follows:
        if follow.failure:
            found.setdefault((follow.name, follow.failure), False)
    return tuple(
        Problem(where=where, reason=reason[:_LONGEST], is_failure=is_failure)
        for (where, reason), is_failure in sorted(found.items(), key=lambda one: not one[1])
    )


def health_of(state: State, problems: Iterable[Problem]) -> Health:
    """Return how well a program is: one that starts or stops does not work."""
    kinds = {one.is_failure for one in problems}
    if True in kinds or state not in {"running", "reloading"}:
        return "failing"
    return "degraded" if kinds else "ok"
