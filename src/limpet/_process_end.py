"""End the process at its end, whatever still hangs in it.

Python waits at its exit for every thread that is not a daemon (``threading._shutdown``), and
``asyncio.run`` waits for the threads of ``asyncio.to_thread``. One that waits for a dead disk never
ends. So the program ends without them, after what must be kept is written.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

POOL: Final = "limpet pool"
"""How the names of threads begin that work for an event loop."""

_PATIENCE_S: Final = 0.5
"""How long threads and streams get to end by themselves."""

_STEP_S: Final = 0.05
"""How late the moment may be noticed."""

_TICK_S: Final = 0.5
"""The same in the main thread: each tick interrupts a system call of it."""


def leave(code: int) -> int:
    """Return the exit code, or end the process with it if a thread would hold up its end.

    Threads that are not daemons get half a second, or what ``wait_for_threads`` gives them. Then
    what is buffered for standard output and error is written, if that does not hang, and the
    process ends without ``atexit`` functions.
    """
    now = time.monotonic()
    for thread in _others():
        end = now + _PATIENCE_S
        if thread not in _holding:
            end = max(end, _moments["pool" if thread.name.startswith(POOL) else "others"])
        thread.join(max(0.0, min(end - time.monotonic(), threading.TIMEOUT_MAX)))
    if any(_others()):
        end_now(code)
    return code


def wait_for_threads(*, pool: float, others: float) -> None:
    """Let ``leave`` wait longer for threads, until moments of ``time.monotonic``, or ``inf``.

    Args:
        pool: For threads of ``asyncio.to_thread``: what they do is not awaited any more.
        others: For threads that components have started.
    """
    _moments.update(pool=pool, others=others)


def end_now(code: int) -> None:
    """End the process at once; does not return."""
    flushing = threading.Thread(target=_flush, daemon=True)
    flushing.start()
    flushing.join(_PATIENCE_S)
    os._exit(code)


def holds_exit(thread: threading.Thread) -> None:
    """Note a daemon thread that may hold the lock of a standard stream, for ``leave``."""
    _holding.add(thread)


_moments = {"pool": 0.0, "others": 0.0}

_holding: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def _others() -> list[threading.Thread]:
    here = threading.current_thread()
    return [
        one
        for one in threading.enumerate()
        if one is not here and (not one.daemon or one in _holding)
    ]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, full, or not there
            stream.flush()


class StopDeadline:
    """Calls a function at a moment that may move, for a stop that hangs.

    A thread of its own calls it. The main thread may hold the interpreter all the time, as a
    regular expression does for hours; so a timer interrupts it (setitimer(2)), and it sleeps then.
    """

    def __init__(self, give_up: Callable[[], float | None]) -> None:
        """Prepare it; nothing runs before ``set``.

        Args:
            give_up: Returns how many seconds more to wait; ``None`` for no further call.
        """
        self._give_up = give_up
        self._moment = math.inf
        self._thread: threading.Thread | None = None
        self._is_cancelled = False
        self._has_timer = False

    def set(self, seconds: float) -> None:
        """Set the moment, in seconds from now. May be called in a signal handler, and again."""
        # A handler interrupts the main thread anywhere, so it must not wait for a lock.
        self._moment = time.monotonic() + seconds
        if self._thread is None:
            self._thread = threading.Thread(target=self._wait, name="limpet stop", daemon=True)
            self._thread.start()
            self._start_timer()

    @property
    def moment(self) -> float:
        """When it gives up, of ``time.monotonic``; ``inf`` if that is not set."""
        return self._moment

    def cancel(self) -> None:
        """Do not give up any more: the end was reached."""
        self._is_cancelled = True
        if sys.platform != "win32" and self._has_timer:
            with contextlib.suppress(ValueError):  # not the main thread
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _start_timer(self) -> None:
        """Interrupt the main thread regularly, unless the program uses the one timer itself."""
        if sys.platform == "win32" or signal.getsignal(signal.SIGALRM) != signal.SIG_DFL:
            return
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGALRM, self._lend)
            signal.setitimer(signal.ITIMER_REAL, _TICK_S, _TICK_S)
            self._has_timer = True

    def _lend(self, *_: object) -> None:
        """Leave the interpreter to the thread while that gives up."""
        while time.monotonic() >= self._moment and not self._is_cancelled:
            time.sleep(_STEP_S)

    def _wait(self) -> None:
        while not self._is_cancelled:
            if time.monotonic() >= self._moment:
                more = self._give_up()
                self._moment = time.monotonic() + (math.inf if more is None else more)
            time.sleep(_STEP_S)
