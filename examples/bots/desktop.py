"""Two folders in one bot, one of them set while it runs: ``python desktop.py ONE TWO NOTES``."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from limpet.bot import AppendToFileAction, Behaviour, FileSystem, FileSystemTrigger, Runner


async def main(one: str, two: str, notes: str) -> None:
    """Note new files in both; the second is watched only once the bot runs."""
    first = FileSystem(name="first", input_path=one, output_path=notes)
    second = FileSystem(name="second")  # no path yet: its input idles

    note = Behaviour(name="note")
    note.add(FileSystemTrigger(events="file.created", target="never"))
    note.add(AppendToFileAction(io="first", name="notes.md", content="- {{ io }}: {{ name }}"))

    runner = Runner([first, second, note])
    running = asyncio.create_task(runner.run())
    await runner.ready.wait()
    second.input_path = two
    print("watching", one, "and", two, flush=True)
    await running


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
