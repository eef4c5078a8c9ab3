"""How a thread of limpet reaches the event loop that waits for it, on asyncio and on trio."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable


class EventLoop:
    """The running event loop, as far as other threads must reach it; created in the loop's thread.

    anyio calls back from its own threads only, so this asks the loop itself.
    """

    def __init__(self) -> None:
        """Take the event loop that runs the caller.

        trio is asked first: in its guest mode asyncio runs in the same thread, too.

        Raises:
            RuntimeError: No event loop runs here.
        """
        self._asyncio: asyncio.AbstractEventLoop | None = None
        self.post: Callable[[Callable[[], None]], object]
        """Runs a function in the loop's thread, soon; callable from any thread. Raises
        ``RuntimeError`` once the loop is closed."""
        trio: Any = sys.modules.get("trio")  # a loop that runs the caller has been loaded
        if trio is not None:
            try:
                self.post = trio.lowlevel.current_trio_token().run_sync_soon
            except RuntimeError:
                pass  # loaded, but another loop runs the caller
            else:
                return
        import asyncio

        self._asyncio = asyncio.get_running_loop()
        self.post = self._asyncio.call_soon_threadsafe

    def waiter(self) -> tuple[Callable[[], None], Awaitable[object]]:
        """Return what ends one wait of one task, and that wait.

        The first must be called in the loop's thread, and may be called after the task was
        cancelled. On asyncio it is a plain future: half the cost of an ``anyio.Event``.
        """
        if self._asyncio is None:
            import anyio

            event = anyio.Event()
            return event.set, event.wait()
        future: asyncio.Future[None] = self._asyncio.create_future()

        def end() -> None:
            if not future.done():  # its task was cancelled
                future.set_result(None)

        return end, future
