"""The dispatcher: one thread that waits for the kernel on behalf of all watches of an event loop.

The thread waits, examines and wakes the loop: a change is two wake-ups away from the program, where
waiting in the loop and examining in a worker thread makes three (measured: 0.5 against 1.6
milliseconds). It works only for a watch that has a waiting consumer. While none waits, the kernel's
queue fills, and a full scan makes up for its overflow: a slow consumer costs detail, never memory.

An examination that may take long (a full scan, a poll, a mount, content) does not run here, because
the other watches would wait for it. The waiting consumer runs it in a worker thread of its loop.
"""

from __future__ import annotations

import math
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from limpet._cancellation import wait_despite_cancellation
from limpet._daemon_threads import run_in_thread
from limpet._event_loop import EventLoop
from limpet.watch._watcher import make_router

if TYPE_CHECKING:
    from collections.abc import Callable

    from limpet.watch._watcher import Watcher

PATIENCE_S: Final = 2.0
"""How long a cancelled end of a watch waits for a disk that does not answer."""
_THREADS: Final = 4
"""Long scans of one loop at a time; they take no token of the program's own thread limit."""
_GATHER_MIN_S: Final = 0.001
_GATHER_MAX_S: Final = 0.014
"""In a burst, hints are gathered this long before they are read: one scan of forty names costs a
quarter of forty scans of one. It doubles with each scan, so that a short burst is soon reported."""
_BURST_S: Final = 0.010
"""A hint that comes this soon after the last scan is part of a burst."""


class _Waiter:
    """Tasks that wait for events of one watch."""

    __slots__ = ("error", "event", "must_scan", "tasks")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.tasks = 0
        self.must_scan = False
        """A scan is due that a waiting task must make."""
        self.error: BaseException | None = None


