"""limpet: ``watch_dir``, by batches or, with ``--each``, event by event.

``--many`` watches each folder in the given one by itself. ``--mirror`` replays the events, and
knows the commands ``pause``, ``resume`` and ``compare`` (replayed against the disk).
``--heartbeat`` reports how long the event loop was blocked during set-up.
"""

import asyncio
import contextlib
import os
import time
from pathlib import Path

import limpet
from benchmarks.drivers._line import Line
from limpet.events import EntryEvent, FileRenamed

line = Line()


class Heartbeat:
    """Measures the longest time between two turns of the event loop."""

    def __init__(self) -> None:
        """Nothing was measured yet."""
        self.longest = 0.0

    async def run(self) -> None:
        """Beat every millisecond."""
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last)
            last = now


class Checks:
    """Replays the events, and counts what does not agree with the disk."""

    def __init__(self, watch: limpet.Watch) -> None:
        """Begin with what is there."""
        from limpet.testing import Mirror

        self.watch = watch
        self.mirror = Mirror(watch.entries())
        self.going = asyncio.Event()
        self.going.set()
        self.loop = asyncio.get_running_loop()
        line.commands = {"pause": self.pause, "resume": self.resume, "compare": self.compare}

    def pause(self) -> dict[str, float]:
        """Take no events until the command to resume."""
        self.loop.call_soon_threadsafe(self.going.clear)
        return {}

    def resume(self) -> dict[str, float]:
        """Take them again."""
        self.loop.call_soon_threadsafe(self.going.set)
        return {}

    def compare(self) -> dict[str, float]:
        """Count names, and those that only the events or only the disk have."""
        from limpet.testing import listing

        told, there = self.mirror.entries, listing(Path(line.folder))
        wrong = sum(told.get(path) != there.get(path) for path in told.keys() | there.keys())
        return {"names": len(there), "wrong": wrong}


def instances() -> int:
    """Count the kernel instances this process holds."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return sum("fanotify" in link or "inotify" in link for link in links)


async def take(watch: limpet.Watch) -> None:
    """Hand on every event."""
    tell, renames = line.tell, 0
    checks = Checks(watch) if line.options.mirror else None

    def renamed() -> dict[str, float]:
        return {"renames": renames}

    if checks is None:
        line.commands = {"report": renamed}
    if line.options.each:
        async for event in watch:
            if isinstance(event, EntryEvent):
                tell(event.path)
    async for batch in watch.batches():
        for event in batch:
            if isinstance(event, EntryEvent):
                tell(event.path)
                renames += isinstance(event, FileRenamed)
        if checks is not None:
            for event in batch:
                checks.mirror.apply(event)
            await checks.going.wait()


async def main() -> None:
    """Watch until the command to stop."""
    import anyio.lowlevel

    await anyio.lowlevel.checkpoint()  # loads anyio's side of asyncio: not part of set-up
    watch_dir = limpet.watch_dir
    backend = line.options.backend
    folders = [line.folder]
    if line.options.many:
        folders = [os.path.join(line.folder, name) for name in os.listdir(line.folder)]
    heart = Heartbeat()
    beating = asyncio.create_task(heart.run()) if line.options.heartbeat else None
    await asyncio.sleep(0)
    line.begin()
    async with contextlib.AsyncExitStack() as stack:
        watches = [
            await stack.enter_async_context(
                watch_dir(folder, backend=backend, gather=line.options.gather)
            )
            for folder in folders
        ]
        if beating is not None:
            beating.cancel()
            line.extra["blocked"] = heart.longest
        if line.options.many:
            line.extra["instances"] = instances()
        line.ready()
        await asyncio.gather(*map(take, watches))


asyncio.run(main())
