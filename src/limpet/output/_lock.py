"""Waits for a file's advisory lock, for a limited time."""

from __future__ import annotations

from typing import Final

from limpet._backoff import Backoff
from limpet.output._refusals import RefusalError
from limpet.output._syscalls import Syscalls

_FIRST_S: Final = 0.0005
_LONGEST_S: Final = 0.05


def wait_for_lock(calls: Syscalls, fd: int, timeout: float) -> None:
    """Take the lock of an open file; closing the descriptor releases it.

    Raises:
        RefusalError: ``busy``: another process held it for ``timeout`` seconds.
        OSError: The file system has no locks.
    """
    if calls.lock(fd):
        return
    end = calls.monotonic() + timeout
    delays = Backoff(_FIRST_S, _LONGEST_S)
    while calls.monotonic() < end:
        calls.pause(delays.next())
        if calls.lock(fd):
            return
    why = f"another process has held its lock for {timeout:g} seconds"
    raise RefusalError("busy", why)
