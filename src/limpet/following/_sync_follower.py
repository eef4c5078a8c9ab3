"""The synchronous shell of a follower, for scripts without an event loop."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Final, Self

from limpet import _daemon_threads
from limpet.errors import StateFileError
from limpet.following._event_log import report
from limpet.following._follow_engine import FollowEngine
from limpet.following._follow_events import Appended, FollowEvent, Line
from limpet.following._follow_options import FollowOptions
from limpet.following._follow_stats import FollowStats
from limpet.following._follow_thread import FollowThread

IN_MAIN: Final = "follow in the main interpreter, or in a process of its own"
"""The way out that the error of a sub-interpreter names."""


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
        """Start; see ``open``."""
        return self.open()

    def open(self) -> Self:
        """Start without a block; ``close`` is due later. Every later line is seen.

        Raises:
            LimpetError: As ``Follower.aopen``; nothing was started.
        """
        self._start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Save what is committed and free everything.

        Raises:
            StateFileError: The checkpoint could not be saved. An exception that ends the block is
                not replaced by it: it gets a note.
        """
        try:
            self.close()
        except StateFileError as trouble:
            if error is None:
                raise
            error.add_note(str(trouble))

    def __del__(self) -> None:
        """Free everything, if ``close`` was not called."""
        thread, self._thread = getattr(self, "_thread", None), None
        if thread is not None:
            abandon(thread, self)

    def __repr__(self) -> str:
        return f"<SyncFollower {', '.join(repr(os.fspath(path)) for path in self.paths)}>"

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
        last, self._last = self._last, None
        if last is not None and self.options.commit == "auto":
            last.commit()
        thread = self._start()
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

    def commit(self, batch: Appended) -> None:
        """Commit a batch; it is on disk when this returns (as ``durability`` says).

        Raises:
            StateFileError: It could not be saved. It is tried again each second.
        """
        batch.commit()
        self.save()

    def save(self) -> None:
        """Save what is committed by now.

        Raises:
            StateFileError: It could not be saved. It is tried again each second.
        """
        done = threading.Event()
        errors: list[BaseException] = []

        def saved(error: BaseException | None) -> None:
            if error is not None:
                errors.append(error)
            done.set()

        self._start().save(saved)
        done.wait()
        if errors:
            raise errors[0]

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
        """Save what is committed and free everything; may be called twice.

        Raises:
            StateFileError: The checkpoint could not be saved; everything is freed.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def _start(self) -> FollowThread:
        if self._thread is None:
            _daemon_threads.check(self, IN_MAIN)
            thread = FollowThread(FollowEngine(self.paths, self.options))
            thread.start()
            self._thread = thread
        elif not self._thread.is_here:
            raise RuntimeError(forked(self))
        return self._thread


def abandon(thread: FollowThread, owner: object) -> None:
    """Free what a follower left open, and warn; does not block."""
    was_running = thread.is_here and not thread.is_over
    thread.abandon()
    if was_running:
        warnings.warn(f"unclosed {owner!r}", ResourceWarning, stacklevel=3, source=owner)


def forked(owner: object) -> str:
    """Return what is wrong with a follower in a forked child."""
    return (
        f"{owner!r} was started before this process was forked, and reads only in the parent: "
        "make a follower in the child (call limpet.follow after the fork)"
    )
