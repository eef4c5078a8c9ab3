"""What a server asks of the program, which runs in another thread and may be busy or blocked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from limpet._event_loop import EventLoop

T = TypeVar("T")

_MOST_ACTS: Final = 8
"""Calls that act, at a time: a retry may take as long as its behaviour."""


class ProgramEndedError(Exception):
    """The program's event loop does not run any more."""


class TooManyActsError(Exception):
    """Enough calls are going on that act."""


class Program:
    """Runs functions in the event loop of the program; used from the loop of the server.

    Created in the program's loop, and opened in the server's.
    """

    def __init__(self) -> None:
        """Take the loop that runs the caller.

        Raises:
            RuntimeError: No event loop runs here.
        """
        self._loop = EventLoop()
        self._server: asyncio.AbstractEventLoop | None = None
        self._cancels: set[Callable[[], object]] = set()
        """One for each call that goes on; of the program's thread."""

    def open(self) -> None:
        """Take the running loop as the one that asks."""
        self._server = asyncio.get_running_loop()

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Return what a function will return that runs in the program's loop, soon."""
        future, deliver = self._future(function)

        def run() -> None:
            try:
                value = function()
            except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
                deliver(None, error)
            else:
                deliver(value, None)

        self._post(run, deliver)
        return future

    def act(self, function: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Future[T]:
        """Return what a coroutine will return that runs in the program's loop.

        It goes on if nobody waits for it any more; ``cancel_acts`` ends it.
        """
        future, deliver = self._future(function)

        async def work() -> None:
            try:
                value = await function()
            except Exception as error:  # noqa: BLE001 - as above
                deliver(None, error)
            except BaseException:
                deliver(None, ProgramEndedError())
                raise
            else:
                deliver(value, None)

        def run() -> None:
            if len(self._cancels) >= _MOST_ACTS:
                deliver(None, TooManyActsError())
            elif self._loop.asyncio is not None:
                task = self._loop.asyncio.create_task(work())
                self._cancels.add(task.cancel)
                task.add_done_callback(lambda _: self._cancels.discard(task.cancel))
            else:
                self._start_in_trio(work)

        self._post(run, deliver)
        return future

    def cancel_acts(self) -> None:
        """Cancel the coroutines that go on; called in the program's loop."""
        for cancel in list(self._cancels):
            cancel()

    def _start_in_trio(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        trio = self._loop.trio
        scope = trio.CancelScope()
        self._cancels.add(scope.cancel)

        async def run() -> None:
            with scope:
                await work()
            self._cancels.discard(scope.cancel)

        trio.lowlevel.spawn_system_task(run)

    def _future(
        self, function: Callable[[], object]
    ) -> tuple[asyncio.Future[Any], Callable[[object, BaseException | None], None]]:
        server = self._server
        assert server is not None, function  # noqa: S101 - for the type checker
        future: asyncio.Future[Any] = server.create_future()

        def end(value: object, error: BaseException | None) -> None:
            if future.done():  # nobody waits any more
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
                future.exception()  # it may be that nobody waits for it

        def deliver(value: object, error: BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the server has been closed
                server.call_soon_threadsafe(end, value, error)

        return future, deliver

    def _post(
        self, run: Callable[[], None], deliver: Callable[[object, BaseException | None], None]
    ) -> None:
        try:
            self._loop.post(run)
        except RuntimeError:  # it is closed; trio's RunFinishedError is one, too
            deliver(None, ProgramEndedError())
