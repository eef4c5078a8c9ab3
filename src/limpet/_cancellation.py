"""How a closing waits where its task is cancelled: for what was begun, but not for ever."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from limpet._event_loop import is_cancelled_once, is_plain_asyncio

if TYPE_CHECKING:
    from limpet._event_loop import LoopEvent


async def wait_despite_cancellation(event: LoopEvent, patience: float) -> BaseException | None:
    """Wait for an event; return the cancellation that arrived meanwhile, if one did.

    What was begun is finished, so a wait that is cancelled goes on; but a disk may hang, so it ends
    ``patience`` seconds after the request, whether or not the event is set.
    """
    if is_plain_asyncio():
        return await _wait_in_asyncio(event, patience)
    import anyio

    cancelled: BaseException | None = None
    end = anyio.current_time() + patience if is_cancelled_once() else math.inf
    while not event.is_set() and anyio.current_time() < end:
        try:
            with anyio.CancelScope(shield=cancelled is not None, deadline=end):
                await event.wait()
        except anyio.get_cancelled_exc_class() as error:
            # asyncio's own cancel() passes a shield, and may come more than once.
            cancelled = error
            end = min(end, anyio.current_time() + patience)
    return cancelled


async def _wait_in_asyncio(event: LoopEvent, patience: float) -> BaseException | None:
    """Do the same where a cancellation is delivered once, and anyio need not be loaded."""
    import asyncio

    now = asyncio.get_running_loop().time
    cancelled: BaseException | None = None
    end = now() + patience if is_cancelled_once() else math.inf
    while not event.is_set() and now() < end:
        try:
            async with asyncio.timeout_at(end if end < math.inf else None):
                await event.wait()
        except TimeoutError:
            break
        except asyncio.CancelledError as error:
            cancelled = error
            end = min(end, now() + patience)
    return cancelled
