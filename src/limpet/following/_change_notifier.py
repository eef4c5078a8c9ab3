"""Wake followers when something happens to their files, by limpet's own watches.

One thread and one set of kernel instances serve all followers of a process. The thread only waits.
What a watch finds, and a slow disk that keeps it from finding it, concern the follower's own thread
alone, so that no follower waits for another one's disk.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.config import WatchOptions
from limpet.events import Degraded, DirEvent, EntryEvent, Rescanned
from limpet.watching import Watcher, make_router

if TYPE_CHECKING:
    from limpet.config import BackendName
    from limpet.events import Kind

_BURST_S: Final = 0.005
_GATHER_S: Final = 0.001
"""Hints that come within ``_BURST_S`` of the last ones are part of a burst, and are gathered for
``_GATHER_S``."""


class FollowWatch:
    """One watch of a follower: on a file, or on a directory."""

    def __init__(
        self,
        notifier: ChangeNotifier,
        path: str,
        kind: Kind,
        *,
        recursive: bool,
        backend: BackendName,
        poll_interval: float,
    ) -> None:
        options = WatchOptions(
            recursive=recursive,
            own="keep",
            metadata=kind == "file",
            default_ignores=False,
            backend=backend,
            poll_interval=poll_interval,
        )
        self.path = path
        self.kind = kind
        self._watcher = Watcher(Path(path), options, kind, notifier.router)
        self._notifier = notifier

    def start(self, notify: Callable[[FollowWatch], None]) -> None:
        """Watch; ``notify`` is called from the notifier's thread when there is work to do."""
        self._watcher.start()
        self._notifier.add(self._watcher, lambda: notify(self))

    def changed_paths(self) -> tuple[set[str] | None, list[Degraded]]:
        """Return the paths that changed (``None``: any may have), and what the watch cannot see."""
        watcher = self._watcher
        try:
            watcher.examine()
        finally:
            self._notifier.handled(watcher)
        paths: set[str] | None = {self.path} if self.kind == "file" else set()
        degraded = []
        for event in watcher.pop_all():
            if isinstance(event, Degraded):
                degraded.append(event)
            elif isinstance(event, Rescanned | DirEvent):
                paths = None
            elif isinstance(event, EntryEvent) and paths is not None:
                paths.add(os.fspath(event.path))
                source = getattr(event, "source", None)
                if source is not None:
                    paths.add(os.fspath(source))
        return paths, degraded

    @property
    def polls(self) -> bool:
        """Return whether the system reports no changes here."""
        choice = self._watcher.choice
        return choice is not None and choice.name == "poll"

    @property
    def on_network(self) -> bool:
        """Return whether others can change the path unseen, as on a network file system."""
        choice = self._watcher.choice
        return choice is not None and choice.network

    def close(self) -> None:
        self._notifier.remove(self._watcher)
        self._watcher.close()


class ChangeNotifier:
    """Waits for the kernel on behalf of all followers of the process."""

    def __init__(self) -> None:
        """Open the router of hints and start the thread.

        Raises:
            LimitError: The process is out of file descriptors.
        """
        self.router = make_router()
        self.users = 0
        self.process = os.getpid()
        self._lock = threading.Lock()
        self._notify: dict[Watcher, Callable[[], None]] = {}
        self._notified: set[Watcher] = set()
        """Watchers that were notified and have not examined their hints yet."""
        self._waits_until = 0.0
        self._ended = False
        self._thread = threading.Thread(
            target=self._run, name="limpet follow notifier", daemon=True
        )
        self._thread.start()

    def add(self, watcher: Watcher, notify: Callable[[], None]) -> None:
        """Call ``notify`` from now on whenever this watcher has hints or is due."""
        with self._lock:
            self._notify[watcher] = notify
        watcher.hints.awaited = True  # a watcher that drains the router for itself wakes us too
        self.router.wake()

    def remove(self, watcher: Watcher) -> None:
        """Stop notifying a watcher."""
        with self._lock:
            self._notify.pop(watcher, None)
            self._notified.discard(watcher)

    def handled(self, watcher: Watcher) -> None:
        """Note that a watcher has examined its hints."""
        with self._lock:
            self._notified.discard(watcher)
            sooner = bool(watcher.hints) or watcher.due() < self._waits_until
        if sooner:
            self.router.wake()

    def close(self) -> None:
        """End the thread and close the router."""
        self._ended = True
        self.router.wake()
        self._thread.join()
        self.router.close()

    def _run(self) -> None:
        last = 0.0
        while not self._ended:
            self._wait(last)
            if self._ended:
                return
            with contextlib.suppress(OSError):  # raised again when the watcher itself examines
                self.router.drain(waited=True)
            last = time.monotonic()
            with self._lock:
                ready = [w for w in self._quiet() if w.hints or w.due() <= last]
                self._notified.update(ready)
                calls = [self._notify[watcher] for watcher in ready]
            for notify in calls:
                notify()

    def _quiet(self) -> list[Watcher]:
        return [watcher for watcher in self._notify if watcher not in self._notified]

    def _wait(self, last: float) -> None:
        """Wait for hints, or until a watcher is due; gather what comes in a burst."""
        with self._lock:
            quiet = self._quiet()
            until = min((watcher.due() for watcher in quiet), default=math.inf)
            if any(watcher.hints for watcher in quiet):
                until = 0.0
            self._waits_until = until
        now = time.monotonic()
        if until > now:
            self.router.wait(None if until == math.inf else until - now)
            if time.monotonic() - last < _BURST_S and not self._ended:
                time.sleep(_GATHER_S)


_lock = threading.Lock()
_notifiers: list[ChangeNotifier] = []


def acquire() -> ChangeNotifier:
    """Return the notifier of the process, for one more user; see ``release``.

    Raises:
        LimitError: The process is out of file descriptors.
    """
    with _lock:
        if not _notifiers or _notifiers[0].process != os.getpid():
            _notifiers[:] = [ChangeNotifier()]
        _notifiers[0].users += 1
        return _notifiers[0]


def release(notifier: ChangeNotifier) -> None:
    """Remove one user; with the last one the thread ends."""
    with _lock:
        notifier.users -= 1
        last = not notifier.users
        if last and notifier in _notifiers:
            _notifiers.remove(notifier)
    if last and notifier.process == os.getpid():
        notifier.close()
