"""The server's protocol, however its bytes arrive and whatever a sender has put into them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet.remote.transport._nats_protocol import clean_headers, replace_parser

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Client:
    """What the parser calls of nats-py's client; it records what it is given."""

    def __init__(self) -> None:
        self._ps: Any = None
        self.seen: list[Any] = []
        replace_parser(self)

    async def _process_msg(self, *message: Any) -> None:
        self.seen.append(message)
        if message[3] == b"raise":
            raise ValueError("of the client")

    async def _process_ping(self) -> None:
        self.seen.append("ping")

    async def _process_pong(self) -> None:
        self.seen.append("pong")

    async def _process_err(self, text: str) -> None:
        self.seen.append(text)

    async def _process_info(self, info: Any) -> None:
        self.seen.append(info)

    async def _error_cb(self, error: Exception) -> None:
        self.seen.append(repr(error))


HEADERS = b"NATS/1.0\r\nA: b\r\n\r\n"
WIRE = (
    b'INFO {"a": 1}\r\nPING\r\n+OK\r\n'
    b"MSG a.b 7 5\r\nh\r\n\xffi\r\n"
    b"MSG a\x0b9 7 reply 0\r\n\r\n"
    b"MSG a.\xff.b 3 5\r\nraise\r\n"
    b"HMSG a 12 %d %d\r\n%bdata\r\n"
    b"HMSG a 12 r.\xfe %d %d\r\n%b\r\n"
    b"-ERR 'Permissions Violation for Publish to \"x\"'\r\nPONG\r\n"
) % (len(HEADERS), len(HEADERS) + 4, HEADERS, len(HEADERS), len(HEADERS), HEADERS)
SEEN = [
    {"a": 1},
    "ping",
    (7, b"a.b", b"", b"h\r\n\xffi", None),
    (7, b"a\x0b9", b"reply", b"", None),
    (3, b"a.\\xff.b", b"", b"raise", None),
    "ValueError('of the client')",
    (12, b"a", b"", b"data", HEADERS),
    (12, b"a", b"r.\\xfe", b"", HEADERS),
    "'permissions violation for publish to \"x\"'",
    "pong",
]


async def fed(pieces: list[bytes]) -> list[Any]:
    client = Client()
    for piece in pieces:
        await client._ps.parse(piece)
    # The order of the arguments is the client's: subscription, subject, reply, data, headers.
    return client.seen


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000])
async def test_messages_are_read_however_they_are_split(size: int) -> None:
    """A subject keeps to its subscription, and one that fails ends nothing."""
    assert await fed([WIRE[at : at + size] for at in range(0, len(WIRE), size)]) == SEEN


async def test_what_no_server_writes_ends_the_connection() -> None:
    from nats.errors import ProtocolError

    for wrong in (
        b"HELLO\r\n",
        b"MSG a\r\n",
        b"MSG a b 1\r\n",
        b"MSG a 1 -1\r\n",
        b"HMSG a 1 9 3\r\n",
        b"MSG  a 1 1 1 1\r\n",
        bytes(70_000),
    ):
        with pytest.raises(ProtocolError):
            await fed([wrong])


@given(first=st.binary(max_size=30), lines=st.lists(st.binary(max_size=20), max_size=4))
@settings(max_examples=300, deadline=None)
def test_headers_are_cleaned_to_what_the_client_reads(first: bytes, lines: list[bytes]) -> None:
    """nats-py's own reading of them raises nothing, and no line of the sender is a status."""
    from nats.aio.client import Client as NatsClient

    raw = b"\r\n".join([b"NATS/1.0" + first, *lines, b"", b""])
    found = clean_headers(raw)
    if found is None:
        return
    assert found.startswith(b"NATS/1.0")
    assert found.endswith(b"\r\n\r\n")
    import asyncio

    headers = asyncio.run(NatsClient()._process_headers(found)) or {}
    inline = first.partition(b"\r\n")[0]
    if not (inline[:1] == b" " and inline[1:4].isdigit()):
        assert "Status" not in headers


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (b"NATS/1.0 404 Not Found\r\n\r\n", b"NATS/1.0 404 Not Found\r\n\r\n"),
        (b"NATS/1.0 \xff\xff\r\nA: b\r\n\r\n", b"NATS/1.0\r\nA: b\r\n\r\n"),
        (b"NATS/9.9 503\r\nA: b\r\n\r\n", b"NATS/1.0\r\nA: b\r\n\r\n"),
        (b"NATS/1.0\r\nStatus: 404\r\n sTaTus : 503\r\nDescription: x\r\n\r\n", None),
        (b"NATS/1.0\r\nStatus: 404\r\nA: b\r\n\r\n", b"NATS/1.0\r\nA: b\r\n\r\n"),
        (b"NATS/1.0 200\r\nA: \xff\r\n\r\n", b"NATS/1.0 200\r\nA: \\xff\r\n\r\n"),
        (
            b"NATS/1.0 404 x\r\nNats-Sequence: 5\r\n\r\n",
            b"NATS/1.0\r\nNats-Sequence: 5\r\n\r\n",
        ),
    ],
)
def test_a_status_is_the_servers_alone(raw: bytes, clean: bytes | None) -> None:
    assert clean_headers(raw) == clean
