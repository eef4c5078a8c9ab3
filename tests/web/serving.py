"""A program with a server, in a thread of its own, and clients that speak to it as they like."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from limpet.status import Status
from limpet.web import StatusServer
from tests.waiting import PATIENCE
from tests.web.fakes import FakeProgram

T = TypeVar("T")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


class Served:
    """A ``FakeProgram`` and its ``StatusServer``, from the begin of the block to its end."""

    def __init__(
        self, listen: str = "127.0.0.1:0", *, status: Status | None = None, **options: Any
    ) -> None:
        self._listen, self._options, self._status = listen, options, status
        self.program: FakeProgram
        self.server: StatusServer
        self.loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result(PATIENCE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Close the server; as the end of the block does, which may come after it."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        self.loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self.program = FakeProgram(self._status)
        self.program.fill()
        self.server = StatusServer(self.program, self._listen, **self._options)
        try:
            async with self.server:
                self._ready.set_result(None)
                await self._end.wait()
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    def run(self, function: Callable[[], T]) -> T:
        """Run a function in the program's loop."""
        done: Future[T] = Future()
        self.loop.call_soon_threadsafe(lambda: done.set_result(function()))
        return done.result(PATIENCE)

    @property
    def url(self) -> str:
        return self.server.address

    @property
    def port(self) -> int:
        return self.server.port

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, value: object, *, token: str | None = None, **headers: str) -> Answer:
        """Post JSON; by default with the token."""
        given = {"Content-Type": "application/json", **named(headers)}
        given["Authorization"] = f"Bearer {self.server.token if token is None else token}"
        if token == "":
            del given["Authorization"]
        return self.ask("POST", path, json.dumps(value).encode(), headers=given)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, named(headers or {}))
            found = connection.getresponse()
            return Answer(
                found.status, {key.lower(): one for key, one in found.getheaders()}, found.read()
            )
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def raw(self, data: bytes) -> bytes:
        """Send bytes, and return all that comes until the server closes the connection."""
        with self.connect() as sock:
            try:
                sock.sendall(data)
            except OSError:
                pass  # it has refused already
            return read_all(sock)


def named(headers: dict[str, str]) -> dict[str, str]:
    """Return headers with ``-`` for ``_``."""
    return {key.replace("_", "-"): value for key, value in headers.items()}


def read_all(sock: socket.socket) -> bytes:
    found = bytearray()
    while True:
        try:
            part = sock.recv(65536)
        except ConnectionError:
            part = b""
        if not part:
            return bytes(found)
        found += part


class Listener:
    """A client of the stream."""

    def __init__(self, found: Served, query: str = "", **headers: str) -> None:
        lines = [f"GET /api/v1/stream{query} HTTP/1.1", f"Host: 127.0.0.1:{found.port}"]
        lines += [f"{key}: {value}" for key, value in named(headers).items()]
        self.sock = found.connect()
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode())
        self._data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    @property
    def events(self) -> list[dict[str, str]]:
        """Those that have come, with their data as text."""
        blocks = plain(self._data).split("\n\n")[:-1]
        found = [dict(one.split(": ", 1) for one in block.splitlines()) for block in blocks]
        return [one for one in found if "event" in one]

    @property
    def batches(self) -> list[dict[str, Any]]:
        """What happened, as far as it has come."""
        return [json.loads(one["data"]) for one in self.events if one["event"] == "happenings"]

    def until(self, holds: Callable[[Self], object]) -> Self:
        """Read on until it holds."""
        while not holds(self):
            part = self.sock.recv(65536)
            assert part, self._data[-500:]
            self._data += part
        return self


def plain(data: bytes) -> str:
    """Return the content of a chunked answer, as far as it has come."""
    _, _, rest = data.partition(b"\r\n\r\n")
    found = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if not size or len(rest) < int(size, 16):
            break
        found += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return found.decode()
