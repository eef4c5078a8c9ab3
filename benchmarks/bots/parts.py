"""The components of the measured bots; written against mewbot alone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from mewbot.api import v1
from mewbot.core import InputEvent, OutputEvent


class Mark(NamedTuple):
    """A moment of this process."""

    time: float
    """Monotonic seconds."""
    cpu: float
    """Processor seconds of the process so far."""

    @classmethod
    def now(cls) -> Self:
        """Return this moment."""
        return cls(time.monotonic(), time.process_time())


DONE: list[Mark] = []
"""When the last event was processed."""


@dataclass
class Tick(InputEvent):
    """An event."""

    number: int


@dataclass
class Tock(OutputEvent):
    """The answer to an event."""

    number: int


class Source(v1.Input):
    """Puts ``count`` events, at most a thousand at a time: mewbot's own queue has no bound."""

    def __init__(self, count: int, *, bounded: bool) -> None:
        super().__init__()
        self.count = count
        self.bounded = bounded
        self.began = Mark(0.0, 0.0)

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        """Return the class of events."""
        return {Tick}

    async def run(self) -> None:
        """Put all events."""
        import asyncio

        assert self.queue is not None  # noqa: S101 - bound by the runner
        self.began = Mark.now()
        for number in range(self.count):
            if not self.bounded:
                while self.queue.qsize() >= 1000:
                    await asyncio.sleep(0)
            await self.queue.put(Tick(number))


class Sink(v1.Output):
    """Counts the outputs."""

    def __init__(self, count: int) -> None:
        self.left = count

    @staticmethod
    def consumes_outputs() -> set[type[OutputEvent]]:
        """Return the class of outputs."""
        return {Tock}

    async def output(self, event: OutputEvent) -> bool:
        """Count an output."""
        self.left -= 1
        if not self.left:
            DONE.append(Mark.now())
        return True


class TickIO(v1.IOConfig):
    """Source and sink."""

    def __init__(self, count: int, *, bounded: bool) -> None:
        self.source, self.sink = Source(count, bounded=bounded), Sink(count)

    def get_inputs(self) -> Iterable[v1.Input]:
        """Return the source."""
        return [self.source]

    def get_outputs(self) -> Iterable[v1.Output]:
        """Return the sink."""
        return [self.sink]


class Ticks(v1.Trigger):
    """Matches ticks."""

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Return the class of events."""
        return {Tick}

    def matches(self, event: InputEvent) -> bool:
        """Return True."""
        return True


class Even(v1.Condition):
    """Lets all through, after a look."""

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Return the class of events."""
        return {Tick}

    def allows(self, event: InputEvent) -> bool:
        """Look, and say yes."""
        return isinstance(event, Tick) and event.number >= 0


class Answer(v1.Action):
    """Answers each tick."""

    def __init__(self, count: int, *, answers: bool) -> None:
        self.left = count
        self.answers = answers

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Return the class of events."""
        return {Tick}

    @staticmethod
    def produces_outputs() -> set[type[OutputEvent]]:
        """Return the class of outputs."""
        return {Tock}

    async def act(
        self, event: InputEvent, state: dict[str, Any]
    ) -> AsyncIterator[OutputEvent | None]:
        """Answer, or only count."""
        assert isinstance(event, Tick)  # noqa: S101 - triggered by it
        self.left -= 1
        if self.answers:
            yield Tock(event.number)
        elif not self.left:
            DONE.append(Mark.now())


def bot(count: int, *, answers: bool, behaviours: int, bounded: bool) -> list[Any]:
    """Return an IOConfig and behaviours; the run ends with the work of the first one."""
    made: list[Any] = [TickIO(count, bounded=bounded)]
    for at in range(behaviours):
        behaviour = v1.Behaviour()
        behaviour.name = f"behaviour {at}"
        behaviour.add(Ticks())
        behaviour.add(Even())
        behaviour.add(Answer(count, answers=answers and at == 0))
        made.append(behaviour)
    return made
