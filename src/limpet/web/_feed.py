"""The newest snapshot, the last minutes, and what happened: for all who ask, asked for once."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from limpet.status import (
    Happening,
    Problem,
    Status,
    StatusSource,
    happening_to_wire,
    status_to_wire,
)
from limpet.web._program import Program

_LOG: Final = logging.getLogger("limpet.web")
_LONE: Final = re.compile("[\ud800-\udfff]")
PATIENCE_S: Final = 2.0
"""How long the program may take to answer; from then on the last snapshot is shown, as stalled."""
_EARLY_S: Final = 0.05
"""By how much a wait of the event loop may end too early; it has the resolution of its clock."""
TICK_S: Final = 0.25
"""How often those who listen get what happened."""
MOST: Final = 200
"""How much of it, at most; the newest. The rest is counted."""
_HISTORY: Final = 600
"""Points of the history, one a second."""
_KEPT: Final = 5000
"""As many as ``Happenings`` keeps."""
_STORY_S: Final = 0.5
"""Stories of paths that are asked for so close together are made of the same reading."""


class Shown(NamedTuple):
    """A snapshot, and how far it can be trusted."""

    status: Status
    stalled_s: float
    """For how long the program has not answered; 0 while it does."""


class Batch(NamedTuple):
    """What happened after a number."""

    number: int
    """Of the newest."""
    left_out: int
    items: list[dict[str, Any]]


class Feed:
    """Asks the program once for all; everything in the loop of the server."""

    def __init__(self, source: StatusSource, program: Program) -> None:
        """Take the first snapshot; called in the program's loop."""
        self._source, self._program = source, program
        self._latest: Status = source.status()
        self._asked = time.monotonic()
        self._ask: asyncio.Future[Status] | None = None
        self._error = ""
        self._history: deque[dict[str, float]] = deque(maxlen=_HISTORY)
        self._batches: dict[tuple[int, int], asyncio.Task[Batch]] = {}
        self._batches_made = 0.0
        self._all: asyncio.Task[Batch] | None = None
        self._all_made = 0.0

    @property
    def history(self) -> list[dict[str, float]]:
        """The last ten minutes, oldest first: a point for each second in which it answered."""
        return list(self._history)

    @property
    def shown(self) -> Shown:
        """The newest snapshot; nothing is asked for it."""
        waits = self._ask is not None and not self._ask.done()
        stalled = time.monotonic() - self._asked if waits else 0.0
        if stalled >= PATIENCE_S - _EARLY_S:
            text = f"the event loop has not answered for {stalled:.0f} s"
            return Shown(_failing(self._latest, "event loop", text), round(stalled, 1))
        if self._error:
            return Shown(_failing(self._latest, "status", self._error), 0.0)
        return Shown(self._latest, 0.0)

    async def run(self) -> None:
        """Take a snapshot each second, until it is cancelled."""
        while True:
            begun = time.monotonic()
            try:
                shown = await self.refreshed()
                if not shown.stalled_s:
                    self._history.append(point_of(shown.status))
            except Exception:  # noqa: BLE001 - of one snapshot; the next one may be better
                _LOG.warning("a point of the history is left out", exc_info=True)
            await asyncio.sleep(max(0.05, 1.0 - (time.monotonic() - begun)))

    async def refreshed(self) -> Shown:
        """Return a snapshot made now, or one that is being made; without an answer, the last."""
        if self._ask is None or self._ask.done():
            self._asked = time.monotonic()
            self._ask = self._program.call(self._source.status)
            self._ask.add_done_callback(self._take)
        left = self._asked + PATIENCE_S - time.monotonic()
        await asyncio.wait({self._ask}, timeout=max(0.0, left))
        await asyncio.sleep(0)  # _take comes first
        return self.shown

    def _take(self, answer: asyncio.Future[Status]) -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            self._latest, self._error = answer.result(), ""
        else:
            self._error = f"no snapshot can be made: {type(error).__name__}: {error}"

    async def after(self, number: int, most: int = MOST) -> Batch:
        """Return what happened after a number; those who ask at once share the work.

        A number below 0 counts from the newest. Nothing comes of a program that does
        not answer.
        """
        now = time.monotonic()
        if now - self._batches_made >= TICK_S / 2:
            self._batches.clear()
            self._batches_made = now
        key = number, most
        if key not in self._batches:
            if len(self._batches) > 100:
                self._batches.clear()
            self._batches[key] = asyncio.create_task(self._batch(number, most))
        return await asyncio.shield(self._batches[key])

    async def about(self, path: str, number: int, most: int) -> Batch:
        """Return what is known about a path and what is below it, or was renamed from there."""
        now = time.monotonic()
        if self._all is None or now - self._all_made >= _STORY_S:
            self._all, self._all_made = asyncio.create_task(self._batch(0, _KEPT)), now
        found = await asyncio.shield(self._all)
        wanted = _about(path)
        items = [one for one in found.items if one["number"] > number and wanted(one)]
        return Batch(found.number, max(0, len(items) - most), items[-most:] if most else [])

    async def _batch(self, number: int, most: int) -> Batch:
        source = self._source.happenings

        def ask() -> tuple[int, int, list[Happening]]:
            count = source.count
            begin = count + number if number < 0 else min(number, count)
            return count, *source.since(max(0, begin), most)

        future = self._program.call(ask)
        await asyncio.wait({future}, timeout=PATIENCE_S)
        if not future.done() or future.exception() is not None:
            future.cancel()
            return Batch(max(0, number), 0, [])
        count, left_out, found = future.result()
        first = count - len(found) + 1
        return Batch(
            count, left_out, [_wire(first + place, one) for place, one in enumerate(found)]
        )


