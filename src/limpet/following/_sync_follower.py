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
    from types import TracebackType

    from limpet.following._follow_engine import FollowStats
    from limpet.following._follow_options import FollowOptions

__all__ = ["SyncFollower"]


class SyncFollower:
    """A follower for plain scripts: a context manager, and an iterator of lines that blocks.

    ``for line in limpet.follow(path).sync():`` starts by itself and ends with ``close``. Every
    method belongs to one thread.
    """

    def __init__(self, paths: tuple[str | os.PathLike[str], ...], options: FollowOptions) -> None:
        """Use ``limpet.follow(path).sync()``."""
        self.paths: Final = paths
        self.options: Final = options
        self._worker: FollowThread | None = None
        self._last: Appended | None = None

    def __enter__(self) -> Self:
        """Start: when this returns, every later line is seen."""
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Save what is committed and free everything."""
        self.close()

    def __del__(self) -> None:
        """Free everything if it was left without ``close``."""
        worker, self._worker = getattr(self, "_worker", None), None
        if worker is not None:
            worker.abandon()

    def __iter__(self) -> Iterator[Line]:
        """Give the lines one by one, blocking until there is one."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[Appended]:
        """Give lines in batches."""
        for event in self.events():
            if isinstance(event, Appended):
                yield event
            else:
                report(event)

    def events(self) -> Iterator[FollowEvent]:
        """Give batches and all that happens to the files, in order."""
        while (event := self.next()) is not None:
            yield event

    def next(self, timeout: float | None = None) -> FollowEvent | None:
        """Give the next event; ``None`` if none comes within ``timeout`` seconds, or any more.

        With ``commit="auto"`` this commits the batch that was given before.
        """
        worker = self._start()
        last, self._last = self._last, None
        if last is not None and self.options.commit == "auto":
            last.commit()
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            over = worker.is_over
            event = worker.pop()
            if isinstance(event, Appended):
                self._last = event
            if event is not None:
                return event
            if over:
                if worker.error is not None:
                    raise worker.error
                return None
            ready = threading.Event()
            worker.when_ready(ready.set)
            left = None if end is None else end - time.monotonic()
            if not ready.wait(left if left is None else max(0.0, left)):
                return None

    def fence(self) -> None:
        """Return once all that happened on disk before the call is found."""
        done = threading.Event()
        self._start().fence(done.set)
        done.wait()

    def drain(self) -> None:
        """Have iterations end once all that is there now is delivered."""
        self._start().drain()

    def stats(self) -> FollowStats:
        """Give the figures."""
        return self._start().stats()

    def close(self) -> None:
        """Save what is committed and free everything; may be called twice."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _start(self) -> FollowThread:
        if self._worker is None:
            worker = FollowThread(FollowEngine(self.paths, self.options))
            worker.start()
            self._worker = worker
        return self._worker
