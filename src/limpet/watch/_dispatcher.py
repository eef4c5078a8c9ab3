"""Waits for the kernel on behalf of all watches of one event loop, in one thread for them all.

The thread waits, looks and tells the loop: a change is two wake-ups away from the program, where
waiting in the loop and looking in a worker thread makes three (measured: 0.5 against 1.6
milliseconds). It only works for a watch that somebody asks for news of. When nobody asks, the
kernel's queue fills, and its overflow is made good by looking at everything: a slow consumer costs
detail, never memory.

A look that may take long (everything, a poll, a mount, contents) is not made here, for the other
watches would wait for it: whoever asks makes it in a worker thread of the loop.
"""

from __future__ import annotations

import math
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import anyio.to_thread

from limpet._event_loop import EventLoop
from limpet.watch._watcher import make_router

if TYPE_CHECKING:
    from collections.abc import Callable

    from limpet.watch._watcher import Watcher

__all__ = ["LoopDispatcher", "acquire"]

_THREADS: Final = 4
"""Long looks of one loop at a time; they take no token of the program's own thread limit."""
_GATHER_MIN_S: Final = 0.001
_GATHER_MAX_S: Final = 0.014
"""In a burst, hints are gathered this long before they are read: one look at forty names costs a
quarter of forty looks at one. Twice as long with each look, so that a short burst is told soon."""
_BURST_S: Final = 0.010
"""A hint that comes so soon after the last look is part of a burst."""


class _Waiter:
    """Tasks that wait for news of one watch."""

    __slots__ = ("error", "event", "heavy", "tasks")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.tasks = 0
        self.heavy = False
        """A look is due that whoever asks must make."""
        self.error: BaseException | None = None


class LoopDispatcher:
    """The hub of one event loop and the thread that waits for it."""

    def __init__(self) -> None:
        """Open the hub; the thread starts when somebody first asks."""
        self.router = make_router()
        self.users = 0
        self.limiter = anyio.CapacityLimiter(_THREADS)
        self._post = EventLoop().post
        self._changed = threading.Condition(threading.Lock())
        self._asks: dict[Watcher, _Waiter] = {}
        self._leaving: dict[Watcher, anyio.Event] = {}
        """Set once no task works any more with a watch that is being closed."""
        self._thread: threading.Thread | None = None
        self._until: float | None = None
        """While the thread waits for the kernel: until when (monotonic); else ``None``."""
        self._ended = False
        self._last_look = 0.0
        self._gather = 0.0

    # -- in the event loop ---------------------------------------------------------------------

    async def news(self, core: Watcher) -> bool:
        """Wait until something is ready to be handed out, or a long look is due.

        Returns:
            Whether a look is due that the caller must make.

        Raises:
            BaseException: What a look raised.
        """
        ask = self._ask(core)
        try:
            await ask.event.wait()
        finally:
            ask.tasks -= 1
            if not ask.tasks:
                with self._changed:
                    if self._asks.get(core) is ask:
                        del self._asks[core]
                        core.hints.awaited = False
        if ask.error is not None:
            raise ask.error
        return ask.heavy

    def _ask(self, core: Watcher) -> _Waiter:
        with self._changed:
            ask = self._asks.get(core)
            if ask is None:
                ask = self._asks[core] = _Waiter()
                core.hints.awaited = True
            ask.tasks += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="limpet router", daemon=True)
                self._thread.start()
            elif self._until is None:
                self._changed.notify()
            elif core.has_work or core.due() < self._until:
                self.router.wake()
        return ask

    def answer(self, core: Watcher) -> None:
        """Let those go on who wait for this watch: somebody else looked, or it is closed."""
        with self._changed:
            ask = self._asks.pop(core, None)
            core.hints.awaited = False
        if ask is not None:
            ask.event.set()

    async def in_thread(self, function: Callable[[], object]) -> None:
        """Run what may take long in a worker thread."""
        await anyio.to_thread.run_sync(function, limiter=self.limiter)

    async def leave(
        self, core: Watcher, is_idle: Callable[[], bool], finish: Callable[[], None]
    ) -> None:
        """Run ``finish`` in a worker thread once no task works with this watch any more.

        What is begun is ended, also if this is cancelled meanwhile; then that is raised.
        """
        cancelled: BaseException | None = None
        self.answer(core)
        while True:
            try:
                with anyio.CancelScope(shield=True):
                    while not is_idle():
                        self._leaving[core] = anyio.Event()
                        await self._leaving[core].wait()
                    await self.in_thread(finish)
                break
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error  # asyncio's own cancel() passes a shield
            finally:
                self._leaving.pop(core, None)
        if cancelled is not None:
            raise cancelled

    def is_idle(self, core: Watcher) -> None:
        """Learn that no task works with this watch any more."""
        if core in self._leaving:
            self._leaving[core].set()

    def release(self) -> bool:
        """One user less; tells whether it was the last."""
        self.users -= 1
        return self.users == 0

    def close(self) -> None:
        """End the thread and free the hub; blocks for as long as a look under way takes."""
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
            answers = self._examine()
            if not answers:
                continue
            try:
                self._post(partial(_tell, answers))
            except RuntimeError:
                return  # the loop is closed: nobody will ask again

    def _wait(self) -> bool:
        """Wait for somebody who asks, and then for news; tells whether to go on."""
        with self._changed:
            while not self._asks and not self._ended:
                self._changed.wait()
            if self._ended:
                return False
            until = min(core.due() for core in self._asks)
            if any(core.has_work for core in self._asks):
                until = 0.0
            self._until = until
        now = time.monotonic()
        if until > now:
            self.router.wait(None if until == math.inf else until - now)
            now = time.monotonic()
        if now - self._last_look < _BURST_S:
            self._gather = min(_GATHER_MAX_S, max(_GATHER_MIN_S, 2 * self._gather))
            time.sleep(self._gather)
        else:
            self._gather = 0.0
        with self._changed:
            self._until = None
            return not self._ended

    def _examine(self) -> list[_Waiter]:
        """Look for every watch that is asked for and has news; gives whom to tell."""
        answers: list[_Waiter] = []
        trouble: BaseException | None = None
        try:
            self.router.drain(waited=True)
        except BaseException as error:  # noqa: BLE001 (it is raised from who asks)
            trouble = error
        now = time.monotonic()
        with self._changed:
            asks = list(self._asks.items())
        for core, ask in asks:
            ask.error = trouble
            if not (core.is_ready or trouble):
                ask.heavy = core.is_heavy
                if not (ask.heavy or core.hints):
                    if core.due() > now:
                        continue
                    ask.heavy = True
                if not ask.heavy:
                    try:
                        ask.heavy = not core.examine(drained=True)
                    except BaseException as error:  # noqa: BLE001 (it is raised from who asks)
                        ask.error = error
                    self._last_look = time.monotonic()
            if core.is_ready or ask.heavy or ask.error is not None:
                with self._changed:
                    if self._asks.get(core) is ask:
                        del self._asks[core]
                        core.hints.awaited = False
                answers.append(ask)
        return answers


def _tell(asks: list[_Waiter]) -> None:
    for ask in asks:
        ask.event.set()


_loop_hub: anyio.lowlevel.RunVar[LoopDispatcher | None] = anyio.lowlevel.RunVar("limpet_hub", None)


def acquire() -> LoopDispatcher:
    """Give the hub of the running event loop, for one more user.

    Raises:
        LimitError: The process is out of file descriptors.
    """
    router = _loop_hub.get()
    if router is None or router.users == 0:
        router = LoopDispatcher()
        _loop_hub.set(router)
    router.users += 1
    return router
