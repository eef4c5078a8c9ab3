"""A fake chat: delivers a few messages, as an input of Discord or Matrix would.

It does not depend on limpet: any component written for mewbot can take its place.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable

from mewbot.api.v1 import Input, InputEvent, IOConfig, Output


@dataclasses.dataclass
class ChatMessage(InputEvent):
    """A message of a chat."""

    id: str
    channel: str
    author: str
    text: str
    time: float


MESSAGES = [
    ("general", "Ann", "hello, everybody"),
    ("general", "../../etc/passwd", "a name that tries to leave the folder"),
    ("games/chess", "Bob", "e2-e4"),
    ("general", "Ann", "one line\nand another"),
    ("games/chess", "Cleo", "e7-e5"),
]


class FakeChat(IOConfig):
    """Delivers ``count`` messages in order, ``pause`` seconds apart."""

    _count: int = len(MESSAGES)
    _pause: float = 0.0

    def __init__(self) -> None:
        """Create the only input."""
        self._input = FakeChatInput(self)

    @property
    def count(self) -> int:
        """The number of messages."""
        return self._count

    @count.setter
    def count(self, count: int) -> None:
        self._count = int(count)

    @property
    def pause(self) -> float:
        """Seconds between two messages."""
        return self._pause

    @pause.setter
    def pause(self, pause: float) -> None:
        self._pause = float(pause)

    def get_inputs(self) -> Iterable[Input]:
        """Return the input."""
        return [self._input]

    def get_outputs(self) -> Iterable[Output]:
        """Return none."""
        return []


class FakeChatInput(Input):
    """Puts the messages into the bot's queue."""

    def __init__(self, io: FakeChat) -> None:
        """Create the input of a fake chat."""
        super().__init__()
        self._io = io

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        """Return the class of messages."""
        return {ChatMessage}

    async def run(self) -> None:
        """Put all messages."""
        assert self.queue is not None
        for number in range(self._io.count):
            channel, author, text = MESSAGES[number % len(MESSAGES)]
            await self.queue.put(
                ChatMessage(
                    id=f"m{number}",
                    channel=channel,
                    author=author,
                    text=text,
                    time=1_795_600_000.0 + 40_000 * number,
                )
            )
            await asyncio.sleep(self._io.pause)