def status_json(shown: Shown) -> str:
    """Return a snapshot as JSON, with ``stalled_s`` beside its own fields."""
    return compact({**status_to_wire(shown.status), "stalled_s": shown.stalled_s})


def compact(value: object) -> str:
    r"""Return JSON in one line; a lone surrogate comes as the text ``\udcff``, as in snapshots."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:  # JSON has no infinity
        text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))
    return _LONE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text)


def _finite(value: object) -> object:
    """Return a value for JSON with ``null`` for each number that is none, or without end."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


def point_of(status: Status) -> dict[str, float]:
    """Return one point of the history; the totals grow from the start of the program on."""
    dead = status.dead_letters
    return {
        "time": round(status.time, 3),
        "events": status.events,
        "lines": sum(one.lines for one in status.follows),
        "done": status.counters.get("done", sum(one.done for one in status.behaviours))
        + sum(one.done for one in status.inboxes),
        "failed": status.counters.get("failed", sum(one.failed for one in status.behaviours))
        + sum(one.failed for one in status.inboxes),
        "retried": status.counters.get("retries", sum(one.retried for one in status.behaviours))
        + sum(one.retried for one in status.inboxes),
        "written": sum(sum(one.operations.values()) for one in status.outputs),
        "queued": status.queued
        + sum(one.queue_depth for one in status.behaviours)
        + sum(one.waiting for one in status.inboxes),
        "waiting_bytes": sum(one.lag_bytes for one in status.follows)
        + (status.spool.waiting_bytes if status.spool else 0),
        "dead_letters": dead.waiting if dead else 0,
    }


def _failing(status: Status, where: str, reason: str) -> Status:
    problem = Problem(where=where, reason=reason, is_failure=True)
    return dataclasses.replace(status, health="failing", problems=(problem, *status.problems))


def _wire(number: int, one: Happening) -> dict[str, Any]:
    try:
        return happening_to_wire(number, one)
    except Exception as error:  # noqa: BLE001 - one that cannot be shown; the others are
        text = f"cannot be shown: {type(error).__name__}"
        return {"number": number, "time": round(one.time, 3), "what": one.what, "text": text}


def _about(path: str) -> Callable[[dict[str, Any]], bool]:
    bare = path.rstrip("/\\") or path
    below = tuple(bare.rstrip("/\\") + one for one in "/\\")

    def is_about(one: dict[str, Any]) -> bool:
        return any(
            name == bare or name.startswith(below)
            for key in ("path", "source")
            if (name := one.get(key, ""))
        )

    return is_about
