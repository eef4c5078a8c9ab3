"""The async shell of a follower: it waits for the follower's thread and returns what was read."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from limpet import _daemon_threads
from limpet.errors import StateFileError
from limpet.following._event_log import report
from limpet.following._follow_engine import FollowEngine
from limpet.following._follow_events import Appended, FollowEvent, Line, Origin
from limpet.following._follow_options import FollowOptions
from limpet.following._follow_stats import FollowStats
from limpet.following._follow_thread import FollowThread
from limpet.following._sync_follower import IN_MAIN, SyncFollower, abandon, forked

if TYPE_CHECKING:
    from limpet._event_loop import LoopEvent

_PATIENCE_S: Final = 5.0
"""How long a cancelled task still waits for the checkpoint to be saved, in seconds."""


class Follower:
    """Files that grow: an async context manager, and an async iterator of their lines.

    ``async for line in limpet.follow(path)`` starts by itself, and then ends with ``aclose`` or
    with the object; in an ``async with`` block it ends with the block. Iteration may be cancelled
    at any moment and nothing is lost. Each line goes to one consumer.
    """

    def __init__(self, paths: tuple[str | os.PathLike[str], ...], options: FollowOptions) -> None:
        self.paths: Final = paths
        self.options: Final = options
        self._thread: FollowThread | None = None
        self._home: Any = None
        """The event loop in which it was started."""
        self._post: Any = None
        self._starting: Any = None
        self._batch: _CurrentBatch | None = None
        FollowEngine(paths, options)  # mistakes in the call are reported now

    def __reduce__(self) -> tuple[Any, ...]:
        return (Follower, (self.paths, self.options))

    def __repr__(self) -> str:
        return f"<Follower {', '.join(repr(os.fspath(path)) for path in self.paths)}>"

    def __del__(self) -> None:
        """Stop, if ``aclose`` was not called."""
        thread, self._thread = getattr(self, "_thread", None), None
        if thread is not None:
            abandon(thread, self)

    async def __aenter__(self) -> Self:
        """Start; see ``aopen``."""
        return await self.aopen()

    async def aopen(self) -> Self:
        """Start without a block; ``aclose`` is due later. Every later line is seen.

        May be cancelled, even while a disk does not answer; then nothing was started.

        Raises:
            UsageError: The state file is a folder, or a file of another program.
            CheckpointBusyError: Another follower has the state file.
            CheckpointCorruptError: It cannot be read, and ``on_corrupt`` is ``raise``.
            LimitError: The process is out of file descriptors.
            StateFileError: The state file cannot be read, locked or written.
            RuntimeError: It is running already.
        """
        if self._thread is not None:
            message = f"{self!r} is running already"
            raise RuntimeError(message)
        await self._start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Save what is committed and free everything.

        Raises:
            StateFileError: The checkpoint could not be saved. An exception that ends the block is
                not replaced by it: it gets a note.
        """
        try:
            await self.aclose()
        except StateFileError as trouble:
            if error is None:
                raise
            error.add_note(str(trouble))

    async def aclose(self) -> None:
        """Save what is committed and free everything; every iteration ends.

        May be called twice, from any task and any event loop. If the task is cancelled, saving goes
        on for some seconds at most; a disk that does not answer is left to a thread.

        Raises:
            StateFileError: The checkpoint could not be saved; everything is freed.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._batch is not None:
            if self._auto_commit:
                self._batch.commit_returned()
            self._batch.is_closed = True
        self._batch = None
        from limpet._cancellation import wait_despite_cancellation

        closing, done, errors = self._in_thread(thread.close)
        cancelled = await wait_despite_cancellation(done, _PATIENCE_S)
        if done.is_set():
            closing.join()  # it has nothing left to do
        if cancelled is not None:
            raise cancelled
        if errors:
            raise errors[0]

    # -- iterating -----------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Line]:
        """Return an iterator of lines, each with its file and offsets."""
        return _Lines(self)

    async def __anext__(self) -> Line:
        """Return the next line; may be cancelled without losing one.

        Raises:
            StopAsyncIteration: Nothing more comes.
        """
        return await _Lines(self).__anext__()

    def text(self) -> AsyncIterator[str]:
        """Return an iterator of bare lines (``bytes`` where ``encoding`` is ``None``)."""
        return _Texts(self)

    def batches(self) -> AsyncIterator[Appended]:
        """Return an iterator of batches: the lines of one read of one file, at most 10,000."""
        return _Batches(self)

    def events(self) -> AsyncIterator[FollowEvent]:
        """Return an iterator of batches and of everything that happens to the files, in order."""
        return _Events(self)

    async def commit(self, batch: Appended) -> None:
        """Commit a batch; it is on disk when this returns (as ``durability`` says).

        Raises:
            StateFileError: It could not be saved. It is tried again each second.
        """
        batch.commit()
        await self.save()

    async def save(self) -> None:
        """Save what is committed by now.

        Raises:
            StateFileError: It could not be saved. It is tried again each second.
        """
        import anyio

        thread = await self._running()
        done = anyio.Event()
        errors: list[BaseException] = []

        def saved(error: BaseException | None) -> None:
            if error is not None:
                errors.append(error)
            self._post(done.set)

        thread.save(saved)
        await done.wait()
        if errors:
            raise errors[0]

    async def fence(self) -> None:
        """Return once everything that happened on disk before the call is found.

        It is delivered next.
        """
        import anyio

        thread = await self._running()
        done = anyio.Event()
        thread.fence(partial(self._post, done.set))
        await done.wait()

    async def drain(self) -> None:
        """End every iteration once everything that is there now is delivered."""
        (await self._running()).drain()

    def stats(self) -> FollowStats:
        """Return the figures.

        Raises:
            RuntimeError: It is not running.
        """
        if self._thread is None:
            message = f"{self!r} is not running: use it in 'async with'"
            raise RuntimeError(message)
        return self._thread.stats()

    def sync(self) -> SyncFollower:
        """Return the synchronous twin, for scripts without an event loop."""
        return SyncFollower(self.paths, self.options)

    # -- inside --------------------------------------------------------------------------------

    async def _start(self) -> FollowThread:
        from limpet._event_loop import EventLoop

        _daemon_threads.check(self, IN_MAIN)
        self._home = EventLoop()
        self._post = self._home.post
        thread = FollowThread(FollowEngine(self.paths, self.options))
        starting, done, errors = self._in_thread(thread.start)
        try:
            await done.wait()
        except BaseException:
            thread.cancel_start()
            raise
        starting.join()  # it has nothing left to do
        if errors:
            raise errors[0]
        self._thread = thread
        return thread

    @staticmethod
    def _in_thread(
        work: Callable[[], None],
    ) -> tuple[threading.Thread, LoopEvent, list[BaseException]]:
        from limpet._event_loop import EventLoop

        return _daemon_threads.run_in_thread(work, EventLoop(), "limpet follow start")

    async def _running(self) -> FollowThread:
        """Return the thread, and start it first if it is not running.

        Raises:
            RuntimeError: It runs for another event loop, or in the process that forked this one.
        """
        import anyio

        if self._thread is None:
            self._starting = self._starting or anyio.Lock()
            async with self._starting:
                if self._thread is None:
                    return await self._start()
        self._check_place(self._thread)
        return self._thread

    def _check_place(self, thread: FollowThread) -> None:
        """Verify that the caller can be woken.

        Raises:
            RuntimeError: As ``running``.
        """
        if not thread.is_here:
            raise RuntimeError(forked(self))
        if not self._home.is_running_here:
            message = (
                f"{self!r} was started in another event loop, the only one that it can wake: use "
                "it there (asyncio.run_coroutine_threadsafe reaches that loop), close it and start "
                "it here, or use sync(), which needs no event loop"
            )
            raise RuntimeError(message)

    async def _next_event(self, thread: FollowThread) -> FollowEvent:
        """Return the next event; wait for it if none is ready.

        Raises:
            StopAsyncIteration: Nothing more comes.
        """
        import anyio
        import anyio.lowlevel

        await anyio.lowlevel.checkpoint()  # before one is taken, so that cancelling loses none
        if not (thread.is_over and thread.is_here):
            self._check_place(thread)
        while True:
            event = thread.pop()
            if event is not None:
                return event
            if thread.is_over:
                event = thread.pop()
                if event is not None:
                    return event
                if thread.error is not None:
                    raise thread.error
                raise StopAsyncIteration
            ready = anyio.Event()
            thread.when_ready(partial(self._post, ready.set))
            await ready.wait()

    @property
    def _auto_commit(self) -> bool:
        """Return whether asking for the next batch commits the last one."""
        return self.options.commit == "auto"

    @property
    def _current(self) -> _CurrentBatch:
        """The batch whose lines are being returned."""
        if self._batch is None:
            self._batch = _CurrentBatch()
        return self._batch

    def _commit_exhausted(self, current: _CurrentBatch) -> None:
        """Commit the batch of which all lines were returned, unless the follower was closed."""
        if not current.is_closed:
            last, current.batch = current.batch, None
            if last is not None and self._auto_commit:
                last.commit()

    async def _refill(self, current: _CurrentBatch) -> None:
        """Wait for the next batch of lines, unless another task has just done so.

        The batch is committed before anything is awaited: a consumer that asks for the next line
        is done with this one, also if it is cancelled while it asks.

        Raises:
            StopAsyncIteration: The follower was closed; nothing is started again.
        """
        self._commit_exhausted(current)
        async with current.lock:
            if current.at < current.count:
                return
            if current.is_closed:
                raise StopAsyncIteration
            self._commit_exhausted(current)  # another one: other tasks took all its lines meanwhile
            thread = await self._running()
            while True:
                event = await self._next_event(thread)
                if isinstance(event, Appended):
                    current.replace(event)
                    return
                report(event)


class _Events:
    """Iterates over one run of a follower."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._thread: FollowThread | None = None
        self._last: Appended | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FollowEvent:
        last, self._last = self._last, None
        if last is not None and self._follower._auto_commit:  # noqa: SLF001 (its own part)
            last.commit()
        if self._thread is None:
            self._thread = await self._follower._running()  # noqa: SLF001 (its own part)
        event = await self._follower._next_event(self._thread)  # noqa: SLF001 (its own part)
        if isinstance(event, Appended):
            self._last = event
        return event


