"""A watch without a disk, and streams that remember what was written to them."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from limpet.cli._watch_plan import Target
from limpet.config import WatchOptions
from limpet.events import (
    Change,
    Event,
    FileCreated,
    FileDeleted,
    FileRenamed,
    FileStat,
    FileUpdated,
)

ROOT = Path("/srv/in")
STAT = FileStat(
    size=12,
    mtime=1.5,
    ctime=1.5,
    birthtime=None,
    mode=0o100640,
    uid=1,
    gid=1,
    inode=11,
    device=22,
    kind="file",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeStats:
    backend: str = "fake"
    marks: int = 3
    entries: int = 4


class FakeWatch:
    """Delivers batches one after another; then ends, fails, or waits for ever.

    The sequence numbers are its own, as a real watch's are.
    """

    def __init__(
        self,
        batches: Sequence[Sequence[Event]] = (),
        *,
        location: Path = ROOT,
        roots: Sequence[Path] = (),
        ends: bool = False,
        fails: Exception | None = None,
        start_fails: Exception | None = None,
    ) -> None:
        self.location = location
        self.roots = roots
        """Of a watch of several places."""
        self.pulled = 0
        """Batches that were asked for."""
        self.is_open = False
        self.was_closed = False
        self.options: WatchOptions | None = None
        self._batches = batches
        self._ends = ends
        self._fails = fails
        self._start_fails = start_fails

    async def __aenter__(self) -> Self:
        if self._start_fails is not None:
            raise self._start_fails
        self.is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_open, self.was_closed = False, True

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for batch in self.batches():
            for event in batch:
                yield event

    async def batches(self) -> AsyncIterator[list[Event]]:
        seq = 0
        for batch in self._batches:
            await anyio.lowlevel.checkpoint()
            self.pulled += 1
            numbered = [replace(event, seq=seq + n) for n, event in enumerate(batch, 1)]
            seq += len(numbered)
            yield numbered
        if self._fails is not None:
            raise self._fails
        if not self._ends:
            await anyio.sleep_forever()

    def entry_count(self) -> int:
        return 4

    def stats(self) -> FakeStats | dict[Path, FakeStats]:
        return {root: FakeStats() for root in self.roots} if self.roots else FakeStats()


def opener(watch: FakeWatch) -> Callable[[Sequence[Target], WatchOptions], Any]:
    """Return a function that opens this watch, and notes its options."""

    def open_watch(targets: Sequence[Target], options: WatchOptions) -> FakeWatch:
        del targets
        watch.options = options
        return watch

    return open_watch


def stream(encoding: str = "utf-8") -> io.TextIOWrapper:
    """A text stream over memory: nothing below it has a descriptor."""
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def written(text: io.TextIOWrapper) -> bytes:
    buffer = text.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()


def base(name: str, location: Path = ROOT) -> dict[str, Any]:
    """The fields every entry event must have."""
    return {
        "location": location,
        "time": 1_764_000_000.5,
        "seq": 1,
        "path": location / name,
        "kind": "file",
    }


def created(name: str, location: Path = ROOT, **more: Any) -> FileCreated:
    return FileCreated(**base(name, location), **{"stat": STAT, **more})


def updated(name: str, location: Path = ROOT, **more: Any) -> FileUpdated:
    changes: frozenset[Change] = frozenset({"content"})
    given = {"stat": STAT, "previous": None, "changes": changes, **more}
    return FileUpdated(**base(name, location), **given)


def deleted(name: str, location: Path = ROOT) -> FileDeleted:
    return FileDeleted(**base(name, location), previous=STAT)


def renamed(old: str, new: str, location: Path = ROOT, **more: Any) -> FileRenamed:
    given = {"stat": STAT, "previous": None, **more}
    return FileRenamed(**base(new, location), source=location / old, **given)
