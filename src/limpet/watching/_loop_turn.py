"""How a dispatcher gets its turn in the event loop: when a descriptor is readable, or at a time.

On asyncio these are callbacks of the loop itself; on trio, one system task. Either is armed by the
dispatcher for what it waits for next, and does nothing while nobody waits.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from limpet._event_loop import EventLoop


class LoopTurn(Protocol):
    """Calls a dispatcher back; every method is called in the loop's thread."""

    def listen(self, until: float) -> None:
        """Call back when the descriptor is readable or, at the latest, at this monotonic time."""

    def sleep(self, until: float) -> None:
        """Call back at this monotonic time, whatever the descriptor says until then."""

    def rest(self) -> None:
        """Call back no more until it is armed again."""

    def close(self) -> None:
        """Call back no more; the descriptor is about to be closed."""


def make_turn(
    loop: EventLoop, fd: int, call: Callable[[], None], listening: Callable[[], None]
) -> LoopTurn:
    """Return what gives a dispatcher its turns.

    Args:
        loop: The running event loop.
        fd: The descriptor.
        call: Called back.
        listening: Called soon after the loop has begun to wait for the descriptor.
    """
    if loop.asyncio is not None:
        return _AsyncioTurn(loop.asyncio, fd, call, listening)
    return _TrioTurn(loop, fd, call, listening)


class _AsyncioTurn:
    """A reader and a timer of the loop.

    A reader that is armed again is the same one: to take it out and put it back costs
    two system calls. So it is left in, and may call while nobody waits.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        call: Callable[[], None],
        listening: Callable[[], None],
    ) -> None:
        self._loop, self._fd, self._call, self._listening = loop, fd, call, listening
        self._has_reader = False
        self._timer: asyncio.TimerHandle | None = None
        self._until = math.inf

    def listen(self, until: float) -> None:
        if not self._has_reader:
            self._loop.add_reader(self._fd, self._call)
            self._has_reader = True
            self._set_timer(until)
            self._listening()
        else:
            self._set_timer(until)

    def sleep(self, until: float) -> None:
        if self._has_reader:
            self._loop.remove_reader(self._fd)
            self._has_reader = False
        self._set_timer(until)

    def rest(self) -> None:
        self.sleep(math.inf)

    close = rest

    def _set_timer(self, until: float) -> None:
        if until == self._until:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._until = until
        if until != math.inf:
            self._timer = self._loop.call_later(until - time.monotonic(), self._due)

    def _due(self) -> None:
        self._timer, self._until = None, math.inf
        self._call()


class _TrioTurn:
    """A system task, which ends with the loop."""

    def __init__(
        self, loop: EventLoop, fd: int, call: Callable[[], None], listening: Callable[[], None]
    ) -> None:
        self._trio, self._post = loop.trio, loop.post
        self._fd, self._call, self._listening = fd, call, listening
        self._listens = False
        self._until = math.inf
        self._scope: Any = None
        self._is_armed = False
        """What it waits for was set since it began to wait."""

    def listen(self, until: float) -> None:
        self._arm(until, listens=True)

    def sleep(self, until: float) -> None:
        self._arm(until, listens=False)

    def rest(self) -> None:
        self._arm(math.inf, listens=False)

    def close(self) -> None:
        self.rest()
        self._trio.lowlevel.notify_closing(self._fd)

    def _arm(self, until: float, *, listens: bool) -> None:
        if self._scope is not None and (listens, until) == (self._listens, self._until):
            return
        self._listens, self._until, self._is_armed = listens, until, True
        if self._scope is not None:
            self._scope.cancel()
        elif listens or until != math.inf:
            self._scope = self._trio.CancelScope()
            self._trio.lowlevel.spawn_system_task(self._run, name="limpet dispatcher")

    async def _run(self) -> None:
        """Wait and call back for as long as there is something to wait for."""
        trio = self._trio
        while self._listens or self._until != math.inf:
            self._is_armed = False
            later = max(0.0, self._until - time.monotonic())
            self._scope = trio.CancelScope(deadline=trio.current_time() + later)
            with self._scope, contextlib.suppress(trio.ClosedResourceError):
                if self._listens:
                    self._post(self._listening)  # runs once this task waits
                    await trio.lowlevel.wait_readable(self._fd)
                else:
                    await trio.sleep_forever()
            if not self._is_armed:
                self._listens, self._until = False, math.inf
                self._scope = _Busy()
                self._call()
        self._scope = None


class _Busy:
    """Stands for the scope while the dispatcher is called: what it arms is seen afterwards."""

    def cancel(self) -> None:
        """Do nothing: nothing waits."""
