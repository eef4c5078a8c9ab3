"""The dispatcher of an event loop that cannot wait for descriptors: a thread waits in its place.

That is the proactor loop of Windows, whose tree sources have threads of their own. The thread
waits, examines and wakes the loop: a change is two wake-ups away from the program, where waiting in
the thread and examining in a worker makes three.
"""

from __future__ import annotations

import math
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from limpet.watching._dispatcher_base import Dispatcher, Waiter
from limpet.watching._gathering import Gathering

if TYPE_CHECKING:
    from limpet._event_loop import EventLoop
    from limpet.watching._watch_core import WatchCore


class ThreadDispatcher(Dispatcher):
    """The dispatcher of one event loop: its router, and the thread that waits for it."""

    def __init__(self, loop: EventLoop) -> None:
        """Open the router; the thread starts with the first consumer that waits.

        Raises:
            LimitError: The process is out of file descriptors.
        """
        super().__init__(loop)
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._until: float | None = None
        """While the thread waits for the kernel: until when (monotonic); else ``None``."""
        self._ended = False
        self._gathering = Gathering()

    # -- in the event loop ---------------------------------------------------------------------

    async def wait(self, watcher: WatchCore) -> bool:
        """Wait until an event is ready, or a long scan is due."""
        if watcher.waiting:
            return True
        end, ended = self.loop.waiter()
        waiter = self._add(watcher)
        waiter.ends.append(end)
        try:
            await ended
        finally:
            with self._changed:
                waiter.ends.remove(end)
                if not waiter.ends and self._waiters.get(watcher) is waiter:
                    del self._waiters[watcher]
                    watcher.hints.awaited = False
        if waiter.error is not None:
            raise waiter.error
        return waiter.must_scan

    def _add(self, watcher: WatchCore) -> Waiter:
        with self._changed:
            waiter = self._waiters.get(watcher)
            if waiter is None:
                waiter = self._waiters[watcher] = Waiter()
                watcher.hints.awaited = True
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

    def release_waiters(self, watcher: WatchCore) -> None:
        """Wake the tasks that wait for this watch: another one scanned, or it is closed."""
        with self._changed:
            waiter = self._waiters.pop(watcher, None)
            watcher.hints.awaited = False
        if waiter is not None:
            waiter.wake()

    def close(self) -> None:
        """End the thread and free the router; blocks for as long as a scan under way takes."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self.router.wake()
        if self._thread is not None:
            self._thread.join()
        super().close()

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
            limits = [watcher.gather for watcher in self._waiters]
            if any(watcher.has_work for watcher in self._waiters):
                until = 0.0
            self._until = until
        now = time.monotonic()
        if until > now:
            self.router.wait(None if until == math.inf else until - now)
            now = time.monotonic()
        pause = self._gathering.pause(now, lambda: limits)
        if pause:
            time.sleep(pause)
        with self._changed:
            self._until = None
            return not self._ended

    def _examine(self) -> list[Waiter]:
        """Examine for every watch that is awaited and has work; return whom to wake."""
        done: list[Waiter] = []
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
                    count = watcher.hints.count
                    try:
                        waiter.must_scan = not watcher.examine(drained=True)
                    except BaseException as error:  # noqa: BLE001 (it is raised where it is awaited)
                        waiter.error = error
                    self._gathering.examined(time.monotonic(), count)
            if watcher.is_ready or waiter.must_scan or waiter.error is not None:
                with self._changed:
                    if self._waiters.get(watcher) is waiter:
                        del self._waiters[watcher]
                        watcher.hints.awaited = False
                done.append(waiter)
        return done


def _wake(waiters: list[Waiter]) -> None:
    for waiter in waiters:
        waiter.wake()
