"""The queue that limpet's runner binds inputs to."""

from __future__ import annotations

import asyncio
from typing import Final

from mewbot.core import InputEvent

__all__ = ["EventQueue", "StoppedError"]

_OVER: Final = 4
"""``put_nowait`` may go beyond the bound by this factor: components written for mewbot's unbounded
queue use it from callbacks that cannot wait."""


class StoppedError(RuntimeError):
    """The bot takes no more events: it is stopping."""


class EventQueue(asyncio.Queue[InputEvent]):
    """A bounded queue: ``put`` waits for room, ``put_nowait`` may go over the bound for a while."""

    def __init__(self, bound: int) -> None:
        """Make it with room for so many events."""
        super().__init__(bound)
        self._most = bound * _OVER
        self._closed = False

    def close(self) -> None:
        """Take no more; what is in it can still be got."""
        self._closed = True

    async def put(self, item: InputEvent) -> None:
        """Put an event, waiting for room.

        Raises:
            StoppedError: The bot is stopping; the event was not taken.
        """
        if self._closed:
            message = "the bot is stopping and takes no more events"
            raise StoppedError(message)
        if not self.full():  # the base class would do the same in two calls more
            self.put_nowait(item)
            return
        await super().put(item)

    def put_nowait(self, item: InputEvent) -> None:
        """Put an event at once, if need be beyond the bound.

        Raises:
            asyncio.QueueFull: It is at four times its bound; the event was not taken.
            StoppedError: The bot is stopping; the event was not taken.
        """
        if self._closed:
            message = "the bot is stopping and takes no more events"
            raise StoppedError(message)
        if self.qsize() >= self._most:
            raise asyncio.QueueFull
        self._maxsize, bound = 0, self._maxsize  # so that the base class takes it at once
        try:
            super().put_nowait(item)
        finally:
            self._maxsize = bound