class LoopDispatcher:
    """The dispatcher of one event loop: its router, and the thread that waits for it."""

    def __init__(self) -> None:
        """Open the router; the thread starts with the first consumer that waits."""
        self.router = make_router()
        self.users = 0
        self.limiter = anyio.CapacityLimiter(_THREADS)
        self.loop = EventLoop()
        self._post = self.loop.post
        self._changed = threading.Condition(threading.Lock())
        self._waiters: dict[Watcher, _Waiter] = {}
        self._leaving: dict[Watcher, anyio.Event] = {}
        """Set once no task works any more with a watch that is being closed."""
        self._thread: threading.Thread | None = None
        self._until: float | None = None
        """While the thread waits for the kernel: until when (monotonic); else ``None``."""
        self._ended = False
        self._last_scan = 0.0
        self._gather = 0.0

    # -- in the event loop ---------------------------------------------------------------------

    async def wait(self, watcher: Watcher) -> bool:
        """Wait until an event is ready, or a long scan is due.

        Returns:
            Whether a scan is due that the caller must make.

        Raises:
            BaseException: What a scan raised.
        """
        waiter = self._add_waiter(watcher)
        try:
            await waiter.event.wait()
        finally:
            waiter.tasks -= 1
            if not waiter.tasks:
                with self._changed:
                    if self._waiters.get(watcher) is waiter:
                        del self._waiters[watcher]
                        watcher.hints.awaited = False
        if waiter.error is not None:
            raise waiter.error
        return waiter.must_scan

    def _add_waiter(self, watcher: Watcher) -> _Waiter:
        with self._changed:
            waiter = self._waiters.get(watcher)
            if waiter is None:
                waiter = self._waiters[watcher] = _Waiter()
                watcher.hints.awaited = True
            waiter.tasks += 1
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="limpet dispatcher", daemon=True
                )
                self._thread.start()
            elif self._until is None:
                self._changed.notify()
            elif watcher.has_work or watcher.due() < self._until:
                self.router.wake()
        return waiter

    def release_waiters(self, watcher: Watcher) -> None:
        """Wake the tasks that wait for this watch: another one scanned, or it is closed."""
        with self._changed:
            waiter = self._waiters.pop(watcher, None)
            watcher.hints.awaited = False
        if waiter is not None:
            waiter.event.set()

    async def in_thread(self, function: Callable[[], object]) -> None:
        """Run what may take long in a thread, a few at a time.

        A cancellation does not wait for it: it goes on and ends by itself, for a disk that does not
        answer (a dead network mount) must not hold the event loop, nor the end of the process.

        Raises:
            BaseException: What the function raised.
        """
        async with self.limiter:
            done, failed = self._spawn(function)
            await done.wait()
        if failed:
            raise failed[0]

    def _spawn(self, function: Callable[[], object]) -> tuple[anyio.Event, list[BaseException]]:
        _, done, failed = run_in_thread(function, self._post, "limpet worker")
        return done, failed

    async def leave(
        self, watcher: Watcher, is_idle: Callable[[], bool], finish: Callable[[], None]
    ) -> None:
        """Run ``finish`` in a thread once no task works with this watch any more.

        What began is finished, even if this is cancelled meanwhile; then the cancellation is
        raised. A disk that does not answer is waited for until then and ``PATIENCE_S`` longer; the
        thread finishes once it can.
        """
        self.release_waiters(watcher)
        idle = self._leaving[watcher] = anyio.Event()
        if is_idle():
            idle.set()
        spawned = False
        try:
            first = await wait_despite_cancellation(idle, PATIENCE_S)
            done, failed = self._spawn(finish)
            spawned = True
            cancelled = await wait_despite_cancellation(done, PATIENCE_S) or first
        finally:
            self._leaving.pop(watcher, None)
            if not spawned:  # the task is closed with its loop
                self._spawn(finish)
        if cancelled is not None:
            raise cancelled
        if failed:
            raise failed[0]

    def is_idle(self, watcher: Watcher) -> None:
        """Record that no task works with this watch any more."""
        if watcher in self._leaving:
            self._leaving[watcher].set()

    def release(self) -> bool:
        """Drop one user; return whether it was the last."""
        self.users -= 1
        return self.users == 0

    def end(self, watcher: Watcher, *, last: bool) -> None:
        """Close a watch, and with the last one the dispatcher; may block."""
        try:
            watcher.close(keep_marks=last)
        finally:
            if last:
                self.close()

    def abandon(self, watcher: Watcher) -> None:
        """Close a watch that nobody refers to any more, soon.

        Called by the garbage collector, at any point of any thread: so it takes no lock, and the
        work is for a thread of its own.
        """
        watcher.stop()

        def finish() -> None:
            end = partial(self.end, watcher, last=self.release())
            threading.Thread(target=end, name="limpet close", daemon=True).start()

        try:
            self._post(finish)
        except RuntimeError:
            finish()  # the loop is closed

    def close(self) -> None:
        """End the thread and free the router; blocks for as long as a scan under way takes."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self.router.wake()
        if self._thread is not None:
            self._thread.join()
        self.router.close()

    # -- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while self._wait():
            done = self._examine()
            if not done:
                continue
            try:
                self._post(partial(_wake, done))
            except RuntimeError:
                return  # the loop is closed: no task will wait again

    def _wait(self) -> bool:
        """Block until a consumer waits, then until hints arrive; return False on shutdown."""
        with self._changed:
            while not self._waiters and not self._ended:
                self._changed.wait()
            if self._ended:
                return False
            until = min(watcher.due() for watcher in self._waiters)
            if any(watcher.has_work for watcher in self._waiters):
                until = 0.0
            self._until = until
        now = time.monotonic()
        if until > now:
            self.router.wait(None if until == math.inf else until - now)
            now = time.monotonic()
        if now - self._last_scan < _BURST_S:
            self._gather = min(_GATHER_MAX_S, max(_GATHER_MIN_S, 2 * self._gather))
            time.sleep(self._gather)
        else:
            self._gather = 0.0
        with self._changed:
            self._until = None
            return not self._ended

    def _examine(self) -> list[_Waiter]:
        """Examine for every watch that is awaited and has work; return whom to wake."""
        done: list[_Waiter] = []
        trouble: BaseException | None = None
        try:
            self.router.drain(waited=True)
        except BaseException as error:  # noqa: BLE001 (it is raised where it is awaited)
            trouble = error
        now = time.monotonic()
        with self._changed:
            waiters = list(self._waiters.items())
        for watcher, waiter in waiters:
            waiter.error = trouble
            if not (watcher.is_ready or trouble):
                waiter.must_scan = watcher.is_heavy
                if not (waiter.must_scan or watcher.hints):
                    if watcher.due() > now:
                        continue
                    waiter.must_scan = True
                if not waiter.must_scan:
                    try:
                        waiter.must_scan = not watcher.examine(drained=True)
                    except BaseException as error:  # noqa: BLE001 (it is raised where it is awaited)
                        waiter.error = error
                    self._last_scan = time.monotonic()
            if watcher.is_ready or waiter.must_scan or waiter.error is not None:
                with self._changed:
                    if self._waiters.get(watcher) is waiter:
                        del self._waiters[watcher]
                        watcher.hints.awaited = False
                done.append(waiter)
        return done


def _wake(waiters: list[_Waiter]) -> None:
    for waiter in waiters:
        waiter.event.set()


_current: anyio.lowlevel.RunVar[LoopDispatcher | None] = anyio.lowlevel.RunVar(
    "limpet_dispatcher", None
)


def acquire() -> LoopDispatcher:
    """Return the dispatcher of the running event loop, for one more user.

    Raises:
        LimitError: The process is out of file descriptors.
    """
    dispatcher = _current.get()
    if dispatcher is None or dispatcher.users == 0:
        dispatcher = LoopDispatcher()
        _current.set(dispatcher)
    dispatcher.users += 1
    return dispatcher