class _Batches:
    """Iterates over batches; other events go to the log."""

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


class _CurrentBatch:
    """The batch whose lines are returned one by one, to any task that asks."""

    __slots__ = ("at", "batch", "count", "edges", "is_closed", "lock", "origin", "texts")

    def __init__(self) -> None:
        import anyio

        self.batch: Appended | None = None
        self.texts: list[Any] = []
        self.edges: list[int] = []
        """Where each line begins, and where the last one ends; made when first needed."""
        self.origin: Origin | None = None
        self.at = self.count = 0
        self.is_closed = False
        self.lock = anyio.Lock()

    def replace(self, batch: Appended) -> None:
        """Start with another batch."""
        self.batch, self.texts, self.origin = batch, batch.lines, None
        self.at, self.count = 0, len(self.texts)

    def commit_returned(self) -> None:
        """Commit the lines that were returned, except the last, which may not be processed yet."""
        if self.batch is not None:
            self.batch.commit_lines(self.at - 1)


class _Texts:
    """Iterates over bare lines."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._batch = follower._current  # noqa: SLF001 (its own part)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 (str, or bytes)
        batch = self._batch
        while True:
            at = batch.at
            if at < batch.count:
                batch.at = at + 1
                return batch.texts[at]
            await self._follower._refill(batch)  # noqa: SLF001 (its own part)


class _Lines:
    """Iterates over lines with their offsets."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._current = follower._current  # noqa: SLF001 (its own part)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Line:
        current = self._current
        while True:
            at = current.at
            if at < current.count:
                origin = current.origin
                if origin is None and current.batch is not None:
                    current.edges = current.batch.edges()
                    origin = current.origin = current.batch.origin()
                if origin is not None:
                    current.at = after = at + 1
                    edges = current.edges
                    return Line(current.texts[at], edges[at], edges[after], origin)
            await self._follower._refill(current)  # noqa: SLF001 (its own part)
