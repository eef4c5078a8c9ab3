"""What waits for one behaviour: bounded, in order, and of one path one after another."""

from __future__ import annotations

import asyncio
from collections import deque

from mewbot.core import BehaviourInterface, InputEvent

from limpet.bot.runner._work import Delivery, Job, keys_of

__all__ = ["Lane"]


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
