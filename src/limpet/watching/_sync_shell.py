"""The synchronous shell of a watch, for scripts without an event loop."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from limpet._option_fields import path_of
from limpet.backends import HintRouter
from limpet.errors import StateFileError
from limpet.events import Event, Kind
from limpet.watching._explanation import Explanation, is_folder
from limpet.watching._watcher import make_router

if TYPE_CHECKING:
    from limpet.watching._watch_core import WatchCore

Core = TypeVar("Core", bound="WatchCore")


class SyncShell(Generic[Core]):
    """The synchronous form of a watch: a context manager, and an iterator that blocks.

    Every method belongs to one thread, but for ``wake`` and ``stop``.
    """

    def __init__(self) -> None:
        self._core: Core | None = None
        self._router: HintRouter | None = None
        self._closed = False
        self._woken = False
        """Another thread wants a blocked ``next`` to return."""

    def _make_core(self, router: HintRouter) -> Core:
        """Return a core for one run."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Start; see ``open``."""
        return self.open()

    def open(self) -> Self:
        """Start without a block; ``close`` is due later. Every later change is seen."""
        self._closed = False
        self._start()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Stop and free everything.

        Raises:
            StateFileError: As ``Watch.__aexit__``.
        """
        try:
            self.close()
        except StateFileError as trouble:
            if error is None:
                raise
            error.add_note(str(trouble))

    def __del__(self) -> None:
        """Free everything if the loop over the events ended without ``close``."""
        if not sys.is_finalizing():  # then threads cannot be joined (Python 3.14), and all is freed
            self.close()

    def __iter__(self) -> Iterator[Event]:
        """Iterate over events; start if it is not running."""
        self._closed = False
        self._start()
        return self

    def __next__(self) -> Event:
        """Return the next event; block until there is one."""
        while not self._closed:
            event = self.next()
            if event is not None:
                return event
            if self._core is None or self._core.closed:
                break
        raise StopIteration

    def wake(self) -> None:
        """Let a ``next`` that blocks in another thread return ``None`` now; if none does, the next.

        A ``for`` loop goes on waiting. May be called from any thread.
        """
        self._woken = True
        router = self._router
        if router is not None:
            router.wake()

    def stop(self) -> None:
        """End every iteration over the events; what is ready is still handed out.

        May be called from any thread, and does nothing if the watch is not running; ``close``
        belongs to the thread that has started it.
        """
        core, router = self._core, self._router
        if core is not None and router is not None:
            core.stop()
            router.wake()

    def next(self, timeout: float | None = None) -> Event | None:
        """Return the next event, or ``None`` if none comes within ``timeout`` seconds.

        Also ``None`` once the watch is stopped, and after a ``wake``.

        Raises:
            RuntimeError: The watch was closed. One that is closed meanwhile returns ``None``.
        """
        if self._closed:
            message = f"{self!r} is closed: use it in 'with'"
            raise RuntimeError(message)
        core, router = self._start()
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            event = core.pop()
            if event is not None or core.closed:
                return event
            if self._woken:
                self._woken = False
                return None
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return None
            if not core.waiting:
                due = core.timeout()
                if due is None or due > 0:
                    router.wait(min((t for t in (due, left) if t is not None), default=None))
            core.examine()

    def batches(self) -> Iterator[list[Event]]:
        """Iterate over lists of events; block until there are some."""
        core, _ = self._start()
        while not self._closed:
            event = self.next()
            if event is not None:
                yield core.pop_all(event)
            elif core.closed:
                return

    def fence(self) -> list[Event]:
        """Return the events of all that happened before the call and were not returned yet."""
        core, _ = self._start()
        core.examine(force=True)
        return core.pop_all()

    def entries(self) -> dict[Path, Kind]:
        """Return what is in the index now, the target included."""
        return self._start()[0].entries()

    def explain(self, path: str | os.PathLike[str]) -> Explanation:
        """Return why an event for a path would come, or would not; see ``Watch.explain``."""
        return self._start()[0].explain(path_of("path", path), is_dir=is_folder(path))

    def close(self) -> None:
        """Stop and free everything; may be called twice.

        Raises:
            StateFileError: The state could not be saved; all else is done.
        """
        self._closed = True
        core, self._core = self._core, None
        router, self._router = self._router, None
        try:
            if core is not None:
                core.close(keep_marks=True)
        finally:
            if router is not None:
                router.close()

    def _start(self) -> tuple[Core, HintRouter]:
        if self._core is not None and self._core.is_forked:
            message = (
                f"{self!r} belongs to the process that this one is a fork of: start one here, "
                "after the fork"
            )
            raise RuntimeError(message)
        if self._core is None or self._router is None:
            self._router = make_router()
            self._core = self._make_core(self._router)
            try:
                self._core.start()
            except BaseException:
                self.close()
                raise
        return self._core, self._router
