"""Ends tasks of which one request is not always enough."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_AGAIN_S: Final = 0.1
"""Seconds after which a task that goes on is asked again."""


async def end_tasks(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks until each has ended; what they raise is dropped.

    Before Python 3.12 ``asyncio.wait_for`` drops a cancellation that comes in the turn in which
    what it waits for ends. nats-py connects through it, in a loop that has no end, so that a task
    which is asked once may go on for ever (seen in 2 of 2,000 connections, Python 3.11).
    """
    waiting = {one for one in tasks if not one.done()}
    while waiting:
        for one in waiting:
            one.cancel()
        done, waiting = await asyncio.wait(waiting, timeout=_AGAIN_S)
        for one in done:
            if not one.cancelled():
                one.exception()  # it is taken note of: nobody else asks


def raise_dropped_cancellation() -> None:
    """Raise a cancellation of this task that ``asyncio.wait_for`` has dropped in nats-py.

    Raises:
        asyncio.CancelledError: This task is asked to end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
