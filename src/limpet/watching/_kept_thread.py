"""Runs work in daemon threads, and keeps one of them for what comes next.

To start a thread takes two hundred microseconds and more, because its starter waits until it runs;
to wake one takes fifty (measured). A thread whose disk does not answer stays with it, and
another one is started for the next work.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class _Shared:
    """What the threads know; they do not refer to the keeper, so it can be freed."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self.lock = threading.RLock()  # the garbage collector may free a keeper at any point
        self.is_one_idle = False
        self.is_closed = False


class ThreadKeeper:
    """Starts threads as they are needed, and keeps one that has nothing to do."""

    def __init__(self, name: str) -> None:
        """Start none yet; ``name`` is that of the threads."""
        self._name = name
        self._shared = _Shared()

    def run(self, work: Callable[[], object]) -> None:
        """Do work in a thread; it must not raise."""
        shared = self._shared
        with shared.lock:
            is_one_idle, shared.is_one_idle = shared.is_one_idle, False
        if is_one_idle:
            shared.queue.put(work)
        else:
            threading.Thread(
                target=_serve, args=(shared, work), name=self._name, daemon=True
            ).start()

    def close(self) -> None:
        """Let the thread end that has nothing to do, and any other after its work."""
        with self._shared.lock:
            self._shared.is_closed = True
            is_one_idle, self._shared.is_one_idle = self._shared.is_one_idle, False
        if is_one_idle:
            self._shared.queue.put(None)

    def __del__(self) -> None:
        """Keep no thread for a keeper that was not closed."""
        self.close()


def _serve(shared: _Shared, work: Callable[[], object] | None) -> None:
    while work is not None:
        work()
        work = None  # what it refers to may be freed while nothing comes
        with shared.lock:
            if shared.is_closed or shared.is_one_idle:
                return
            shared.is_one_idle = True
        work = shared.queue.get()
