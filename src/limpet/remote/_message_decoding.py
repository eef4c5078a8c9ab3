"""Decoding of event messages, and keeping messages in progress while they are processed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from limpet.remote._envelope import EnvelopeError, RemoteEvent, decode
from limpet.remote._subjects import Subjects
from limpet.remote.transport import HubError, StoredMessage, WorkConsumer, WorkMessage

_log = logging.getLogger("limpet.remote")


def event_of(message: StoredMessage, subjects: Subjects, host: str) -> RemoteEvent | None:
    """Return the event of a message of a host; log an invalid one, and return ``None``."""
    try:
        named = subjects.host_of(message.subject)
        if named != host:
            text = f"its subject names the host {named!r}, and it is in the stream of {host!r}"
            raise EnvelopeError(text)
        return decode(message.data, host=host, server_time=message.time, trace=message.trace)
    except ValueError as error:
        _log.error("setting aside message %d of %s: %s", message.seq, host, error)
        return None


async def handle_each(
    worker: WorkConsumer,
    messages: Iterable[WorkMessage],
    ack_wait: float,
    handle: Callable[[WorkMessage], Awaitable[None]],
) -> None:
    """Handle messages one after the other, and those that come meanwhile.

    All of them are reported to be in progress, also those that wait.
    """
    waiting = deque(messages)
    keeper = asyncio.create_task(_keep_in_progress(waiting, ack_wait, worker))
    try:
        while waiting:
            await handle(waiting[0])
            waiting.popleft()
    finally:
        keeper.cancel()


async def _keep_in_progress(
    waiting: deque[WorkMessage], ack_wait: float, worker: WorkConsumer
) -> None:
    while True:
        await asyncio.sleep(ack_wait / 3)
        waiting.extend(worker.arrived())
        with contextlib.suppress(HubError):
            for message in list(waiting):
                await message.in_progress()
