"""How a thread of limpet reaches the event loop that waits for it, on asyncio and on trio."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager


_ANOTHER: Final = ": enter one here, with 'async with', and leave it before this ends"


class LoopEvent(Protocol):
    """What tasks wait for, until it is set once; everything in the loop's thread."""

    def is_set(self) -> bool:
        """Return whether it is set."""

    def set(self) -> None:
        """Wake all tasks that wait."""

    async def wait(self) -> object:
        """Wait until it is set."""


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
        self.asyncio: asyncio.AbstractEventLoop | None = None
        self.trio: Any = None
        """The package, if trio runs the caller; one of both is set."""
        self._token: Any = None
        self._process = os.getpid()
        self.post: Callable[[Callable[[], None]], object]
        """Runs a function in the loop's thread, soon; callable from any thread. Raises
        ``RuntimeError`` once the loop is closed."""
        trio: Any = sys.modules.get("trio")  # a loop that runs the caller has been loaded
        if trio is not None:
            try:
                self._token = trio.lowlevel.current_trio_token()
            except RuntimeError:
                pass  # loaded, but another loop runs the caller
            else:
                self.trio, self.post = trio, self._token.run_sync_soon
                return
        import asyncio

        self._running = asyncio.get_running_loop
        self.asyncio = self._running()
        self.post = self.asyncio.call_soon_threadsafe

    @property
    def can_listen(self) -> bool:
        """Return whether the loop can wait for a descriptor of epoll or of a socket.

        The proactor loop, which Windows has by default, cannot (documentation of asyncio, "Platform
        Support"), so no loop is asked to there.
        """
        if sys.platform == "win32":
            return False
        if self.asyncio is None:
            return True
        import asyncio

        return type(self.asyncio).add_reader is not asyncio.AbstractEventLoop.add_reader

    @property
    def key(self) -> object:
        """Return what is the same for all values of this class that stand for this loop."""
        return self._token if self.asyncio is None else self.asyncio

    @property
    def is_forked(self) -> bool:
        """Return whether the caller is a forked child of the process whose loop it is."""
        return os.getpid() != self._process

    @property
    def is_closed(self) -> bool:
        """Return whether no task of the loop will ever run again; trio does not tell."""
        return self.asyncio is not None and self.asyncio.is_closed()

    @property
    def is_running_here(self) -> bool:
        """Return whether this loop runs the caller."""
        if self.trio is not None:
            try:
                return bool(self.trio.lowlevel.current_trio_token() is self._token)
            except RuntimeError:
                return False
        try:
            return self._running() is self.asyncio
        except RuntimeError:
            return False

    def check(self, what: object) -> None:
        """Verify that the caller runs in this loop; ``what`` is the object it has used.

        Raises:
            RuntimeError: It runs in another loop, or in a forked child: what it waits for would
                never come there.
        """
        if self.is_forked:
            message = f"{what!r} belongs to the process that this one is a fork of{_ANOTHER}"
            raise RuntimeError(message)
        if not self.is_running_here:
            message = f"{what!r} belongs to another event loop{_ANOTHER}"
            raise RuntimeError(message)

    def event(self) -> LoopEvent:
        """Return an event for the tasks of this loop.

        On asyncio it is asyncio's own. anyio works with it as with its own, and a program that does
        not use anyio need not load its part for asyncio: 20 milliseconds, a fifth of a start.
        """
        if self.asyncio is not None:
            import asyncio

            return asyncio.Event()
        import anyio

        return anyio.Event()

    def limiter(self, most: int) -> AbstractAsyncContextManager[None]:
        """Return what lets ``most`` tasks into its block at a time."""
        if self.asyncio is not None:
            import asyncio

            return asyncio.Semaphore(most)
        import anyio

        return anyio.CapacityLimiter(most)

    def waiter(self) -> tuple[Callable[[], None], Awaitable[object]]:
        """Return what ends one wait of one task, and that wait.

        The first must be called in the loop's thread, and may be called after the task was
        cancelled. On asyncio it is a plain future: half the cost of an ``anyio.Event``.
        """
        if self.asyncio is None:
            import anyio

            event = anyio.Event()
            return event.set, event.wait()
        future: asyncio.Future[None] = self.asyncio.create_future()

        def end() -> None:
            if not future.done():  # its task was cancelled
                future.set_result(None)

        return end, future


def is_plain_asyncio() -> bool:
    """Return whether asyncio alone is loaded, so that no cancel scope of anyio can be open."""
    return "trio" not in sys.modules and "anyio._backends._asyncio" not in sys.modules


def is_cancelled_once() -> bool:
    """Return whether the running task of asyncio was asked to end before.

    asyncio delivers a cancellation once: the awaits of a block's end wait as if there were none
    (documentation of asyncio, "Task Cancellation"). anyio and trio deliver theirs at each await.
    """
    asyncio: Any = sys.modules.get("asyncio")  # a loop that runs the caller has been loaded
    if asyncio is None:
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:  # trio runs the caller
        return False
    return task is not None and task.cancelling() > 0
