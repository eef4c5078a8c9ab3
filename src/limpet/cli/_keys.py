"""Keys of a terminal, one at a time, without waiting for Enter."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

_NAMES: Final = {"\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down", "\x03": "q"}
_KEY: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|\x1b|.", re.DOTALL)
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
        yield KeyReader(fd).read
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class KeyReader:
    """Reads keys from a terminal; several may arrive at once, and one in two parts."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._text = ""
        """What has arrived and was not returned."""

    def read(self, timeout: float) -> str:
        """Return the next key; empty without one, ``q`` at the end of the input."""
        if not self._text or self._is_partial():
            ready, _, _ = select.select([self._fd], [], [], 0.05 if self._text else timeout)
            if ready:
                data = os.read(self._fd, 64)
                if not data:
                    return "q"
                self._text += data.decode("utf-8", "replace")
        if not self._text:
            return ""
        found = _KEY.match(self._text)
        assert found is not None  # noqa: S101 - it matches any character
        self._text = self._text[found.end() :]
        text = found[0]
        return _NAMES.get(text, "" if text.startswith("\x1b") else text)

    def _is_partial(self) -> bool:
        """Return whether a sequence of a key has begun and not ended."""
        return self._text in {"\x1b", "\x1b[", "\x1bO"}


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
