"""A whole bot in Python: its own trigger, condition and action as objects, and no YAML.

``python in_python.py IN OUT`` notes each order that is put into ``IN`` in ``OUT/orders.txt``.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from mewbot.api.v1 import Condition, InputEvent, OutputEvent, Trigger

from limpet.bot import (
    AppendToFileAction,
    Behaviour,
    FileCreatedInputEvent,
    FileSystem,
    LimpetAction,
    Outcome,
    Runner,
)


class NewFile(Trigger):
    """Matches each file that is new, or there at the start."""

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Return the events it is asked about."""
        return {FileCreatedInputEvent}

    def matches(self, event: InputEvent) -> bool:
        """Return whether the behaviour reacts."""
        return isinstance(event, FileCreatedInputEvent)


class IsOrder(Condition):
    """Allows names that end in ``.order``."""

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        """Return the events it is asked about."""
        return {FileCreatedInputEvent}

    def allows(self, event: InputEvent) -> bool:
        """Return whether the event passes."""
        return isinstance(event, FileCreatedInputEvent) and event.path.suffix == ".order"


class Count(LimpetAction):
    """Counts what it has seen; the template of the next action has the number."""

    seen = 0

    async def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        """Count, and write nothing: the next action does."""
        self.seen += 1
        state["number"] = self.seen
        return
        yield


async def main(inbox: str, outbox: str) -> None:
    """Run until SIGINT or SIGTERM."""
    files = FileSystem(input_path=inbox, output_path=outbox, existing=True)
    note = AppendToFileAction(name="orders.txt", content="{{ state.number }} {{ rel }}")
    orders = Behaviour(NewFile(), IsOrder(), Count(), note, name="orders")
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(end.set))
    loop = asyncio.get_running_loop()
    async with Runner([files, orders]):
        print(f"watching {inbox}", flush=True)
        await end.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
