"""The synchronous shell of a follower, for scripts without an event loop."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final, Self

from limpet.following._event_log import report
from limpet.following._follow_engine import FollowEngine
from limpet.following._follow_events import Appended, FollowEvent, Line
from limpet.following._follow_thread import FollowThread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limpet.following._follow_engine import FollowStats
    from limpet.following._follow_options import FollowOptions


class SyncFollower:
    """A follower for plain scripts: a context manager, and an iterator of lines that blocks.

    ``for line in limpet.follow(path).sync():`` starts by itself and ends with ``close``. All
    methods must be called from one thread.
    """

    def __init__(self, paths: tuple[str | os.PathLike[str], ...], options: FollowOptions) -> None:
        self.paths: Final = paths
        self.options: Final = options
        self._thread: FollowThread | None = None
        self._last: Appended | None = None

    def __enter__(self) -> Self:
        """Start: when this returns, every later line is seen."""
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """Save what is committed and free everything."""
        self.close()

    def __del__(self) -> None:
        """Free everything, if ``close`` was not called."""
        thread, self._thread = getattr(self, "_thread", None), None
        if thread is not None:
            thread.abandon()

    def __iter__(self) -> Iterator[Line]:
        """Yield lines, blocking until there is one."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[Appended]:
        """Yield lines in batches."""
        for event in self.events():
            if isinstance(event, Appended):
                yield event
            else:
                report(event)

    def events(self) -> Iterator[FollowEvent]:
        """Yield batches and everything that happens to the files, in order."""
        while (event := self.next()) is not None:
            yield event

    def next(self, timeout: float | None = None) -> FollowEvent | None:
        """Return the next event; ``None`` after ``timeout`` seconds, or when nothing more comes.

        With ``commit="auto"`` this commits the batch that was returned before.
        """
        thread = self._start()
        last, self._last = self._last, None
        if last is not None and self.options.commit == "auto":
            last.commit()
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            over = thread.is_over
            event = thread.pop()
            if isinstance(event, Appended):
                self._last = event
            if event is not None:
                return event
            if over:
                if thread.error is not None:
                    raise thread.error
                return None
            ready = threading.Event()
            thread.when_ready(ready.set)
            left = None if end is None else end - time.monotonic()
            if not ready.wait(left if left is None else max(0.0, left)):
                return None

    def fence(self) -> None:
        """Return once everything that happened on disk before the call is found."""
        done = threading.Event()
        self._start().fence(done.set)
        done.wait()

    def drain(self) -> None:
        """End every iteration once everything that is there now is delivered."""
        self._start().drain()

    def stats(self) -> FollowStats:
        """Return the figures."""
        return self._start().stats()

    def close(self) -> None:
        """Save what is committed and free everything; may be called twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def _start(self) -> FollowThread:
        if self._thread is None:
            thread = FollowThread(FollowEngine(self.paths, self.options))
            thread.start()
            self._thread = thread
        return self._thread
