"""A chat that is none: tells a few messages, as an input of Discord or Matrix would.

It knows nothing of limpet: any component written for mewbot can stand here.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable

from mewbot.api.v1 import Input, InputEvent, IOConfig, Output


@dataclasses.dataclass
class ChatMessage(InputEvent):
    """Somebody said something."""

    id: str
    channel: str
    author: str
    text: str
    time: float


MESSAGES = [
    ("general", "Ann", "hello, everybody"),
    ("general", "../../etc/passwd", "a name that wants out"),
    ("games/chess", "Bob", "e2-e4"),
    ("general", "Ann", "one line\nand another"),
    ("games/chess", "Cleo", "e7-e5"),
]


class FakeChat(IOConfig):
    """Tells ``count`` messages, one after another, ``pause`` seconds apart."""

    _count: int = len(MESSAGES)
    _pause: float = 0.0

    def __init__(self) -> None:
        """Make the one input there is."""
        self._input = FakeChatInput(self)

    @property
    def count(self) -> int:
        """How many messages are told."""
        return self._count

    @count.setter
    def count(self, count: int) -> None:
        self._count = int(count)

    @property
    def pause(self) -> float:
        """Seconds between two of them."""
        return self._pause

    @pause.setter
    def pause(self, pause: float) -> None:
        self._pause = float(pause)

    def get_inputs(self) -> Iterable[Input]:
        """Give the input."""
        return [self._input]

    def get_outputs(self) -> Iterable[Output]:
        """Give none."""
        return []


class FakeChatInput(Input):
    """Puts the messages into the bot's queue."""

    def __init__(self, io: FakeChat) -> None:
        """Know how many are wanted."""
        super().__init__()
        self._io = io

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        """Messages."""
        return {ChatMessage}

    async def run(self) -> None:
        """Tell them."""
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
