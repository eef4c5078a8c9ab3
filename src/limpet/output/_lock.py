"""Waits for a file's advisory lock, for a while."""

from __future__ import annotations

from typing import Final

from limpet.output._refusals import RefusalError
from limpet.output._syscalls import Sys

__all__ = ["take"]

_FIRST_S: Final = 0.0005
_MOST_S: Final = 0.05


def take(calls: Sys, fd: int, patience: float) -> None:
    """Take the lock of an open file; it goes with the descriptor.

    Raises:
        RefusalError: ``busy``: somebody else held it for ``patience`` seconds.
        OSError: The file system has no locks.
    """
    if calls.lock(fd):
        return
    end = calls.monotonic() + patience
    wait = _FIRST_S
    while calls.monotonic() < end:
        calls.pause(min(wait, _MOST_S))
        wait *= 2
        if calls.lock(fd):
            return
    why = f"somebody else has held its lock for {patience:g} seconds"
    raise RefusalError("busy", why)
