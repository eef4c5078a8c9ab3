"""An inbox with a custom action: ``python inbox.py INBOX``; Ctrl-C ends it.

The action may raise: it is retried, and after the last try the file moves to ``../failed``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

from mewbot.api.v1 import InputEvent, OutputEvent

from limpet.bot import (
    Behaviour,
    FileInputEvent,
    FileSystem,
    FileSystemTrigger,
    LimpetAction,
    MoveProcessedFileAction,
    Outcome,
    StillThereCondition,
    run,
)


class CountLines(LimpetAction):
    """Counts the lines of a file; a file without lines is an error."""

    async def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        """Do the work for one file."""
        assert isinstance(event, FileInputEvent)
        lines = await asyncio.to_thread(lambda: event.path.read_bytes().count(b"\n"))
        if not lines:
            raise ValueError("the file has no lines")  # noqa: EM101 - short is better here
        print(f"{event.path.name}: {lines} lines", flush=True)
        return
        yield


async def main(inbox: str) -> None:
    """Process each complete file."""
    files = FileSystem(input_path=inbox, existing=True, settle=0.3)
    process = Behaviour(name="process", concurrency=2, backoff=0.05)
    process.add(FileSystemTrigger(events=["file.created", "file.updated"], target="never"))
    process.add(StillThereCondition())
    process.add(CountLines())
    process.add(MoveProcessedFileAction(done="../done", failed="../failed"))
    print("watching", inbox, flush=True)
    await run([files, process])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
