"""The bounded queue between the inputs of a bot and its dispatcher."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from mewbot.core import InputEvent

from limpet.bot._delivery import Delivery

_OVERFLOW_FACTOR: Final = 4
"""``put_nowait`` may exceed the bound by this factor: components written for mewbot's unbounded
queue call it from callbacks that cannot wait."""

_STOPPING: Final = "the bot is stopping and takes no more events"


class StoppedError(RuntimeError):
    """The bot is stopping and takes no more events."""


class EventQueue(asyncio.Queue[Any]):
    """A queue of deliveries: ``put`` waits for room, ``put_nowait`` may exceed the bound.

    Components written for mewbot put bare events. Each becomes a delivery without a source.
    """

    _queue: deque[Delivery]
    """Made by the base class, which names it for subclasses."""

    def __init__(self, bound: int) -> None:
        """Create the queue with room for ``bound`` events."""
        super().__init__(bound)
        self._limit = bound * _OVERFLOW_FACTOR
        self._closed = False

    def close(self) -> None:
        """Refuse more events; what is queued can still be taken."""
        self._closed = True

    async def put(self, item: InputEvent | Delivery) -> None:
        """Add an event, waiting for room.

        Raises:
            StoppedError: The bot is stopping; the event was not added.
        """
        if self._closed:
            raise StoppedError(_STOPPING)
        if not self.full():  # the base class would do the same with two more calls
            self.put_nowait(item)
            return
        await super().put(item)

    def put_nowait(self, item: InputEvent | Delivery) -> None:
        """Add an event at once, if need be beyond the bound.

        Raises:
            asyncio.QueueFull: The queue holds four times its bound; the event was not added.
            StoppedError: The bot is stopping; the event was not added.
        """
        if self._closed:
            raise StoppedError(_STOPPING)
        if self.qsize() >= self._limit:
            raise asyncio.QueueFull
        self._maxsize, bound = 0, self._maxsize  # so that the base class adds it at once
        try:
            super().put_nowait(item)
        finally:
            self._maxsize = bound

    def _put(self, item: InputEvent | Delivery) -> None:
        self._queue.append(item if isinstance(item, Delivery) else Delivery(item))
