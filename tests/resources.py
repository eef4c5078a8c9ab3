"""What a test leaves behind in its process: threads and descriptors."""

from __future__ import annotations

import os
import threading

__all__ = ["Resources"]


class Resources:
    """limpet's threads and all descriptors of this process, as they are when it is made.

    What was there before may end at any time (a thread of an earlier test that waited for a disk),
    so only what came since counts.
    """

    def __init__(self) -> None:
        self._threads = _threads()
        self._descriptors = _descriptors()

    def threads_left(self) -> list[str]:
        """Return the names of limpet's threads that came since and run still."""
        return [one.name for one in _threads() - self._threads]

    def left(self) -> list[str]:
        """Return what came since and is still there: names of threads, targets of descriptors."""
        threads = self.threads_left()
        now = _descriptors()
        if len(now) <= len(self._descriptors):
            return threads  # a number that is used again for something else is no leak
        return threads + [f"{fd}: {now[fd]}" for fd in now.keys() - self._descriptors.keys()]

    def is_as_before(self) -> bool:
        """Return whether nothing is left."""
        return not self.left()

    def text(self) -> str:
        """Return what is left, for the message of a test."""
        return f"left behind: {', '.join(self.left())}"


def _threads() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name.startswith("limpet")}


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # that of the listing itself
    return found
