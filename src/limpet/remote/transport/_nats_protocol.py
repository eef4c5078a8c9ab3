r"""The server's protocol as nats-py reads it, but nothing that a sender chooses ends the reading.

nats-py 2.16 splits a line at any white space, so a subject with a vertical tab puts a message into
another subscription; and it ends reading for good, without a new connection, at a subject or a
header that is not UTF-8. Any sender may cause both. Here a line is split at spaces alone,
as the server writes it, and what cannot be decoded is escaped.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

_LINE_MAX: Final = 64 * 1024
"""Bytes of a line without an end, beyond which the other side is not a NATS server. A server writes
at most 4 KiB; its INFO is somewhat longer."""
_VERSION: Final = b"NATS/1.0"
_EMPTY: Final = len(_VERSION) + 4
_STATUS_LINE: Final = re.compile(rb"NATS/1\.0( \d{3}( [\x20-\x7e]*)?)?")


def clean_headers(raw: bytes, reply: bytes = b"") -> bytes | None:
    """Return the headers of a message as nats-py can read them; ``None`` if there are none.

    A status is the server's only in the first line, in the server's form, and of a message that is
    not from a stream. Any other is the sender's, and would hide the message.
    """
    if raw.startswith(_VERSION + b"\r\n") and raw.endswith(b"\r\n\r\n"):
        lowered = raw.lower()
        if b"status" not in lowered and b"description" not in lowered and len(raw) > _EMPTY:
            return raw
    first, _, rest = raw.partition(b"\r\n")
    lines = [clean_text(one) for one in rest.split(b"\r\n") if one and not _is_reserved(one)]
    is_stored = reply.startswith(b"$JS.ACK.") or any(
        line.startswith((b"Nats-Sequence:", b"Nats-Stream:")) for line in lines
    )
    if is_stored or not _STATUS_LINE.fullmatch(first):
        first = _VERSION
    if not lines and first == _VERSION:
        return None
    return b"\r\n".join([first, *lines, b"", b""])


def _is_reserved(line: bytes) -> bool:
    return line.partition(b":")[0].strip().lower() in {b"status", b"description"}


def clean_text(raw: bytes) -> bytes:
    """Return a subject or header as valid UTF-8; other bytes are escaped, and so fit no pattern."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace").encode()
    return raw


def replace_parser(client: Any) -> None:
    """Let a client of nats-py that is not connected yet read by the parser of this module."""
    from nats.errors import ProtocolError
    from nats.protocol.parser import Parser

    class SafeParser(Parser):  # type: ignore[misc,unused-ignore]
        """Reads lines split at spaces, and messages of any content."""

        buf: bytearray
        message: tuple[bytes, int, bytes, int, int] | None

        def reset(self) -> None:
            super().reset()
            self.message = None

        async def parse(self, data: bytes = b"") -> None:
            self.buf.extend(data)
            while self.buf:
                if self.message is None:
                    end = self.buf.find(b"\r\n")
                    if end < 0:
                        if len(self.buf) > _LINE_MAX:
                            text = "nats: a line without an end"
                            raise ProtocolError(text)
                        return
                    line = bytes(self.buf[:end])
                    del self.buf[: end + 2]
                    await self._take_line(line)
                elif not await self._take_message(self.message):
                    return

        async def _take_line(self, line: bytes) -> None:
            word, _, rest = line.partition(b" ")
            word = word.upper()
            if word in {b"MSG", b"HMSG"}:
                self.message = _message_of(rest, has_headers=word == b"HMSG")
                if self.message is None:
                    text = "nats: malformed MSG"
                    raise ProtocolError(text)
            elif word == b"PING":
                await self.nc._process_ping()  # noqa: SLF001 - as nats-py's own parser
            elif word == b"PONG":
                await self.nc._process_pong()  # noqa: SLF001
            elif word == b"-ERR":
                text = rest.strip().decode("utf-8", "replace").lower()
                await self.nc._process_err(text)  # noqa: SLF001
            elif word == b"INFO":
                await self.nc._process_info(json.loads(rest))  # noqa: SLF001
            elif word != b"+OK":
                text = "nats: unknown protocol"
                raise ProtocolError(text)

        async def _take_message(self, message: tuple[bytes, int, bytes, int, int]) -> bool:
            """Pass on a message that is complete; return whether it was."""
            subject, sid, reply, headers, size = message
            if len(self.buf) < size + 2:
                return False
            raw, data = bytes(self.buf[:headers]), bytes(self.buf[headers:size])
            del self.buf[: size + 2]
            self.message = None
            found = clean_headers(raw, reply) if headers else None
            try:
                await self.nc._process_msg(sid, subject, reply, data, found)  # noqa: SLF001
            except Exception as error:  # noqa: BLE001 - one message ends no reading
                await self.nc._error_cb(error)  # noqa: SLF001
            return True

    client._ps = SafeParser(client)  # noqa: SLF001 - there is no other way to give it one


def _message_of(rest: bytes, *, has_headers: bool) -> tuple[bytes, int, bytes, int, int] | None:
    """Return subject, subscription, reply, and bytes of headers and in all; ``None`` if invalid."""
    parts = rest.split(b" ")
    counts = 2 if has_headers else 1
    if len(parts) not in {2 + counts, 3 + counts}:
        return None
    numbers = [parts[1], *parts[-counts:]]
    if not all(number.isdigit() and len(number) < 19 for number in numbers):
        return None
    reply = parts[2] if len(parts) == 3 + counts else b""
    sid, size = int(parts[1]), int(parts[-1])
    headers = int(parts[-2]) if has_headers else 0
    if headers > size:
        return None
    return clean_text(parts[0]), sid, clean_text(reply), headers, size
