"""Serve what a program shows: a page, an API, health and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from limpet._cancellation import wait_despite_cancellation
from limpet._daemon_threads import check, run_in_thread
from limpet._event_loop import EventLoop, LoopEvent
from limpet._require_extra import need
from limpet.errors import UsageError
from limpet.status import Status, StatusSource
from limpet.web import _address
from limpet.web._address import Address
from limpet.web._static import TYPES, content_of
from limpet.web._token import token_of

if TYPE_CHECKING:
    from limpet.web._http_server import HttpServer
    from limpet.web._program import Program

_PACKAGES: Final = ("starlette", "uvicorn", "prometheus_client")
_PATIENCE_S: Final = 3.0
"""How long a call that is cancelled waits for its thread."""
_JOIN_S: Final = 0.5
"""A thread that has ended needs no time to be joined; this bounds it all the same."""


class StatusServer:
    """Shows a program over HTTP, from ``start`` to ``aclose``; or as a context manager.

    It answers in a thread of its own. A program that is busy or blocked is shown as such, with the
    last snapshot there was.
    """

    def __init__(
        self,
        source: StatusSource,
        listen: str,
        *,
        token_file: Path | None = None,
        allow_remote: bool = False,
        preferred_port: int = 0,
        metrics: Callable[[Status], bytes] | None = None,
    ) -> None:
        """Create a server that does not listen yet.

        Args:
            source: The program.
            listen: ``127.0.0.1:9000``, ``[::1]:0``, ``localhost:0``, ``9000`` or ``unix:PATH``.
            token_file: Keeps the token, so that it stays the same; without one each start has
                another.
            allow_remote: Other machines may connect; then reading needs the token, too.
            preferred_port: Is tried first where ``listen`` has port 0.
            metrics: Makes the text for Prometheus, instead of limpet's own.

        Raises:
            MissingExtraError: The packages of the extra ``web`` are not installed.
        """
        for package in _PACKAGES:
            need(package, "the page of a program", extra="web")
        self._source, self._listen, self._token_file = source, listen, token_file
        self._allow_remote, self._preferred_port = allow_remote, preferred_port
        self._metrics = metrics
        self._http: HttpServer | None = None
        self._program: Program | None = None
        self._ended: LoopEvent | None = None
        self._bound: Address | None = None
        self._inode: tuple[int, int] | None = None
        self.token = ""
        """Who has it may act, once started."""

    def __repr__(self) -> str:
        """Return where it listens."""
        return f"<StatusServer {self._listen}>"

    @property
    def address(self) -> str:
        """Where it listens, once started: a URL, or ``unix:PATH``."""
        if self._bound is None:
            return ""
        return self._bound.text if self._bound.path else f"http://{self._bound.text}"

    @property
    def port(self) -> int:
        """The port it listens on, once started; 0 is a Unix socket."""
        return self._bound.port if self._bound is not None else 0

    async def __aenter__(self) -> Self:
        """Start."""
        return await self.aopen()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.aclose()

    async def aopen(self) -> Self:
        """Start, and return this server; for programs that have no block for it."""
        await self.start()
        return self

    async def start(self) -> None:
        """Start to listen; the program is asked in the event loop that runs the caller.

        Raises:
            UsageError: The address is none or not on loopback, something is at the path of a Unix
                socket, or the token file is not one.
            OSError: The address is taken, or the token file cannot be written.
            UnsupportedError: A sub-interpreter runs the caller, which can have no such thread.
        """
        if self._http is not None:
            message = f"{self!r} has been started already; close it first"
            raise UsageError(message)
        check(self, "serve the status of a program in the main interpreter")
        address = _address.parse(self._listen, allow_remote=self._allow_remote)
        loop = EventLoop()
        sock = await self._opened(loop, address)
        try:
            from limpet.web._app import App
            from limpet.web._feed import Feed
            from limpet.web._gate import Gate
            from limpet.web._http_server import HttpServer
            from limpet.web._metrics import metrics_of
            from limpet.web._program import Program

            metrics = self._metrics or metrics_of
            assert self._bound is not None  # noqa: S101 - for the type checker
            program = Program()
            feed = Feed(self._source, program)
            gate = Gate(self._bound, self.token)
            source = self._source

            def make(closing: asyncio.Event) -> tuple[App, Any]:
                program.open()
                return App(source, program, feed, gate, metrics, closing), feed.run()

            http = HttpServer(sock)
            listens, ended = loop.event(), loop.event()
            errors: list[BaseException] = []

            def post(function: Callable[[], None]) -> None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    loop.post(function)

            def started(error: BaseException | None) -> None:
                if error is not None:
                    errors.append(error)
                post(listens.set)

            def end() -> None:
                if address.path:
                    _address.remove(address.path, self._inode)
                post(ended.set)

            http.start(make, started, end)
        except BaseException:
            self._drop(sock)
            raise
        self._http, self._program, self._ended = http, program, ended
        cancelled = await wait_despite_cancellation(listens, _PATIENCE_S)
        if cancelled is not None or errors:
            await self.aclose()
            raise errors[0] if cancelled is None else cancelled

    async def aclose(self) -> None:
        """Stop listening, and end open connections within two seconds or so.

        It can be called again, and so can ``start``.
        """
        http, program, ended = self._http, self._program, self._ended
        if http is None or program is None or ended is None:
            return
        program.cancel_acts()
        http.stop()
        cancelled = await wait_despite_cancellation(ended, _PATIENCE_S)
        if ended.is_set():
            http.join(_JOIN_S)
        self._http = self._program = self._ended = None
        if cancelled is not None:
            raise cancelled

    async def _opened(self, loop: EventLoop, address: Address) -> socket.socket:
        """Return the socket, and read the token; both may wait for a disk."""
        found: list[socket.socket] = []
        is_wanted = [True]

        def work() -> None:
            _preload()
            self.token = token_of(self._token_file)
            sock, self._bound = _address.bind(address, preferred_port=self._preferred_port)
            self._inode = _address.inode_of(self._bound)
            found.append(sock)
            if not is_wanted[0]:  # the disk has answered too late
                self._drop(sock)

        _, done, errors = run_in_thread(work, loop, "limpet-web-start")
        cancelled = await wait_despite_cancellation(done, _PATIENCE_S)
        if cancelled is not None:
            is_wanted[0] = False
            for sock in found:
                self._drop(sock)
            raise cancelled
        if errors:
            raise errors[0]
        return found[0]

    def _drop(self, sock: socket.socket) -> None:
        sock.close()
        if self._bound is not None and self._bound.path:
            _address.remove(self._bound.path, self._inode)
        self._bound = None


def _preload() -> None:
    """Load what the server needs, so that neither loop waits for a disk later."""
    import prometheus_client  # noqa: F401
    import starlette.applications
    import starlette.responses  # noqa: F401
    import uvicorn.protocols.http.h11_impl  # noqa: F401

    import limpet.web._app
    import limpet.web._http_server
    import limpet.web._metrics  # noqa: F401

    for name in TYPES:
        content_of(name)
