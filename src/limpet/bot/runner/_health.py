"""Health and metrics over HTTP, on loopback only: ``/health`` and ``/metrics``.

Built on asyncio's streams: one request per connection, bounded in number, size and time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
from collections.abc import Callable
from typing import Any, Final

from limpet.errors import UsageError

_MAX_CONNECTIONS: Final = 16
"""Connections at a time; further ones are closed at once."""
_TIMEOUT_S: Final = 5.0
_MAX_HEAD: Final = 8192
"""Bytes of a request's head."""

_LOG: Final = logging.getLogger("limpet.bot.health")


class HealthServer:
    """Answers requests on one address, from ``start`` to ``stop``."""

    def __init__(
        self, listen: str, *, health: Callable[[], dict[str, Any]], metrics: Callable[[], str]
    ) -> None:
        """Create a server that does not listen yet.

        Args:
            listen: The address: ``127.0.0.1:9000``, ``[::1]:9000``, ``localhost:0``.
            health: Returns the health, with a ``status``.
            metrics: Returns the metrics in Prometheus' text format.

        Raises:
            UsageError: The address is not on loopback.
        """
        self._health = health
        self._metrics = metrics
        self._host, self._port = _address(listen)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0
        """The port it listens on, once started."""

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: The address is taken.
        """
        self._server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=_MAX_HEAD
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and close open connections."""
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
        try:
            if len(self._open) < _MAX_CONNECTIONS:
                self._open.add(task)
                async with asyncio.timeout(_TIMEOUT_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head.decode("latin-1")))
                    await writer.drain()
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the client's fault, or the end
        except Exception:  # noqa: BLE001 - one request that fails; others are answered
            _LOG.exception("a request for health or metrics failed")
        finally:
            self._open.discard(task)
            writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    def _answer(self, head: str) -> bytes:
        words = head.partition("\r\n")[0].split(" ")
        method, target = (words[0], words[1]) if len(words) == 3 else ("", "")
        status, kind, body = "404 Not Found", "text/plain", "see /health and /metrics\n"
        if method not in {"GET", "HEAD"}:
            status, body = "405 Method Not Allowed", "only GET and HEAD\n"
        elif target.partition("?")[0] in {"/health", "/healthz"}:
            health = self._health()
            status = "503 Service Unavailable" if health["status"] == "failing" else "200 OK"
            kind, body = "application/json", json.dumps(health) + "\n"
        elif target.partition("?")[0] == "/metrics":
            status, kind = "200 OK", "text/plain; version=0.0.4"
            body = self._metrics()
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
