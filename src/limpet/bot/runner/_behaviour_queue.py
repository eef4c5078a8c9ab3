"""The bounded queue of one behaviour; tasks that share a path run in order."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import Any

from mewbot.core import BehaviourInterface, InputEvent

from limpet._keyed_queue import EVERY_KEY, KeyedItem, KeyedQueue
from limpet.bot._delivery import Delivery
from limpet.bot._returned import classes_of
from limpet.bot.events._action_result import ActionState
from limpet.bot.events._input_events import DirInputEvent, FileSystemInputEvent

_EVERY_PATH = (EVERY_KEY,)
_NO_PATH: tuple[str, ...] = ("\0",)
"""Key of events about no path: they run in order among themselves."""


class Task(KeyedItem):
    """One event for one behaviour, and its progress."""

    __slots__ = ("attempt", "delivery", "event", "is_dead", "state", "step", "tries", "worker")

    def __init__(self, delivery: Delivery, keys: Collection[str]) -> None:
        self.keys = keys  # as KeyedItem does; a call for each task is measurable
        self.blockers = 0
        self.blocked = None
        self.delivery = delivery
        self.event = delivery.event
        self.step = 0
        """0: triggers and conditions; n: the n-th action."""
        self.attempt = 1
        """Number of the current try of this step, from 1."""
        self.tries: list[dict[str, str]] | None = None
        """The records of the tries that failed, of which a dead letter keeps the newest."""
        self.is_dead = False
        """Whether its dead letter is written, or being written."""
        self.state: ActionState | None = None
        self.worker: asyncio.Task[None] | None = None
        """What processes it, or did until it ended."""


def keys_of(event: InputEvent) -> Collection[str]:
    """Return the paths that order an event; ``EVERY_KEY`` of one about a directory.

    Two events that share a path run in their order. An event about a directory runs after all
    before it and before all after it.
    """
    try:
        return _keys_of(event)
    except Exception:  # noqa: BLE001 - a property of a foreign event, or a damaged one
        return _NO_PATH


def _keys_of(event: InputEvent) -> Collection[str]:
    if isinstance(event, FileSystemInputEvent):
        if isinstance(event, DirInputEvent) or event.is_target:
            return _EVERY_PATH
        source: Any = getattr(event.event, "source", None)
        path = str(event.path)
        return (path,) if source is None else (path, str(source))
    path_of = getattr(event, "path", None)
    return (str(path_of),) if isinstance(path_of, str | Path) else _NO_PATH


class BehaviourQueue(KeyedQueue[Task]):
    """The tasks of one behaviour. All methods are called in the thread of the event loop."""

    def __init__(
        self, behaviour: BehaviourInterface, ident: str, name: str, *, bound: int, workers: int
    ) -> None:
        super().__init__()
        self.behaviour = behaviour
        self.ident = ident
        self.name = name
        self.bound = bound
        self.workers = workers
        self.kinds = classes_of(behaviour, "consumes_inputs")
        self.done = 0
        self.skipped = 0
        self.retried = 0
        self.failed = 0
        self.slowest = 0.0
        """Seconds that one event has taken at most."""
        self._has_work = asyncio.Event()
        self._has_room = asyncio.Event()

    def go_on_from(self, other: BehaviourQueue) -> None:
        """Take over the figures of the queue that the behaviour had before a reload."""
        self.done, self.skipped = other.done, other.skipped
        self.retried, self.failed = other.retried, other.failed
        self.slowest = other.slowest

    @property
    def oldest(self) -> float | None:
        """When the oldest of its events was taken, in Unix seconds; ``None`` without any."""
        first = [*self.active, *islice(self.ready, 1), *islice(self._blocked.values(), 1)]
        return min((one.delivery.since for one in first), default=None)

    @property
    def is_full(self) -> bool:
        """Return whether no more should be added."""
        return len(self.ready) + len(self._blocked) >= self.bound

    def takes(self, event: InputEvent) -> bool:
        """Return whether the behaviour is interested in events of this class."""
        return isinstance(event, self.kinds)

    async def wait_for_room(self) -> None:
        """Wait until the queue is not full."""
        while self.is_full:
            self._has_room.clear()
            await self._has_room.wait()

    def put(self, delivery: Delivery) -> Task:
        """Add a task for an event at the end, and return it."""
        if self.workers > 1:
            task = Task(delivery, keys_of(delivery.event))
            self.add(task)
        else:  # in order anyway; this and the two below are the way of each event
            task = Task(delivery, ())
            self.ready.append(task)
        self._has_work.set()
        return task

    async def get(self) -> Task:
        """Return the next task that may run, waiting for one."""
        while not self.ready:
            self._has_work.clear()
            await self._has_work.wait()
        task = self.ready.popleft()
        self.active[task] = None
        if not self._has_room.is_set():
            self._has_room.set()
        return task

    def finish(self, item: Task) -> None:
        """Finish a running task; tasks that waited for it may run."""
        del self.active[item]
        if item.keys:
            self._release(item)
            self._has_work.set()
