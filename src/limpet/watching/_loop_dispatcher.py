"""The dispatcher that waits in the event loop, and examines there what is sure to be short.

A hop between threads costs 75 microseconds, a stat of a name on a local file system three
(measured). So the loop itself waits for the kernel and, while few names wait, examines them:
``NAMES`` at most, some two milliseconds. What may take longer goes to a thread: many names, a
directory that came or went, a file system that a network or another program answers for.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from limpet.watching._dispatcher_base import Dispatcher, Waiter
from limpet.watching._gathering import Gathering
from limpet.watching._loop_turn import make_turn

if TYPE_CHECKING:
    from limpet._event_loop import EventLoop
    from limpet.watching._watch_core import WatchCore

NAMES: Final = 256
"""Names that are examined in the event loop at a time, of all watches together."""
_AGAIN_S: Final = 0.002
"""When to try again after a thread was found to be reading the router."""


class LoopDispatcher(Dispatcher):
    """The dispatcher of one event loop; all but ``close`` runs in the loop's thread."""

    def __init__(self, loop: EventLoop) -> None:
        """Open the router; the loop waits for it with the first consumer that waits.

        Raises:
            LimitError: The process is out of file descriptors.
        """
        super().__init__(loop)
        self._turn = make_turn(loop, self.router.fileno(), self._called, self._listening)
        self._gathering = Gathering()
        self._gathers = False
        """A timer ends the gathering of hints."""
        self._until = math.inf
        """When something is due without a hint for one of those who wait, or before."""
        self._is_readable = False
        """There was something to read while nobody waited. A change of the mount table is
        reported once."""

    async def wait(self, watcher: WatchCore) -> bool:
        """Wait until an event is ready, or a long scan is due."""
        if watcher.has_found:
            return True
        end, ended = self.loop.waiter()
        waiter = self._waiters.get(watcher)
        if waiter is None:
            waiter = self._waiters[watcher] = Waiter()
            watcher.hints.awaited = True
        waiter.ends.append(end)
        self._arm(watcher)
        try:
            await ended
        finally:
            waiter.ends.remove(end)
            if not waiter.ends and self._waiters.get(watcher) is waiter:
                self._forget(watcher)
        if waiter.error is not None:
            raise waiter.error
        return waiter.must_scan

    def release_waiters(self, watcher: WatchCore) -> None:
        """Wake the tasks that wait for this watch: another one scanned, or it is closed."""
        waiter = self._waiters.get(watcher)
        if waiter is not None:
            self._forget(watcher)
            waiter.wake()

    def rest(self) -> None:
        """Stop waiting for the kernel."""
        self._gathers = False
        self._turn.close()

    def _forget(self, watcher: WatchCore) -> None:
        del self._waiters[watcher]
        watcher.hints.awaited = False

    def _arm(self, watcher: WatchCore) -> None:
        """Prepare the next examination for a watch that is waited for now."""
        if self._gathers:
            return
        if watcher.has_work or self._is_readable or self._gathering.is_on:
            self._gather()
        else:
            self._until = min(self._until, watcher.due())
            self._turn.listen(self._until)

    def _listening(self) -> None:
        """Examine at once what the descriptor has reported before it was waited for."""
        if not self._waiters or self._gathers:
            return
        lock = self.router.lock
        if not lock.acquire(blocking=False):
            self._gather()
            return
        try:
            changed = self.router.notice_mounts()
        finally:
            lock.release()
        if changed:
            self._gather()

    def _gather(self) -> None:
        """Examine what waits after a pause, whose length depends on how much happens."""
        now = time.monotonic()
        self._gathers = True
        self._turn.sleep(now + self._gathering.pause(now, self._limits))

    def _limits(self) -> list[float]:
        return [one.gather for one in self._waiters]

    def _called(self) -> None:
        """Examine now, or gather first in a burst."""
        if not self._waiters:
            self._gathers, self._is_readable = False, True
            self._turn.rest()
            return
        if not self._gathers:
            now = time.monotonic()
            pause = self._gathering.pause(now, self._limits)
            if pause:
                self._gathers = True
                self._turn.sleep(now + pause)
                return
        self._gathers = self._is_readable = False
        self._examine_all()
        if self._waiters and not self._gathers:
            if self._until <= time.monotonic():
                self._until = min(one.due() for one in self._waiters)
            self._turn.listen(self._until)

    def _examine_all(self) -> None:
        """Read what the kernel has waiting, and examine for every watch that is waited for."""
        lock = self.router.lock
        if not lock.acquire(blocking=False):
            self._gathers = True
            self._turn.sleep(time.monotonic() + _AGAIN_S)
            return
        trouble: BaseException | None = None
        try:
            try:
                self.router.clear_wake()
                self.router.drain()
            except BaseException as error:  # noqa: BLE001 (it is raised where it is awaited)
                trouble = error
            now = time.monotonic()
            left = NAMES
            for watcher, waiter in list(self._waiters.items()):
                waiter.error = trouble
                if trouble is None and not watcher.is_ready:
                    names = watcher.hints.names
                    if left < names <= NAMES:  # in the next turn: this one would take too long
                        self._gathers = True
                        self._turn.sleep(now)
                        continue
                    self._examine(watcher, waiter, names, now)
                    left -= names
                if watcher.is_ready or waiter.must_scan or waiter.error is not None:
                    self._forget(watcher)
                    waiter.wake()
                elif watcher.due() < self._until:
                    self._until = watcher.due()
        finally:
            lock.release()

    def _examine(self, watcher: WatchCore, waiter: Waiter, names: int, now: float) -> None:
        """Examine here, or leave it to the task that waits."""
        if watcher.is_heavy:
            waiter.must_scan = True
        elif not watcher.hints:
            waiter.must_scan = watcher.due() <= now
        else:
            try:
                waiter.must_scan = names > NAMES or not watcher.examine_names()
            except BaseException as error:  # noqa: BLE001 (it is raised where it is awaited)
                waiter.error = error
            self._gathering.examined(time.monotonic(), names)
