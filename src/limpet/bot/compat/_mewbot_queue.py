"""Which events mewbot's own runner is done with: it does not say, so it is read off its queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from mewbot.core import InputQueue

from limpet.bot.events._input_events import FileSystemInputEvent

__all__ = ["Taken"]


class Taken:
    """Events in the order in which they were put into a queue that nobody confirms.

    mewbot 0.0.3 takes one event, awaits all its behaviours, and takes the next. So an event that
    left the queue is done once a later one left it, or once somebody waits at the empty queue;
    and once the outputs that limpet's actions have asked for are done.
    """

    def __init__(self, queue: InputQueue) -> None:
        """Look at this queue."""
        self._queue: Any = queue
        self._put: deque[FileSystemInputEvent] = deque()

    def put(self, event: FileSystemInputEvent) -> None:
        """It was put into the queue."""
        self._put.append(event)

    def settle(self, done: Callable[[FileSystemInputEvent], None]) -> None:
        """Call ``done`` with each that is; what is not certain stays, and may come again."""
        waiting = {id(event) for event in getattr(self._queue, "_queue", self._put)}
        idle = any(not getter.done() for getter in getattr(self._queue, "_getters", ()))
        gone: list[FileSystemInputEvent] = []
        while self._put and id(self._put[0]) not in waiting:
            gone.append(self._put.popleft())
        if gone and not idle:
            self._put.appendleft(gone.pop())
        for event in gone:
            if any(outcome.open for outcome in event.__dict__.get("_outcomes", ())):
                self._put.appendleft(event)  # its outputs are queued
            else:
                done(event)
