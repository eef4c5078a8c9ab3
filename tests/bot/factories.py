"""Events, files and runs that the tests of bots make."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mewbot.api.v1 import InputEvent

from limpet.bot import FileSystem, FileSystemInputEvent
from limpet.bot._delivery import Delivery
from limpet.bot.events._input_events import wrap
from limpet.events import EntryEvent, FileCreated, FileRenamed, FileStat, event_name
from tests.waiting import until, until_sync


def stat(size: int = 3, mtime: float = 1_700_000_000.0) -> FileStat:
    return FileStat(
        size=size, mtime=mtime, ctime=mtime, birthtime=None, mode=0o100644, uid=0, gid=0,
        inode=7, device=8, kind="file",
    )  # fmt: skip


def created(name: str = "a.txt", *, location: str = "/srv/in", **more: Any) -> FileSystemInputEvent:
    """Return an event about a file that need not exist."""
    at = more.pop("time", 1_764_072_000.0)
    event = FileCreated(
        location=Path(location), time=at, seq=more.pop("seq", 1), path=Path(location) / name,
        kind="file", stat=more.pop("stat", stat()), **more,
    )  # fmt: skip
    return wrap(event, "inbox", "session")


def renamed(old: str, new: str, *, location: str = "/srv/in") -> FileSystemInputEvent:
    event = FileRenamed(
        location=Path(location), time=1_764_072_000.0, seq=1, path=Path(location) / new,
        kind="file", stat=stat(), source=Path(location) / old, previous=None,
    )  # fmt: skip
    return wrap(event, "inbox", "session")


def put(path: Path, text: str = "x") -> None:
    """Create a file in one step, so that no scan finds it incomplete."""
    handle, name = tempfile.mkstemp()
    with os.fdopen(handle, "w") as file:
        file.write(text)
    put_in_place(Path(name), path)


def put_in_place(new: Path, path: Path) -> None:
    """Rename a file onto a name; again, while a reader of the old one keeps Windows from it."""

    def renamed() -> bool:
        try:
            new.replace(path)
        except PermissionError:
            if os.name != "nt":
                raise
            return False
        return True

    until_sync(renamed)


class Received:
    """The events that an input put into its queue, in short: ``file.created a``."""

    def __init__(self, queue: asyncio.Queue[InputEvent]) -> None:
        self.queue = queue
        self.deliveries: list[Delivery] = []
        self.events: list[FileSystemInputEvent] = []

    def take_all(self) -> list[FileSystemInputEvent]:
        while not self.queue.empty():
            event: object = self.queue.get_nowait()
            if isinstance(event, Delivery):
                self.deliveries.append(event)
                event = event.event
            assert isinstance(event, FileSystemInputEvent)
            self.events.append(event)
        return self.events

    def take(self) -> list[str]:
        self.take_all()
        return self.lines

    @property
    def lines(self) -> list[str]:
        return [short(event) for event in self.events]

    async def reach(self, *wanted: str) -> None:
        """Return once all of these were received."""
        await until(lambda: set(wanted) <= set(self.take()), f"{wanted} of {self.lines}")


def short(event: FileSystemInputEvent) -> str:
    inner = event.event
    if not isinstance(inner, EntryEvent):
        return event_name(type(inner))
    rel = os.path.relpath(inner.path, inner.location)
    old = f" < {os.path.relpath(inner.source, inner.location)}" if hasattr(inner, "source") else ""
    return f"{event_name(type(inner))} {rel}{old}"


@asynccontextmanager
async def running(
    io: FileSystem, queue: asyncio.Queue[InputEvent] | None = None
) -> AsyncIterator[Received]:
    """Run the input of a ``FileSystem`` alone, without a bot around it."""
    (one,) = io.get_inputs()
    received = Received(queue if queue is not None else asyncio.Queue())
    one.bind(received.queue)
    task = asyncio.create_task(one.run())
    try:
        if io.input_path is not None:
            await until(lambda: getattr(one, "backend", None))
        else:
            await asyncio.sleep(0)
        yield received
    finally:
        task.cancel()
        await asyncio.wait({task})
        received.take_all()
        assert task.cancelled(), task
