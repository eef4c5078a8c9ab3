"""Prints what happens in a folder: ``python watch_folder.py FOLDER``; Ctrl-C ends it.

The folder need not be there yet, and may vanish and come back.
"""

import asyncio
import contextlib
import sys

import limpet


async def main(folder: str) -> None:
    """Print each event as it comes."""
    async with limpet.watch_dir(folder) as watch:
        print(f"watching {watch.location}", flush=True)
        async for event in watch:
            match event:
                case limpet.FileRenamed() | limpet.DirRenamed():
                    print(f"{event.source} is now {event.path}", flush=True)
                case limpet.TargetEvent():
                    print(f"the folder itself: {type(event).__name__}", flush=True)
                case limpet.EntryEvent():
                    print(f"{type(event).__name__}: {event.path}", flush=True)
                case limpet.Degraded():
                    print(f"cannot see everything: {event.message}", flush=True)
                case _:
                    print(event, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
