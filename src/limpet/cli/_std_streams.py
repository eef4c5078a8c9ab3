"""Standard output and error of a command that runs until it is ended."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Final, Self, TextIO

from limpet.cli._event_text import encoding_of
from limpet.cli._writer import Writer, stream_sink

__all__ = ["PATIENCE_S", "Streams"]

PATIENCE_S: Final = 1.0
"""How long the end waits for a reader that has stalled."""


class Streams:
    """Standard output and error, each written by a thread of its own while the block lasts."""

    def __init__(self, stdout: TextIO | None, stderr: TextIO | None) -> None:
        self.stdout = stdout
        self.out = Writer(stream_sink(stdout), name="stdout")
        self._err = Writer(stream_sink(stderr), name="stderr")
        self._encoding = encoding_of(stderr)
        self.files = frozenset(filter(None, map(_file_of, (stdout, stderr))))
        """Device and inode of each that is a file: what is written there must not be an event."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait a moment for what is being written."""
        self.out.close(patience=PATIENCE_S)
        self._err.close(patience=PATIENCE_S)

    async def log(self, message: str) -> None:
        """Write a line to standard error; one that cannot be written is dropped."""
        await self.write_error(f"limpet: {message}\n".encode(self._encoding, "backslashreplace"))

    async def write_error(self, data: bytes) -> None:
        """Write lines to standard error as they are, if they can be written."""
        with suppress(OSError):
            await self._err.write(data)


def _file_of(stream: TextIO | None) -> tuple[int, int] | None:
    with suppress(OSError, ValueError, AttributeError):
        found = os.fstat(stream.fileno() if stream is not None else -1)
        if stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino
    return None
