"""The async shell of a follower: waits for its thread, hands out what it read, decides nothing."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from limpet.following._event_log import report
from limpet.following._follow_engine import FollowEngine
from limpet.following._follow_events import (
    Appended,
    FollowEvent,
    Line,
    Origin,
)
from limpet.following._follow_thread import FollowThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from limpet.following._follow_engine import FollowStats
    from limpet.following._follow_options import FollowOptions
    from limpet.following._sync_follower import SyncFollower

__all__ = [
    "Follower",
]


class Follower:
    """Files that grow: an async context manager, and an async iterator of their lines.

    ``async for line in limpet.follow(path)`` starts by itself, and then ends with ``aclose`` or
    with the object; in an ``async with`` block it ends with the block. Iterating may be cancelled
    at any moment and nothing is lost. Each line goes to one of those who iterate.
    """

    def __init__(self, paths: tuple[str | os.PathLike[str], ...], options: FollowOptions) -> None:
        """Use ``limpet.follow``."""
        self.paths: Final = paths
        self.options: Final = options
        self._worker: FollowThread | None = None
        self._post: Any = None
        self._starting: Any = None
        self._cursor: _Cursor | None = None
        FollowEngine(paths, options)  # what is wrong with the call is said now

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as what was asked for."""
        return (Follower, (self.paths, self.options))

    def __repr__(self) -> str:
        """Show what is followed."""
        return f"<Follower {', '.join(repr(os.fspath(path)) for path in self.paths)}>"

    def __del__(self) -> None:
        """Stop, if it was left without ``aclose``."""
        worker, self._worker = getattr(self, "_worker", None), None
        if worker is not None:
            worker.abandon()

    async def __aenter__(self) -> Self:
        """Start: when this returns, every later line is seen.

        Raises:
            CheckpointBusyError: Another follower has the state file.
            CheckpointCorruptError: It cannot be read, and ``on_corrupt`` is ``raise``.
            LimitError: The process is out of file descriptors.
            OSError: The state file cannot be read or locked.
            RuntimeError: It is running already.
        """
        if self._worker is not None:
            message = f"{self!r} is running already"
            raise RuntimeError(message)
        await self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Save what is committed and free everything."""
        await self.aclose()

    async def aclose(self) -> None:
        """Save what is committed and free everything; who waits for a line gets none.

        May be called twice and from any task.

        Raises:
            OSError: The state could not be saved; everything is freed.
        """
        import anyio
        import anyio.to_thread

        worker, self._worker = self._worker, None
        if worker is None:
            return
        if self._cursor is not None and self.auto:
            self._cursor.settle()
        self._cursor = None
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(worker.close)

    # -- what it gives -------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Line]:
        """Give the lines one by one, each with its file and place."""
        return _Lines(self)

    def text(self) -> AsyncIterator[str]:
        """Give the bare lines one by one (``bytes`` where no encoding is asked for)."""
        return _Texts(self)

    def batches(self) -> AsyncIterator[Appended]:
        """Give lines in batches: those of one read of one file, at most 10,000."""
        return _Batches(self)

    def events(self) -> AsyncIterator[FollowEvent]:
        """Give batches and all that happens to the files, in order."""
        return _Events(self)

    async def commit(self, batch: Appended) -> None:
        """Commit a batch and have that on disk when this returns (as ``durability`` says)."""
        batch.commit()
        await self.save()

    async def save(self) -> None:
        """Save what is committed now.

        Raises:
            OSError: It could not be saved.
        """
        import anyio

        worker = await self._running()
        before = worker.stats().saves
        worker.save()
        while self.options.state is not None and worker.stats().saves == before:
            if worker.is_over:
                return
            await anyio.sleep(0.001)

    async def fence(self) -> None:
        """Return once all that happened on disk before the call is found: it is delivered next."""
        import anyio

        worker = await self._running()
        done = anyio.Event()
        worker.fence(partial(self._post, done.set))
        await done.wait()

    async def drain(self) -> None:
        """Have every iteration end once all that is there now is delivered."""
        (await self._running()).drain()

    def stats(self) -> FollowStats:
        """Give the figures."""
        if self._worker is None:
            message = f"{self!r} is not running: use it in 'async with'"
            raise RuntimeError(message)
        return self._worker.stats()

    def sync(self) -> SyncFollower:
        """Give the synchronous twin, for scripts without an event loop."""
        from limpet.following._sync_follower import SyncFollower

        return SyncFollower(self.paths, self.options)

    # -- inside --------------------------------------------------------------------------------

    async def _start(self) -> FollowThread:
        import anyio
        import anyio.to_thread

        from limpet._event_loop import EventLoop

        self._post = EventLoop().post
        worker = FollowThread(FollowEngine(self.paths, self.options))
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(worker.start)
        self._worker = worker
        return worker

    async def _running(self) -> FollowThread:
        import anyio

        if self._worker is None:
            self._starting = self._starting or anyio.Lock()
            async with self._starting:
                if self._worker is None:
                    return await self._start()
        return self._worker

    async def next_event(self, worker: FollowThread) -> FollowEvent:
        """Give the next event, waiting for it if need be."""
        import anyio
        import anyio.lowlevel

        await anyio.lowlevel.checkpoint()  # before one is taken, so that cancelling loses none
        while True:
            event = worker.pop()
            if event is not None:
                return event
            if worker.is_over:
                event = worker.pop()
                if event is not None:
                    return event
                if worker.error is not None:
                    raise worker.error
                raise StopAsyncIteration
            ready = anyio.Event()
            worker.when_ready(partial(self._post, ready.set))
            await ready.wait()

    async def worker(self) -> FollowThread:
        """Give what runs it, starting it if need be."""
        return await self._running()

    @property
    def auto(self) -> bool:
        """Whether asking for the next batch commits the last one."""
        return self.options.commit == "auto"

    @property
    def cursor(self) -> _Cursor:
        """The batch whose lines are handed out."""
        if self._cursor is None:
            self._cursor = _Cursor()
        return self._cursor

    async def refill(self) -> None:
        """Get the next batch whose lines are handed out, unless somebody else just did."""
        cursor = self.cursor
        async with cursor.lock:
            if cursor.at < cursor.count:
                return
            worker = await self._running()
            last, cursor.batch = cursor.batch, None
            if last is not None and self.auto:
                last.commit()
            while True:
                event = await self.next_event(worker)
                if isinstance(event, Appended):
                    cursor.take(event)
                    return
                report(event)


class _Events:
    """Iterates over one run of a follower."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._worker: FollowThread | None = None
        self._last: Appended | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FollowEvent:
        last, self._last = self._last, None
        if last is not None and self._follower.auto:
            last.commit()
        if self._worker is None:
            self._worker = await self._follower.worker()
        event = await self._follower.next_event(self._worker)
        if isinstance(event, Appended):
            self._last = event
        return event


