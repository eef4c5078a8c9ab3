"""Signals that end or reload a program with an event loop, taken even while the loop is blocked.

``loop.add_signal_handler`` calls back from the loop, so that what blocks the loop holds up every
signal. Python's own handlers run in the main thread between any two instructions. Windows has
SIGINT (Ctrl-C) and SIGBREAK (Ctrl-Break, and a console that closes); its event loop is woken by
them without being asked (``signal.set_wakeup_fd``).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import Final, Self, TypeVarTuple

from limpet._console import SIGBREAK, console_close_taken

Args = TypeVarTuple("Args")

SIGHUP: Final[int | None] = getattr(signal, "SIGHUP", None)
"""The number; ``None`` where there is no such signal."""

STOPS: Final = tuple(
    number for number in (signal.SIGINT, signal.SIGTERM, SIGHUP, SIGBREAK) if number is not None
)
"""What ends a program here; SIGHUP may mean something else, too."""


class SignalHandlers:
    """Takes SIGINT, SIGTERM, SIGHUP and SIGBREAK while its block lasts, those there are."""

    def __init__(self, react: Callable[[int], None], *, takes_ignored: bool = False) -> None:
        """Prepare it; nothing is taken before the block.

        Args:
            react: Called with the number, in the main thread, wherever that is just then.
            takes_ignored: Take SIGHUP even if the parent process ignores it for us. The others stay
                ignored then.
        """
        self._react = react
        self._takes_ignored = takes_ignored
        self._loop: asyncio.AbstractEventLoop | None = None
        self._restoring = contextlib.ExitStack()
        self.taken: list[int] = []
        """The signals that are taken; none outside the main thread."""

    def __enter__(self) -> Self:
        """Take the signals."""
        for number in STOPS:
            before = signal.getsignal(number)
            if before is signal.SIG_IGN and not (number == SIGHUP and self._takes_ignored):
                continue
            try:
                signal.signal(number, self._handle)
            except ValueError:  # not the main thread
                break
            self._restoring.callback(signal.signal, number, before or signal.SIG_DFL)
            self.taken.append(number)
        if SIGBREAK in self.taken:
            self._restoring.enter_context(console_close_taken())
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the earlier handlers."""
        self._restoring.close()

    def attach(self) -> None:
        """Let signals wake the running event loop; called in it."""
        self._loop = asyncio.get_running_loop()
        for number in self.taken:
            with contextlib.suppress(NotImplementedError):  # on Windows it is woken as it is
                self._loop.add_signal_handler(number, _ignore)  # sets the descriptor that wakes it
            signal.signal(number, self._handle)

    def in_loop(self, call: Callable[[*Args], object], *args: *Args) -> None:
        """Call a function in the event loop, soon, once there is one."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(call, *args)

    def _handle(self, number: int, _frame: object) -> None:
        self._react(number)


def _ignore() -> None:
    """Do nothing: the signal has woken the loop, and the handler has done the rest."""
