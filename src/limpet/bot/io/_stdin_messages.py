"""Messages from standard input: any program that prints lines can feed a bot."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import sys
import time
import uuid
from collections.abc import Sequence
from threading import Thread
from typing import Any, Final

from mewbot.api.v1 import Input, InputEvent, IOConfig, Output

from limpet.bot.settings._setting import Configured, Setting
from limpet.bot.settings._validators import text, whole

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

    channel = Setting(text(), "stdin", "Channel of messages without one.")
    max_line = Setting(whole(least=1), 1 << 20, "Most bytes of a line; longer ones are cut.")

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

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        return {MessageInputEvent}

    async def run(self) -> None:
        """Read to the end. A daemon thread waits for lines: nothing can interrupt such a wait."""
        loop = asyncio.get_running_loop()
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        turn = asyncio.Semaphore(0)

        def read() -> None:
            stream = sys.stdin.buffer
            while True:
                try:
                    line = stream.readline(self._io.max_line)
                    asyncio.run_coroutine_threadsafe(turn.acquire(), loop).result()
                    loop.call_soon_threadsafe(lines.put_nowait, line or None)
                except (RuntimeError, OSError, ValueError, asyncio.CancelledError):
                    return  # the loop is closed, or the stream is
                if not line:
                    return

        Thread(target=read, name="limpet stdin", daemon=True).start()
        queue: Any = self.queue
        while True:
            turn.release()
            line = await lines.get()
            if line is None:
                return
            if message := self._message(line):
                await queue.put(message)

    def _message(self, line: bytes) -> MessageInputEvent | None:
        words = line.decode("utf-8", "replace").rstrip("\r\n")
        if not words:
            return None
        fields: dict[str, Any] = {"text": words}
        if words.startswith("{"):
            try:
                found = json.loads(words)
            except ValueError:
                _LOG.warning("a line that starts like JSON is invalid JSON; it is taken as text")
            else:
                known = {item.name for item in dataclasses.fields(MessageInputEvent)}
                fields = {key: value for key, value in found.items() if key in known}
        moment = fields.get("time")
        return MessageInputEvent(
            text=str(fields.get("text", "")),
            author=str(fields.get("author", "")),
            channel=str(fields.get("channel") or self._io.channel),
            id=str(fields.get("id") or uuid.uuid4().hex),
            time=float(moment) if isinstance(moment, int | float) else time.time(),
        )
