"""Handles what is put into a folder: ``python inbox.py INBOX DONE [SECONDS]``; Ctrl-C ends it.

A file is taken once it is complete: its writer closed it, or it has not grown for some seconds.
What lay there before the start is taken too.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

import limpet


def handle(path: Path, done: Path) -> None:
    """Do the work for one file, then put it away."""
    lines = path.read_bytes().count(b"\n")
    path.replace(done / path.name)
    print(f"{path.name}: {lines} lines", flush=True)


async def main(inbox: Path, done: Path, settle: float) -> None:
    """Take each complete file."""
    done.mkdir(parents=True, exist_ok=True)
    async with limpet.watch_dir(inbox, recursive=False, existing=True, settle=settle) as watch:
        print(f"watching {watch.location}", flush=True)
        async for event in watch:
            arrived = limpet.FileCreated | limpet.FileUpdated | limpet.FileRenamed
            if isinstance(event, arrived) and event.kind == "file":
                # Somebody may have taken it back; then there is an event for that too.
                with contextlib.suppress(FileNotFoundError):
                    await asyncio.to_thread(handle, event.path, done)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            main(
                Path(sys.argv[1]),
                Path(sys.argv[2]),
                float(sys.argv[3]) if len(sys.argv) > 3 else 2.0,
            )
        )
