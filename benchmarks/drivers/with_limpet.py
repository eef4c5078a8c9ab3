"""limpet: ``watch_dir``, by batches or, with ``--each``, event by event."""

import asyncio

import anyio.lowlevel

import limpet
from benchmarks.drivers._line import Line
from limpet.events import EntryEvent

line = Line()


async def main() -> None:
    """Watch until told to stop."""
    tell = line.tell
    await (
        anyio.lowlevel.checkpoint()
    )  # anyio loads its asyncio side with the first call: not part of set-up
    line.begin()
    async with limpet.watch_dir(line.folder, backend=line.options.backend) as watch:
        line.ready()
        if line.options.each:
            async for event in watch:
                if isinstance(event, EntryEvent):
                    tell(event.path)
        async for batch in watch.batches():
            for event in batch:
                if isinstance(event, EntryEvent):
                    tell(event.path)


asyncio.run(main())
