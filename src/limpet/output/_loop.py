"""How a thread of ours reaches the event loop that waits for it, whichever that is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    import asyncio

__all__ = ["Loop"]


class Loop:
    """The running event loop, as far as a thread must reach it; made in the loop's own thread.

    anyio hands work to its own threads; to be called from one of ours is what it has no name for.
    """

    def __init__(self) -> None:
        """Take the loop that runs this."""
        self._asyncio: asyncio.AbstractEventLoop | None = None
        self.post: Callable[[Callable[[], None]], object]
        """Has something called in the loop's thread, from any other."""
        # Who runs on one of them has loaded it, so the other is not loaded for nothing.
        if "asyncio" in sys.modules:
            import asyncio

            with contextlib.suppress(RuntimeError):
                self._asyncio = asyncio.get_running_loop()
        if self._asyncio is not None:
            self.post = self._asyncio.call_soon_threadsafe
        else:
            import trio.lowlevel

            self.post = trio.lowlevel.current_trio_token().run_sync_soon

    def waiter(self) -> tuple[Callable[[], None], Awaitable[object]]:
        """Give what ends one wait of one task, and that wait; asyncio's own costs half an event."""
        if self._asyncio is None:
            event = anyio.Event()
            return event.set, event.wait()
        future: asyncio.Future[None] = self._asyncio.create_future()

        def end() -> None:
            if not future.done():  # whoever waited may have been cancelled
                future.set_result(None)

        return end, future
