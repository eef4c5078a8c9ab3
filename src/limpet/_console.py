"""The console of Windows: its closing, taken as a signal in time, and Ctrl-Break for others.

Windows tells a program that its console is closed, or that the user logs off or the system shuts
down, by calling a function of it in a thread of its own, and ends the program as soon as that
function returns, at the latest after some five seconds (SetConsoleCtrlHandler and HandlerRoutine,
learn.microsoft.com). The C runtime makes SIGBREAK of it and returns at once, which leaves a stop no
time. So this is asked first, and waits. Ctrl-C and Ctrl-Break are left to the C runtime.

``taskkill`` without ``/F`` posts WM_CLOSE, which a program of the console has no window for: it
gets nothing. ``taskkill /F`` ends it without any notice.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

_ENDS: Final = frozenset((2, 5, 6))
"""CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT and CTRL_SHUTDOWN_EVENT (wincon.h)."""

IN_ORDER_S: Final = 1.5
"""How long a clean stop may take; then a second signal stops at once, which stores what is not
processed. That takes two seconds and the disk's time, and the system gives five
(SPI_GETHUNGAPPTIMEOUT, if nobody set another)."""

HELD_S: Final = 30.0
"""How long the system is held off: longer than it waits, and not for ever."""

SIGBREAK: Final[int | None] = getattr(signal, "SIGBREAK", None)
"""The number; ``None`` where there is no such signal."""


class ConsoleClose:
    """Reacts to what the console says; called in a thread of the system."""

    def __init__(self, trip: Callable[[], object], wait: Callable[[float], object]) -> None:
        """Prepare it.

        Args:
            trip: Delivers SIGBREAK to the main thread.
            wait: Waits for some seconds, which the end of the process cuts short.
        """
        self._trip = trip
        self._wait = wait
        self.users = 0
        """How many want it now; without one the system does as if there were no handler."""

    def __call__(self, event: int) -> bool:
        """Return whether the event is taken; of one that ends the program, as late as possible."""
        if event not in _ENDS or not self.users:
            return False
        self._trip()
        self._wait(IN_ORDER_S)
        self._trip()
        self._wait(HELD_S - IN_ORDER_S)
        return True


if sys.platform == "win32":

    def send_break(group: int) -> bool:
        """Send Ctrl-Break to a process group; return False if there is no console for it.

        Not by ``os.kill``: before Python 3.12 that ends the process where this fails.
        """
        kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.GenerateConsoleCtrlEvent.argtypes = [ctypes.c_uint32, ctypes.c_uint32]
        return bool(kernel.GenerateConsoleCtrlEvent(signal.CTRL_BREAK_EVENT, group))

    @cache
    def _registered() -> ConsoleClose:
        """Return what the system calls, once and for all.

        It is never taken back: the system holds a lock while it calls a handler, which
        SetConsoleCtrlHandler waits for, and so would the end of a stop (seen in Wine).
        """
        kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)
        routine = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint32)
        kernel.SetConsoleCtrlHandler.argtypes = [routine, ctypes.c_int]
        close = ConsoleClose(lambda: _thread.interrupt_main(signal.SIGBREAK), time.sleep)
        _kept.append(routine(close))
        kernel.SetConsoleCtrlHandler(_kept[-1], 1)
        return close

    _kept: list[Any] = []
    """What the system calls, which nothing else refers to."""

    @contextlib.contextmanager
    def console_close_taken() -> Iterator[None]:
        """Deliver SIGBREAK, whose handler must be set, when the console closes."""
        close = _registered()
        close.users += 1
        try:
            yield
        finally:
            close.users -= 1
else:

    def send_break(group: int) -> bool:  # noqa: ARG001 - as the other
        """Return False: there is no such thing here."""
        return False

    @contextlib.contextmanager
    def console_close_taken() -> Iterator[None]:
        """Do nothing: a terminal that closes sends SIGHUP here."""
        yield
