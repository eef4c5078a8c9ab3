"""The messages of one subscription of nats-py, taken without a task for each."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from limpet.remote.transport._nats_connection import NatsConnection


class MessageQueue:
    """A subscription's queue; its end is also that of the connection it was made on."""

    def __init__(self, connection: NatsConnection, subscription: Any) -> None:
        self.subject: str = subscription.subject
        self._connection, self._subscription = connection, subscription
        self._queue = subscription._pending_queue  # noqa: SLF001 - next_msg makes a task a message
        self._down = connection.down

    @property
    def is_down(self) -> bool:
        """Return whether the connection of this subscription is lost."""
        return self._down.is_set()

    def take(self) -> Any:
        """Return a message that is there, as nats-py has it; ``None`` if there is none."""
        return None if self._queue.empty() else self._counted(self._queue.get_nowait())

    async def next(self, timeout: float) -> Any:
        """Wait for a message; return ``None`` after ``timeout`` seconds without one.

        Raises:
            DisconnectedError: The connection is lost.
        """
        message = self.take()
        if message is not None:
            return message
        if timeout <= 0:
            # Those of one batch come together: give the reader one turn to bring the rest.
            await asyncio.sleep(0)
            return self.take()
        getter = asyncio.ensure_future(self._queue.get())
        down = asyncio.ensure_future(self._down.wait())
        try:
            await asyncio.wait({getter, down}, timeout=timeout, return_when="FIRST_COMPLETED")
            if getter.done():
                return self._counted(getter.result())
            if down.done():
                raise self._connection.away()
            return None
        finally:
            getter.cancel()
            down.cancel()

    def _counted(self, message: Any) -> Any:
        self._subscription._pending_size -= len(message.data)  # noqa: SLF001 - as next_msg does
        return message

    async def close(self) -> None:
        """Unsubscribe."""
        with contextlib.suppress(Exception):
            await self._subscription.unsubscribe()
