"""Keys of a terminal, one at a time, without waiting for Enter."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

_NAMES: Final = {"\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down", "\x03": "q"}
_WINDOWS: Final = {"H": "up", "P": "down"}

ReadKey = Callable[[float], str]
"""Waits for a key, a number of seconds at most, and returns its name; empty without one."""


@contextlib.contextmanager
def keys() -> Iterator[ReadKey]:
    """Read keys while the block lasts; the terminal is as before afterwards."""
    if sys.platform == "win32":
        yield _read_on_windows
        return
    import termios
    import tty

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield lambda timeout: _read(fd, timeout)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _read(fd: int, timeout: float) -> str:
    ready, _, _ = select.select([fd], [], [], timeout)
    if not ready:
        return ""
    text = os.read(fd, 16).decode("utf-8", "replace")
    return _NAMES.get(text, text[:1] if not text.startswith("\x1b") else "") or "q" * (not text)


def _read_on_windows(timeout: float) -> str:
    if sys.platform != "win32":
        return ""
    import msvcrt

    end = time.monotonic() + timeout
    while not msvcrt.kbhit():
        left = end - time.monotonic()
        if left <= 0:
            return ""
        time.sleep(min(0.05, left))
    key = msvcrt.getwch()
    if key in {"\x00", "\xe0"}:
        return _WINDOWS.get(msvcrt.getwch(), "")
    return _NAMES.get(key, key)
