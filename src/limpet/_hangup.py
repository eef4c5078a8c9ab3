"""What SIGHUP means: the terminal is gone, or somebody asks for a reload.

A terminal that closes sends it to its programs, which must end: nobody sees them any more. A
service manager sends it to a program without a terminal, which then reads its configuration again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any, Final

_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_NONBLOCK", 0)
_NUMBER: Final[int | None] = getattr(signal, "SIGHUP", None)


def _terminal_opens() -> bool:
    """Return whether the process has a controlling terminal, which still exists.

    tty(4): opening ``/dev/tty`` fails with ENXIO without one, even after a hang-up.
    """
    try:
        handle = os.open("/dev/tty", _FLAGS)
    except OSError:
        return False
    os.close(handle)
    return True


class Hangup:
    """What SIGHUP means for this process, by how it was started."""

    def __init__(self) -> None:
        """Note how the process was started."""
        self.is_ignored = False
        """Whether the parent process ignores it for us, as ``nohup`` does."""
        if _NUMBER is not None:
            self.is_ignored = signal.getsignal(_NUMBER) is signal.SIG_IGN
        self._had_terminal = _NUMBER is not None and _terminal_opens()
        self._is_interactive = False
        with contextlib.suppress(AttributeError, ValueError, OSError):
            self._is_interactive = self._had_terminal and sys.stdin.isatty()
        self.came = False
        """Whether it came before the program could take it."""

    @property
    def is_end(self) -> bool:
        """Return whether SIGHUP, now, says that the terminal is gone."""
        if self.is_ignored:
            return False
        return self._is_interactive or (self._had_terminal and not _terminal_opens())

    def hold(self) -> None:
        """Note a SIGHUP instead of ending at it, until the program takes it.

        RACE: before the interpreter runs this, some 20 ms after exec, SIGHUP ends the process;
        nothing was started then.
        """
        if _NUMBER is None or self.is_ignored or self._is_interactive:
            return
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(_NUMBER, self._note)

    def _note(self, *_: Any) -> None:  # noqa: ANN401 - the number and the frame
        self.came = True


_held: list[Hangup] = []


def hold_hangup() -> None:
    """Hold SIGHUP until ``hangup`` is asked for; called first thing by a program that reloads."""
    held = Hangup()
    _held[:] = [held]
    held.hold()


def hangup() -> Hangup:
    """Return what SIGHUP means, and whether it came since ``hold_hangup``."""
    return _held.pop() if _held else Hangup()
