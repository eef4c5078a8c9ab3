"""The bot of answer.yaml without YAML: ``python answer.py FOLDER``; Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from limpet.bot import Behaviour, FileSystem, FileSystemTrigger, OverwriteFileAction, run


async def main(folder: str) -> None:
    """Answer each file with a file in the same folder; the bot's own writes cause no events."""
    desk = FileSystem(input_path=folder, output_path=folder, content={"mode": "r"})

    answer = Behaviour(name="answer")
    answer.add(FileSystemTrigger(events=["file.created", "file.updated"], target="never"))
    content = "You wrote:\n{{ content }}"
    answer.add(OverwriteFileAction(name="answer to {{ stem }}.txt", content=content))

    print("watching", folder, flush=True)
    await run([desk, answer])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
