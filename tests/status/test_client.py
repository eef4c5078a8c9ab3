"""Asking a program that runs, and what else may answer at its address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from limpet.errors import UsageError
from limpet.status import NotReachedError, fetch_status


@contextmanager
def answering(*parts: bytes) -> Iterator[int]:
    """A server that answers each connection with these bytes, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    for part in parts:
                        connection.sendall(part)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]


@pytest.mark.parametrize("address", ["x", "", "ftp://a:1", "http://a", "http://a:b", "host:99999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    """Before anything is asked."""
    with pytest.raises(UsageError, match="an address is"):
        fetch_status(address)


def test_nobody_answers() -> None:
    """A typed error that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NotReachedError, match="--listen"):
        fetch_status(str(port))
    with pytest.raises(NotReachedError, match="--listen"):
        fetch_status("unix:/nowhere/at/all")


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"220 smtp\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>", b"HTTP/1.1 200 OK\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\n\r\n{}", b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.1 404 Not Found\r\n\r\nno",
        b'HTTP/1.1 403 No\r\n\r\n{"error": {"code": "token", "message": "no"}}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{",
    ],
)  # fmt: skip
def test_something_else_answers(answer: bytes) -> None:
    """A typed error, and no traceback."""
    with answering(answer) as port, pytest.raises((UsageError, NotReachedError)):
        fetch_status(f"127.0.0.1:{port}")
