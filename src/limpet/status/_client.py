"""Asks a running program, over HTTP on loopback or a Unix socket: with the library alone."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Sequence
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from limpet.errors import LimpetError, UsageError
from limpet.status._model import Status
from limpet.status._record import Record, token_of
from limpet.status._wire import status_from_wire

_TIMEOUT_S: Final = 5.0
_ACT_S: Final = 600.0
"""How long a retry may take: it is answered when all are processed."""
_MOST: Final = 64 << 20
"""Bytes of an answer."""


class NotReachedError(LimpetError):
    """A program does not answer: it has ended, or hangs."""

    default_code = "not-reached"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        family = getattr(socket, "AF_UNIX", None)
        if family is None:
            message = "this system has no Unix sockets"
            raise OSError(message)
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def fetch_status(address: str) -> Status:
    """Return the status of the program at an address.

    Args:
        address: ``http://127.0.0.1:9000``, ``127.0.0.1:9000``, a port, or ``unix:PATH``.

    Raises:
        UsageError: It is no address, or not the status of a limpet.
        NotReachedError: Nothing answers there.
    """
    return status_from_wire(ask(address, "GET", "/api/v1/status"))


def fetch_happenings(address: str, *, limit: int = 20) -> list[dict[str, Any]]:
    """Return the last things that happened, oldest first, as JSON.

    Raises:
        LimpetError: As ``fetch_status``.
    """
    answer = ask(address, "GET", f"/api/v1/happenings?limit={limit}")
    found = answer.get("items")
    return found if isinstance(found, list) else []


def act(
    record: Record, action: Literal["retry", "discard"], idents: Sequence[str]
) -> dict[str, int]:
    """Retry or discard dead letters of a running program; return what became of them.

    The token is sent to that start of the program alone that has written the record.

    Raises:
        NotReachedError: It does not answer.
        UsageError: It refuses; or it takes longer than some minutes, and goes on.
    """
    if fetch_status(record.address).instance != record.instance:
        message = f"{record.name!r} has ended: another program has its address {record.address}"
        raise NotReachedError(message)
    headers = {"Authorization": f"Bearer {token_of(record)}"}
    path = f"/api/v1/dead-letters/{action}"
    answer = ask(
        record.address, "POST", path, body={"ids": list(idents)}, headers=headers, timeout=_ACT_S
    )
    if answer.get("pending"):
        message = f"{record.name!r} is still at it, and goes on: see 'limpet status'"
        raise UsageError(message, code="pending")
    found = answer.get("result", answer)
    return {key: one for key, one in found.items() if isinstance(one, int)}


def ask(
    address: str,
    method: str,
    path: str,
    *,
    body: object = None,
    headers: dict[str, str] | None = None,
    timeout: float = _TIMEOUT_S,
) -> dict[str, Any]:
    """Return the JSON object that a program answers.

    Raises:
        UsageError: It is no address; or the program refuses, or answers something else.
        NotReachedError: Nothing answers there.
    """
    connection = _connection(address, timeout)
    data = None if body is None else json.dumps(body).encode()
    given = {"Accept": "application/json", "Connection": "close", **(headers or {})}
    if data is not None:
        given["Content-Type"] = "application/json"
    try:
        connection.request(method, path, body=data, headers=given)
        response = connection.getresponse()
        answer = response.read(_MOST)
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        message = f"no limpet answers at {address}: {reason}; is it running, with --listen?"
        raise NotReachedError(message) from error
    finally:
        connection.close()
    try:
        wire = json.loads(answer)
    except (ValueError, RecursionError) as error:
        message = f"what answers at {address} is not a limpet: {response.status} {response.reason}"
        raise UsageError(message) from error
    if not isinstance(wire, dict):
        message = f"what answers at {address} is not a limpet"
        raise UsageError(message)
    refused = wire.get("error")
    if response.status >= 400 and isinstance(refused, dict):
        raise UsageError(str(refused.get("message")), code=str(refused.get("code") or "usage"))
    return wire


def _connection(address: str, timeout: float) -> http.client.HTTPConnection:
    if address.startswith("unix:"):
        return _UnixConnection(address.removeprefix("unix:"), timeout)
    text = f"127.0.0.1:{address}" if address.isdigit() else address
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme != "http" or not host or not port:
        message = f"an address is http://HOST:PORT, a port or unix:PATH, not {address!r}"
        raise UsageError(message)
    return http.client.HTTPConnection(host, port, timeout=timeout)
