"""What is done with a message that came from the hub, whoever takes it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection

from limpet.remote._envelope import EnvelopeError, RemoteEvent, decode
from limpet.remote._subjects import Subjects
from limpet.remote.transport import Delivery, HubError, Stored

__all__ = ["event_of", "keep"]

_log = logging.getLogger("limpet.remote")


def event_of(message: Stored, subjects: Subjects) -> RemoteEvent | None:
    """Read an event; of what is none, it is said, and ``None`` given."""
    try:
        return decode(
            message.data, host=subjects.host_of(message.subject), server_time=message.time
        )
    except (EnvelopeError, ValueError) as error:
        _log.error("message %d is left out: %s", message.seq, error)
        return None


async def keep(deliveries: Collection[Delivery], ack_wait: float) -> None:
    """Say now and then that it takes longer, also of those that wait for their turn; for ever."""
    while True:
        await asyncio.sleep(ack_wait / 3)
        with contextlib.suppress(HubError):
            for delivery in list(deliveries):
                await delivery.in_progress()