class _Batches:
    """The same for those who want nothing but lines; what is lost goes to the log."""

    def __init__(self, follower: Follower) -> None:
        self._events = _Events(follower)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Appended:
        while True:
            event = await self._events.__anext__()
            if isinstance(event, Appended):
                return event
            report(event)


class _Cursor:
    """The batch whose lines are handed out one by one, to whoever asks."""

    __slots__ = ("at", "batch", "count", "edges", "lock", "origin", "texts")

    def __init__(self) -> None:
        import anyio

        self.batch: Appended | None = None
        self.texts: list[Any] = []
        self.edges: list[int] = []
        """Where each line begins, and where the last one ends; made when somebody asks."""
        self.origin: Origin | None = None
        self.at = self.count = 0
        self.lock = anyio.Lock()

    def take(self, batch: Appended) -> None:
        """Begin with another batch."""
        self.batch, self.texts, self.origin = batch, batch.lines, None
        self.at, self.count = 0, len(self.texts)

    def settle(self) -> None:
        """Commit the lines that were handed out, but for the last: who knows what became of it."""
        if self.batch is not None:
            self.batch.commit_lines(self.at - 1)


class _Texts:
    """Iterates over bare lines."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._cursor = follower.cursor

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 (str, or bytes)
        cursor = self._cursor
        while True:
            at = cursor.at
            if at < cursor.count:
                cursor.at = at + 1
                return cursor.texts[at]
            await self._follower.refill()


class _Lines:
    """Iterates over lines with their places."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._cursor = follower.cursor

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Line:
        cursor = self._cursor
        while True:
            at = cursor.at
            if at < cursor.count:
                origin = cursor.origin
                if origin is None and cursor.batch is not None:
                    cursor.edges = cursor.batch.edges()
                    origin = cursor.origin = cursor.batch.origin()
                if origin is not None:
                    cursor.at = after = at + 1
                    edges = cursor.edges
                    return Line(cursor.texts[at], edges[at], edges[after], origin)
            await self._follower.refill()
