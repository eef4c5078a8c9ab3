"""asyncinotify: ``RecursiveInotify``."""

import asyncio
from pathlib import Path

from asyncinotify import Mask, RecursiveInotify

from benchmarks.drivers._line import Line

WANTED = Mask.CREATE | Mask.MODIFY | Mask.CLOSE_WRITE | Mask.MOVE | Mask.DELETE

line = Line()


async def main() -> None:
    """Watch until the command to stop."""
    tell = line.tell
    line.begin()
    with RecursiveInotify() as inotify:
        inotify.add_recursive_watch(Path(line.folder), WANTED)
        line.ready()
        async for event in inotify:
            path = event.path
            if path is not None:
                tell(path)


asyncio.run(main())
