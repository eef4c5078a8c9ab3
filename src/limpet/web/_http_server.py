"""HTTP in a thread of its own, which answers while the program is busy; bounded in all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from limpet.web._address import BACKLOG
from limpet.web._http import MOST_HEAD

if TYPE_CHECKING:
    from starlette.types import ASGIApp

MOST_CONNECTIONS: Final = 64
"""At a time; further ones are closed at once."""
HEAD_S: Final = 10.0
"""How long a connection may be open without a request that is being answered."""
_CLOSE_S: Final = 1.0
"""How long answers may take to end once the server is closed."""
_TURNS: Final = 5
"""Of the event loop, in which a connection is accepted and ended."""
_LOG: Final = logging.getLogger("limpet.web.http")
_LOG.setLevel(logging.ERROR)  # what clients send is no fault of the program


_open: Final[weakref.WeakSet[HttpServer]] = weakref.WeakSet()


def _after_fork() -> None:
    """Close, in a forked child, the sockets of its parent: nobody would answer there."""
    for server in list(_open):
        server._sock.close()  # noqa: SLF001 (its own part)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class HttpServer:
    """A thread that answers requests on one socket."""

    def __init__(self, sock: socket.socket) -> None:
        """Prepare to answer on a bound socket, which it closes at its end."""
        self._sock = sock
        _open.add(self)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._is_stopped = False
        self._thread: threading.Thread | None = None

    def start(
        self,
        make: Callable[[asyncio.Event], tuple[ASGIApp, Awaitable[Any]]],
        started: Callable[[BaseException | None], None],
        ended: Callable[[], None],
    ) -> None:
        """Start the thread.

        Args:
            make: Called in the thread with what is set when it ends; returns the application, and
                what runs beside it.
            started: Called in the thread once it listens, or with what went wrong.
            ended: Called in the thread when it ends.
        """

        def run() -> None:
            try:
                asyncio.run(self._serve(make, started))
            except Exception as error:  # noqa: BLE001 - it is raised by the start, or logged
                started(error)
                _LOG.exception("the server of the status has ended")
            finally:
                self._sock.close()
                ended()

        self._thread = threading.Thread(target=run, name="limpet-web", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin to end; callable from any thread, and more than once."""
        self._is_stopped = True
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(stop.set)

    def join(self, timeout: float) -> None:
        """Wait for the thread, which has nothing more to do."""
        if self._thread is not None:
            self._thread.join(timeout)

    async def _accept_no_more(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let what has been accepted become connections: ``close`` would forget them, open.

        asyncio of Python 3.11 makes the transport a turn after it has accepted, and cannot make
        one for a server that was closed in between: ``Server._attach`` asserts that it was not.
        """
        with contextlib.suppress(NotImplementedError, OSError, ValueError):  # Windows; closed
            loop.remove_reader(self._sock.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def _serve(
        self,
        make: Callable[[asyncio.Event], tuple[ASGIApp, Awaitable[Any]]],
        started: Callable[[BaseException | None], None],
    ) -> None:
        from uvicorn import Config
        from uvicorn.server import ServerState

        self._stop, loop = asyncio.Event(), asyncio.get_running_loop()
        self._loop = loop
        if self._is_stopped:  # before there was what could be set
            self._stop.set()
        app, beside = make(self._stop)
        config = Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=MOST_HEAD,
            timeout_keep_alive=int(HEAD_S),
        )
        config.load()
        state, protocol = ServerState(), _protocol()
        server = await loop.create_server(
            lambda: protocol(config=config, server_state=state, app_state={}),
            sock=self._sock,
            backlog=BACKLOG,
        )
        side = asyncio.ensure_future(beside)
        try:
            started(None)
            await self._stop.wait()
        finally:
            side.cancel()
            await self._accept_no_more(loop)
            server.close()
            for one in list(state.connections):
                one.shutdown()
            if state.tasks:
                await asyncio.wait(list(state.tasks), timeout=_CLOSE_S)
            for task in list(state.tasks):
                task.cancel()
            await asyncio.gather(side, *state.tasks, return_exceptions=True)
            await _abort(state.connections)


async def _abort(connections: Iterable[Any]) -> None:
    """End connections at once, also one that was being accepted when the server was closed.

    asyncio takes several turns to accept one, and another one to end it.
    """
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        for one in list(connections):
            if one.transport is not None:
                one.transport.abort()


def _protocol() -> Callable[..., asyncio.Protocol]:
    """Return uvicorn's protocol, with bounds and without its log."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class BoundedProtocol(H11Protocol):
        """One connection."""

        _idle_since = 0.0
        _timer: asyncio.TimerHandle | None = None

        def __init__(self, **options: Any) -> None:  # noqa: ANN401 - handed on
            """Prepare for a connection."""
            super().__init__(**options)
            self.logger = _LOG

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Take the connection, or close it where there are too many."""
            if len(self.connections) >= MOST_CONNECTIONS:
                self.transport = transport
                transport.abort()
                return
            super().connection_made(transport)
            self._idle_since = time.monotonic()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            """End what belongs to it."""
            if self._timer is not None:
                self._timer.cancel()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Close a connection on which no request comes to its end, however slowly it comes."""
            cycle = self.cycle
            now = time.monotonic()
            if cycle is not None and not cycle.response_complete:
                self._idle_since = now
            elif now - self._idle_since >= HEAD_S:
                self.transport.abort()
                return
            self._timer = asyncio.get_running_loop().call_later(HEAD_S / 5, self._watch)

    return BoundedProtocol
