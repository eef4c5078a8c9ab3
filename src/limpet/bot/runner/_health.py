"""Health and metrics over HTTP, on loopback only: ``/health`` and ``/metrics``.

The standard library's streams and a few lines: one request a connection, bounded in number, size
and time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from limpet.bot.runner._metrics import health_of, metrics_of
from limpet.errors import UsageError

if TYPE_CHECKING:
    from limpet.bot.runner._runner import Runner

__all__ = [
    "HealthServer",
]

_MOST: Final = 16
"""Connections at a time; more are closed at once."""
_PATIENCE_S: Final = 5.0
_LONGEST: Final = 8192
"""Bytes of a request's head."""


class HealthServer:
    """Answers on one address while the block lasts."""

    def __init__(self, runner: Runner, listen: str) -> None:
        """Take the address: ``127.0.0.1:9000``, ``[::1]:9000``, ``localhost:0``.

        Raises:
            UsageError: It is none on loopback.
        """
        self._runner = runner
        self._host, self._port = _address(listen)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0
        """The port it listens on, once it does."""

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The address is taken.
        """
        self._server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=_LONGEST
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and end what is open."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the server makes one for each
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.CancelledError):
            if len(self._open) < _MOST:
                self._open.add(task)
                async with asyncio.timeout(_PATIENCE_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head.decode("latin-1")))
                    await writer.drain()
        self._open.discard(task)
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    def _answer(self, head: str) -> bytes:
        words = head.partition("\r\n")[0].split(" ")
        method, target = (words[0], words[1]) if len(words) == 3 else ("", "")
        status, kind, body = "404 Not Found", "text/plain", "there are /health and /metrics\n"
        if method not in {"GET", "HEAD"}:
            status, body = "405 Method Not Allowed", "only GET and HEAD\n"
        elif target.partition("?")[0] in {"/health", "/healthz"}:
            health = health_of(self._runner)
            status = "503 Service Unavailable" if health["status"] == "failing" else "200 OK"
            kind, body = "application/json", json.dumps(health) + "\n"
        elif target.partition("?")[0] == "/metrics":
            status, kind = "200 OK", "text/plain; version=0.0.4"
            body = metrics_of(self._runner)
        data = body.encode("utf-8", "replace")
        lines = [
            f"HTTP/1.1 {status}",
            f"Content-Type: {kind}; charset=utf-8",
            f"Content-Length: {len(data)}",
            "Cache-Control: no-store",
            "Connection: close",
        ]
        text = "\r\n".join(lines) + "\r\n\r\n"
        return text.encode() + (b"" if method == "HEAD" else data)


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    inside: Callable[[], bool] = lambda: ipaddress.ip_address(host).is_loopback  # noqa: E731
    try:
        good = host == "localhost" or inside()
    except ValueError:
        good = False
    if not good or not port.isdigit() or int(port) > 65535:
        message = f"listen must be an address on loopback, such as 127.0.0.1:9000, not {listen!r}"
        raise UsageError(message)
    return host, int(port)
