"""What may be the content of an operation, and how a stream of it is read. Pure."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from limpet.errors import UsageError

Record: TypeAlias = str | bytes
"""Content in memory. A ``bytearray`` or ``memoryview`` is refused: an operation is queued, and its
content must not change until it is performed."""

Content: TypeAlias = Record | Iterable[bytes]
"""The same, or a stream: a file open for reading bytes, or anything that yields bytes."""

_CHUNK: Final = 1 << 18
"""Bytes that are read from a file at a time."""


def check_content(value: object, *, stream: bool) -> None:
    """Verify that a value is text, bytes or, if one may be given, a stream of bytes.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(value, str | bytes):
        return
    hint = ""
    if isinstance(value, bytearray | memoryview):
        hint = ": give bytes(content), which cannot change while the operation waits"
    elif isinstance(value, io.TextIOBase):
        hint = ": open the file in binary mode"
    elif stream and not isinstance(value, Mapping) and _is_stream(value):
        return
    kinds = "text, bytes or a stream of bytes" if stream else "text or bytes"
    message = f"content must be {kinds}, not {type(value).__name__}{hint}"
    raise UsageError(message)


def _is_stream(value: object) -> bool:
    return isinstance(value, Iterable) or callable(getattr(value, "read", None))


def pieces(stream: Any) -> Iterator[bytes]:  # noqa: ANN401 - see check_content
    """Yield the bytes of a stream, of a file a chunk at a time.

    Raises:
        TypeError: It yields something else.
    """
    if callable(getattr(stream, "read", None)):
        found: Iterable[Any] = iter(lambda: stream.read(_CHUNK), b"")
    else:
        found = stream
    for piece in found:
        if isinstance(piece, str):
            message = "it yields text, not bytes: open it in binary mode, or encode it"
            raise TypeError(message)
        if piece is None:
            message = "it has no bytes now (it does not block)"
            raise TypeError(message)
        yield memoryview(piece).tobytes()
