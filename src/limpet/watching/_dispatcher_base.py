"""What a dispatcher is: it waits for the kernel on behalf of all watches of an event loop.

It works only for a watch that has a waiting consumer. While none waits, the kernel's queue fills,
and a full scan makes up for its overflow: a slow consumer costs detail, never memory.

There are two. ``_loop_dispatcher`` waits in the event loop itself and examines a few names there.
``_thread_dispatcher`` waits in a thread, where the loop cannot wait for descriptors (Windows). Both
leave to the waiting consumer what may take long (a full scan, a poll, a mount, content); it runs
that in a worker thread of its loop.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from limpet._cancellation import wait_despite_cancellation
from limpet._daemon_threads import reported
from limpet.watching._kept_thread import ThreadKeeper
from limpet.watching._watcher import make_router

if TYPE_CHECKING:
    from collections.abc import Callable

    from limpet._event_loop import EventLoop, LoopEvent
    from limpet.watching._watch_core import WatchCore

PATIENCE_S: Final = 2.0
"""How long a cancelled end of a watch waits for a disk that does not answer."""
_THREADS: Final = 4
"""Long scans of one loop at a time; they take no token of the program's own thread limit."""


RUNNING: Final[dict[object, Dispatcher]] = {}
"""Event loop -> its dispatcher, for as long as that has users."""


class Waiter:
    """Tasks that wait for events of one watch."""

    __slots__ = ("ends", "error", "must_scan")

    def __init__(self) -> None:
        self.ends: list[Callable[[], None]] = []
        """What ends the wait of each of the tasks; to be called in the loop."""
        self.must_scan = False
        """A scan is due that a waiting task must make."""
        self.error: BaseException | None = None

    def wake(self) -> None:
        """End the wait of all of them."""
        for end in self.ends:
            end()


class Dispatcher:
    """What both kinds share: the router, who waits, and how the watches of a loop end."""

    def __init__(self, loop: EventLoop) -> None:
        """Open the router.

        Raises:
            LimitError: The process is out of file descriptors.
        """
        self.router = make_router()
        self.users = 0
        self.limiter = loop.limiter(_THREADS)
        self.loop = loop
        self._threads = ThreadKeeper("limpet worker")
        self._post = loop.post
        self._waiters: dict[WatchCore, Waiter] = {}
        self._leaving: dict[WatchCore, LoopEvent] = {}
        """Set once no task works any more with a watch that is being closed."""

    # -- what the kinds do differently ---------------------------------------------------------

    async def wait(self, watcher: WatchCore) -> bool:
        """Wait until an event is ready, or a long scan is due.

        Returns:
            Whether a scan is due that the caller must make.

        Raises:
            BaseException: What a scan raised.
        """
        raise NotImplementedError

    def release_waiters(self, watcher: WatchCore) -> None:
        """Wake the tasks that wait for this watch: another one scanned, or it is closed."""
        raise NotImplementedError

    def rest(self) -> None:
        """Stop waiting for the kernel: the last watch is about to end. In the loop's thread."""

    def close(self) -> None:
        """Free everything; may block for as long as a scan under way takes."""
        self._threads.close()
        self.router.close()

    # -- in the event loop ---------------------------------------------------------------------

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

    def _spawn(self, function: Callable[[], object]) -> tuple[LoopEvent, list[BaseException]]:
        run, done, failed = reported(function, self.loop)
        self._threads.run(run)
        return done, failed

    async def leave(
        self, watcher: WatchCore, is_idle: Callable[[], bool], finish: Callable[[], None]
    ) -> None:
        """Run ``finish`` in a thread once no task works with this watch any more.

        What began is finished, even if this is cancelled meanwhile; then the cancellation is
        raised. A disk that does not answer is waited for until then and ``PATIENCE_S`` longer; the
        thread finishes once it can.
        """
        self.release_waiters(watcher)
        idle = self._leaving[watcher] = self.loop.event()
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

    def is_idle(self, watcher: WatchCore) -> None:
        """Record that no task works with this watch any more."""
        if watcher in self._leaving:
            self._leaving[watcher].set()

    def release(self) -> bool:
        """Drop one user; return whether it was the last."""
        self.users -= 1
        if self.users == 0:
            if RUNNING.get(self.loop.key) is self:
                del RUNNING[self.loop.key]
            if self.loop.is_running_here:
                self.rest()
        return self.users == 0

    # -- in any thread -------------------------------------------------------------------------

    def end(self, watcher: WatchCore, *, last: bool) -> None:
        """Close a watch, and with the last one the dispatcher; may block."""
        try:
            watcher.close(keep_marks=last)
        finally:
            if last:
                self.close()

    def abandon(self, watcher: WatchCore) -> None:
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
