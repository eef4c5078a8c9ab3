"""Standard output and error of a command that runs until it is ended, and what ends it."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self, TextIO

import anyio
import anyio.abc

from limpet.cli._event_text import encoding_of
from limpet.cli._writer import Writer, stream_sink

__all__ = ["PATIENCE_S", "Streams", "obey_signals"]

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
        """Device and inode of each that is a file: what lands there must not be an event."""

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let what is being written be written, for a moment."""
        self.out.close(patience=PATIENCE_S)
        self._err.close(patience=PATIENCE_S)

    async def say(self, message: str) -> None:
        """Put a line on standard error; if that is gone there is nobody left to tell."""
        with suppress(OSError):
            await self._err.write(f"limpet: {message}\n".encode(self._encoding, "backslashreplace"))

    async def put_aside(self, data: bytes) -> None:
        """Put lines on standard error as they are."""
        with suppress(OSError):
            await self._err.write(data)


def _file_of(stream: TextIO | None) -> tuple[int, int] | None:
    with suppress(OSError, ValueError, AttributeError):
        found = os.fstat(stream.fileno() if stream is not None else -1)
        if stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino
    return None


async def obey_signals(
    obey: Callable[[int], None], *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    """Call ``obey`` with each signal that asks the program to end.

    One that the parent ignores for us (``nohup``, a job in the background) stays ignored.
    """
    wanted = [
        number
        for name in ("SIGINT", "SIGTERM", "SIGHUP")
        if (number := getattr(signal, name, None)) is not None
        and signal.getsignal(number) is not signal.SIG_IGN
    ]
    try:
        with anyio.open_signal_receiver(*wanted) as signals:
            task_status.started()
            async for number in signals:
                obey(number)
    except NotImplementedError:
        task_status.started()
