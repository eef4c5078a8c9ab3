"""What waits for one behaviour: bounded, in order, and of one path one after another."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from mewbot.core import BehaviourInterface, InputEvent

from limpet.bot.events._action_result import Work
from limpet.bot.events._input_events import DirInputEvent, FileSystemInputEvent

__all__ = ["Delivery", "Job", "Lane", "keys_of"]

_EVERYTHING = ("",)
_ALONE: tuple[str, ...] = ("\0",)
"""Key of events that are about no path: they are kept in order among themselves."""


class Delivery:
    """One event, and how many behaviours have still to be done with it."""

    __slots__ = ("entry", "event", "left", "on_done")

    def __init__(
        self,
        event: InputEvent,
        left: int,
        on_done: Callable[[Delivery], None] | None = None,
        entry: str | None = None,
    ) -> None:
        """Begin with so many behaviours.

        Args:
            event: The event.
            left: Behaviours that will be done with it.
            on_done: Called once all are; without it the input that told it is told.
            entry: Its entry in the journal, if it comes from there.
        """
        self.event = event
        self.left = left
        self.on_done = on_done
        self.entry = entry

    def done(self) -> None:
        """One more behaviour is done with it, or its work is kept elsewhere."""
        self.left -= 1
        if self.left == 0:
            self.settle()

    def settle(self) -> None:
        """Nobody need tell this event again."""
        if self.on_done is not None:
            self.on_done(self)
            return
        teller = getattr(self.event, "_teller", None)
        if teller is not None:
            teller.settle(self.event)

    @property
    def is_told_again(self) -> bool:
        """Whether the next start tells it without anybody keeping it."""
        teller = getattr(self.event, "_teller", None)
        return self.entry is None and teller is not None and teller.tells_again(self.event)


class Job:
    """One event for one behaviour, and how far that is."""

    __slots__ = (
        "attempt", "before", "behind", "delivery", "is_buried", "keys", "lane", "state", "step",
    )  # fmt: skip

    def __init__(self, delivery: Delivery, lane: Lane) -> None:
        """Begin at the triggers."""
        self.delivery = delivery
        self.lane = lane
        self.step = 0
        """0: triggers and conditions; n: the n-th action."""
        self.attempt = 1
        self.is_buried = False
        """Whether it has its dead letter, or gets it now."""
        self.state: Work | None = None
        self.keys: Collection[str] = ()
        self.before = 0
        """Jobs that must be over before this one begins."""
        self.behind: list[Job] | None = None
        """Jobs that wait for this one."""

    @property
    def event(self) -> InputEvent:
        """The event."""
        return self.delivery.event


def keys_of(event: InputEvent) -> Collection[str]:
    """Give the paths an event is about; ``("",)`` of one that is about many: a folder's.

    Two events that share a path are worked on in their order. An event about a folder goes after
    all before it and before all after it.
    """
    if isinstance(event, FileSystemInputEvent):
        if isinstance(event, DirInputEvent) or event.is_target:
            return _EVERYTHING
        source: Any = getattr(event.event, "source", None)
        path = str(event.path)
        return (path,) if source is None else (path, str(source))
    path_of = getattr(event, "path", None)
    return (str(path_of),) if isinstance(path_of, str | Path) else _ALONE


class Lane:
    """The jobs of one behaviour. All methods belong to the loop's thread."""

    def __init__(
        self, behaviour: BehaviourInterface, ident: str, name: str, *, bound: int, workers: int
    ) -> None:
        """Start empty.

        Args:
            behaviour: Whose jobs they are.
            ident: What it is called in the journal: the same at the next start.
            name: What it is called in messages.
            bound: Jobs that may wait.
            workers: Jobs that may be worked on at once.
        """
        self.behaviour = behaviour
        self.ident = ident
        self.name = name
        self.bound = bound
        self.workers = workers
        self.kinds = tuple(behaviour.consumes_inputs())
        self.active: dict[Job, None] = {}
        """Jobs that are worked on, oldest first."""
        self._ready: deque[Job] = deque()
        self._blocked: dict[Job, None] = {}
        self._last: dict[str, Job] = {}
        """Path -> the last job that is about it and is not over."""
        self._barrier: Job | None = None
        """The last job that is about many paths and is not over."""
        self._since: dict[Job, None] = {}
        """Jobs after the barrier that are not over."""
        self._work = asyncio.Event()
        self._room = asyncio.Event()

    def __len__(self) -> int:
        """Count the jobs that wait."""
        return len(self._ready) + len(self._blocked)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is worked on."""
        return not (self.active or self._ready or self._blocked)

    @property
    def is_full(self) -> bool:
        """Whether no more should be added."""
        return len(self._ready) + len(self._blocked) >= self.bound

    def wants(self, event: InputEvent) -> bool:
        """Whether the behaviour is interested in such an event."""
        return isinstance(event, self.kinds)

    async def room(self) -> None:
        """Wait until there is room."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    def add(self, delivery: Delivery) -> Job:
        """Add a job at the end."""
        job = Job(delivery, self)
        if self.workers > 1:
            self._order(job)
        if job.before:
            self._blocked[job] = None
        else:
            self._ready.append(job)
            self._work.set()
        return job

    async def take(self) -> Job:
        """Give the next job that may begin, waiting for one."""
        while not self._ready:
            self._work.clear()
            await self._work.wait()
        job = self._ready.popleft()
        self.active[job] = None
        if not self._room.is_set():
            self._room.set()
        return job

    def finish(self, job: Job) -> None:
        """A job is over: those that waited for it may begin."""
        del self.active[job]
        if self.workers > 1:
            self._release(job)

    def left(self) -> list[Job]:
        """Give all that is not over, oldest first."""
        waiting = [*self._ready, *self._blocked]
        return [*self.active, *waiting]

    def _order(self, job: Job) -> None:
        job.keys = keys_of(job.event)
        if "" in job.keys:
            for other in [*self._since, *([self._barrier] if self._barrier is not None else [])]:
                _wait_for(job, other)
            self._barrier = job
            self._since.clear()
            self._last.clear()
            return
        before = {self._last[key] for key in job.keys if key in self._last}
        if self._barrier is not None:
            before.add(self._barrier)
        for other in before:
            _wait_for(job, other)
        for key in job.keys:
            self._last[key] = job
        self._since[job] = None

    def _release(self, job: Job) -> None:
        for key in job.keys:
            if self._last.get(key) is job:
                del self._last[key]
        self._since.pop(job, None)
        if self._barrier is job:
            self._barrier = None
        for other in job.behind or ():
            other.before -= 1
            if not other.before:
                del self._blocked[other]
                self._ready.append(other)
                self._work.set()


def _wait_for(job: Job, other: Job) -> None:
    if other.behind is None:
        other.behind = []
    other.behind.append(job)
    job.before += 1
