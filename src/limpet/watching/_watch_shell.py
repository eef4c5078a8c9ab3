"""The async shell of a watch: waits, has scans made, hands out events; decides nothing.

A consumer waits on the loop's dispatcher. The disk is examined only while a consumer is waiting.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from limpet import _daemon_threads
from limpet._option_fields import path_of
from limpet.errors import StateFileError
from limpet.events import Event, Kind
from limpet.watching._explanation import Explanation, is_folder

if TYPE_CHECKING:
    from limpet.backends import HintRouter
    from limpet.watching._dispatcher_base import Dispatcher
    from limpet.watching._watch_core import WatchCore

Core = TypeVar("Core", bound="WatchCore")


class WatchShell(Generic[Core]):
    """The async form of a watch: an async context manager, and an async iterator of events.

    ``__anext__`` may be cancelled at any moment and no event is lost. Several tasks may iterate;
    each event goes to one of them. After the block the watch can be entered again.
    """

    def __init__(self) -> None:
        self._core: Core | None = None
        self._dispatcher: Dispatcher | None = None
        self._active = 0
        """Tasks that work with the running watch."""

    def _make_core(self, router: HintRouter) -> Core:
        """Return a core for one run."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Start; see ``aopen``."""
        return await self.aopen()

    async def aopen(self) -> Self:
        """Start without a block; ``aclose`` is due later. Every later change is seen.

        Raises:
            UnsupportedError: The backend in the options does not work here, or a sub-interpreter
                runs the caller.
            LimitError: The process is out of file descriptors.
            UsageError: What is at ``state`` is not a state file of limpet: it is left as it is. Or
                nothing is at the location, and ``must_exist`` is set.
            StateFileError: The state file cannot be read, or could not be written at the end.
            RuntimeError: It is running already.
        """
        if self._core is not None:
            message = f"{self!r} is running already"
            raise RuntimeError(message)
        _daemon_threads.check(self, "use its sync() form here, or watch in the main interpreter")
        from limpet.watching._dispatcher import acquire  # scripts without an event loop do without

        self._dispatcher = acquire()
        self._core = self._make_core(self._dispatcher.router)
        try:
            await self._dispatcher.in_thread(self._core.start)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Stop: afterwards no task, descriptor or mark is left.

        Raises:
            StateFileError: The state could not be saved. An exception that ends the block is not
                replaced by it: it gets a note.
        """
        try:
            await self.aclose()
        except StateFileError as trouble:
            if error is None:
                raise
            error.add_note(str(trouble))

    async def aclose(self) -> None:
        """Stop; a task that waits for an event gets none. May be called twice and from any task.

        Raises:
            StateFileError: The state could not be saved; all else is done.
        """
        watcher, dispatcher = self._core, self._dispatcher
        if watcher is None or dispatcher is None:
            return
        if dispatcher.loop.is_forked or dispatcher.loop.is_closed:
            self._end()
            return
        dispatcher.loop.check(self)
        self._core = self._dispatcher = None
        watcher.stop()
        last = dispatcher.release()

        finish = partial(dispatcher.end, watcher, last=last)
        await dispatcher.leave(watcher, lambda: self._active == 0, finish)

    def _end(self) -> None:
        """Free everything where no task of the watch's loop can run any more."""
        watcher, dispatcher = self._core, self._dispatcher
        self._core = self._dispatcher = None
        if watcher is not None and dispatcher is not None:
            dispatcher.end(watcher, last=dispatcher.release())

    def _abandon(self) -> None:
        """Free everything soon, without a wait: for owners that the garbage collector found."""
        dispatcher, core = self._dispatcher, self._core
        self._core = self._dispatcher = None
        if dispatcher is not None and core is not None and not sys.is_finalizing():
            dispatcher.abandon(core)

    def __del__(self) -> None:
        """Free everything if the block was never left, and say so."""
        dispatcher = self._dispatcher
        if dispatcher is None:
            return
        if not dispatcher.loop.is_forked:
            message = f"{self!r} was not closed: leave its block, or await its aclose()"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=1)
        if self._core is not None and not sys.is_finalizing():
            dispatcher.abandon(self._core)

    def entry_count(self) -> int:
        """Return the number of entries in the index now; 0 if the watch is not running.

        May be called from any thread, also while the watch starts and lists what is there.

        Raises:
            RuntimeError: The index grew meanwhile, so that they could not be counted.
        """
        core = self._core
        return core.count() if core is not None else 0

    def stop(self) -> None:
        """End every iteration over the events; what is ready is still handed out.

        May be called from any task and any thread, and does nothing if the watch is not running.
        The block is left, or ``aclose`` awaited, as always.
        """
        watcher, dispatcher = self._core, self._dispatcher
        if watcher is None or dispatcher is None or watcher.closed:
            return
        watcher.stop()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            dispatcher.loop.post(partial(dispatcher.release_waiters, watcher))

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate over events one by one, until the block is left or ``stop`` is called."""
        return _Events(self, self._running())

    async def __anext__(self) -> Event:
        """Return the next event; wait for it if there is none."""
        return await self._next(self._running())

    async def _next(self, watcher: Core) -> Event:
        while True:
            event = watcher.pop()
            if event is not None:
                return event
            if watcher.closed:
                raise StopAsyncIteration
            await self._advance(watcher)

    async def _next_batch(self, watcher: Core) -> list[Event]:
        while True:
            batch = watcher.pop_all()
            if batch:
                return batch
            if watcher.closed:
                raise StopAsyncIteration
            await self._advance(watcher)

    def batches(self) -> AsyncIterator[list[Event]]:
        """Iterate over lists of events: all that is ready, never an empty list.

        May be cancelled like the watch itself: what was not handed out comes with the next call.
        """
        return _Batches(self, self._running())

    async def fence(self) -> None:
        """Return once all that happened on disk before the call is delivered or ready to be.

        Files that are held by ``settle`` stay held.
        """
        watcher = self._running()
        await self._examine(watcher, force=True)

    def entries(self) -> dict[Path, Kind]:
        """Return what is in the index now, the target included: path -> kind.

        It is the listing that the events so far lead to, those not handed out yet included. While
        an examination runs in a thread, it has of each directory what is known at that moment: the
        event loop does not wait for it. Takes some 5 microseconds an entry.
        """
        return self._running().entries()

    def explain(self, path: str | os.PathLike[str]) -> Explanation:
        """Return why an event for a path would come from this watch, or would not.

        By what the watch knows now; the disk is not touched. A path that ends with a separator is
        that of a folder, for the rules that leave out.
        """
        return self._running().explain(path_of("path", path), is_dir=is_folder(path))

    def _running(self) -> Core:
        if self._core is None or self._dispatcher is None:
            message = f"{self!r} is not running: use it in 'async with'"
            raise RuntimeError(message)
        self._dispatcher.loop.check(self)
        return self._core

    async def _advance(self, watcher: Core) -> None:
        """Wait for events, and make the scan if the dispatcher leaves it to the consumer."""
        dispatcher = self._dispatcher
        if dispatcher is None:
            return
        dispatcher.loop.check(self)
        self._active += 1
        try:
            if await dispatcher.wait(watcher):
                await self._examine(watcher, force=False)
        finally:
            self._active -= 1
            if not self._active:
                dispatcher.is_idle(watcher)

    async def _examine(self, watcher: Core, *, force: bool) -> None:
        dispatcher = self._dispatcher
        if dispatcher is None or watcher.closed:
            return
        try:
            await dispatcher.in_thread(lambda: watcher.examine(force=force))
        finally:
            if watcher.is_ready:
                dispatcher.release_waiters(watcher)


class _Events:
    """Iterates over one run of a watch, and ends with it."""

    def __init__(self, watch: WatchShell[Any], watcher: WatchCore) -> None:
        self._watch, self._core = watch, watcher

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        return await self._watch._next(self._core)  # noqa: SLF001 (its own part)


class _Batches:
    """The same in lists."""

    def __init__(self, watch: WatchShell[Any], watcher: WatchCore) -> None:
        self._watch, self._core = watch, watcher

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Event]:
        return await self._watch._next_batch(self._core)  # noqa: SLF001 (its own part)
