"""Messages from standard input: any program that prints lines can feed a bot."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Sequence
from threading import Semaphore, Thread
from typing import Any, Final, Self

from mewbot.api.v1 import Input, InputEvent, IOConfig, Output

from limpet._descriptors import wait_readable
from limpet._setting_types import PositiveCount, Text
from limpet.bot._delivery import Delivery
from limpet.bot.settings._setting import Configured, Setting

_CHUNK: Final = 1 << 16
"""Bytes of one read: what a Linux pipe holds (pipe(7))."""

_LOG: Final = logging.getLogger("limpet.bot.input")


@dataclasses.dataclass(kw_only=True)
class MessageInputEvent(InputEvent):
    """A message, such as one of a chat."""

    text: str
    author: str = ""
    channel: str = ""
    id: str = ""
    """Identifies the message; the same each time it arrives."""
    time: float = 0.0
    """When it was sent, in Unix seconds."""


class StdinMessages(Configured, IOConfig):
    """Delivers each line of standard input as a message: a JSON object, or plain text.

    An object may have ``text``, ``author``, ``channel``, ``id`` and ``time``. While the bot is busy
    nothing is read, and the writer of the pipe waits.
    """

    channel: Text = Setting("stdin", description="Channel of messages without one.")
    max_line: PositiveCount = Setting(
        1 << 20, description="Most bytes of a line; longer ones are cut."
    )

    _input: _StdinInput | None = None

    def get_inputs(self) -> Sequence[Input]:
        if self._input is None:
            self._input = _StdinInput(self)
        return [self._input]

    def get_outputs(self) -> Sequence[Output]:
        """Return none."""
        return []


class _StdinInput(Input):
    def __init__(self, io: StdinMessages) -> None:
        super().__init__()
        self._io = io
        self._rest = bytearray()
        """What was read and is not queued yet; less than a chunk and a line."""

    @property
    def label(self) -> str:
        """The name of the input in messages."""
        return "standard input"

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        return {MessageInputEvent}

    async def run(self) -> None:
        """Read to the end."""
        try:
            descriptor = sys.stdin.fileno()
        except (AttributeError, ValueError, OSError):
            _LOG.warning("standard input is closed: no messages come from it")
            return
        async with _Chunks(descriptor) as chunks:
            while data := await chunks.next():
                self._rest += data
                await self._put_lines()
        if self._rest:  # the last line has no end
            line, self._rest = bytes(self._rest), bytearray()
            await self._put(line)

    async def _put_lines(self) -> None:
        """Queue the lines that were read; what is not queued yet is among the ``leftovers``."""
        while line := self._first_line():
            await self._put(line)
            del self._rest[: len(line)]

    def _first_line(self) -> bytes:
        most = self._io.max_line
        end = self._rest.find(b"\n", 0, most) + 1
        if not end and len(self._rest) >= most:
            end = most
        return bytes(self._rest[:end])

    async def _put(self, line: bytes) -> None:
        queue: Any = self.queue
        if message := self._message(line):
            await queue.put(message)

    async def leftovers(self) -> list[Delivery]:
        """Return what was read and not queued, when stopping: nobody can read it again."""
        lines = []
        while line := self._first_line() or bytes(self._rest):
            lines.append(line)
            del self._rest[: len(line)]
        return [Delivery(message) for line in lines if (message := self._message(line))]

    def _message(self, line: bytes) -> MessageInputEvent | None:
        words = line.decode("utf-8", "replace").rstrip("\r\n")
        if not words:
            return None
        fields: dict[str, Any] = {"text": words}
        if words.startswith("{"):
            try:
                wire = json.loads(words)
            except (ValueError, RecursionError):
                _LOG.warning("a line that starts like JSON is invalid JSON; it is taken as text")
            else:
                known = {item.name for item in dataclasses.fields(MessageInputEvent)}
                fields = {key: value for key, value in wire.items() if key in known}
        moment = time.time()
        if isinstance(found := fields.get("time"), int | float):
            with contextlib.suppress(OverflowError):
                moment = float(found)
        return MessageInputEvent(
            text=str(fields.get("text", "")),
            author=str(fields.get("author", "")),
            channel=str(fields.get("channel") or self._io.channel),
            id=str(fields.get("id") or uuid.uuid4().hex),
            time=moment,
        )


class _Chunks:
    """Reads a descriptor in a daemon thread, a chunk whenever one is asked for.

    It reads past Python's own buffer: a thread that waits there holds a lock that the interpreter
    wants at its exit, and then aborts the process. Where the system can wait for two things at once
    (poll(2)), the end of the block ends the wait, and no byte is taken that nobody would get.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = Semaphore(0)
        self._is_closed = False
        self._wake: tuple[int, int] | None = None
        if sys.platform != "win32":
            self._wake = os.pipe()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        Thread(target=self._read, name="limpet stdin", daemon=True).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_closed = True
        if self._wake is not None:
            os.write(self._wake[1], b".")
        self._turn.release()

    async def next(self) -> bytes:
        """Return the next bytes; none at the end."""
        self._turn.release()
        return await self._chunks.get()

    def _read(self) -> None:
        try:
            while self._turn.acquire() and not self._is_closed and self._is_readable():
                try:
                    data = os.read(self._descriptor, _CHUNK)
                except BlockingIOError:  # its other users have made it non-blocking
                    self._turn.release()
                    continue
                except OSError:  # closed, or its terminal is gone
                    data = b""
                self._loop.call_soon_threadsafe(self._chunks.put_nowait, data)
        except RuntimeError:  # the loop is closed
            pass
        finally:
            for end in self._wake or ():
                os.close(end)

    def _is_readable(self) -> bool:
        """Wait until there is something to read; return False if the block ends first."""
        if sys.platform == "win32" or self._wake is None:
            return True
        wait_readable([self._descriptor, self._wake[0]])
        return not self._is_closed
