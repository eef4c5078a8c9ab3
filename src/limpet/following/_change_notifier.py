"""Wakes followers when something happens to their files, by limpet's own watches.

One thread and one kernel instance serve all followers of a process. The thread only waits: what a
watch finds out, and what a slow disk keeps it from finding out, is the affair of the follower's own
thread, so that no follower waits for another's disk.
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
from limpet.watch._watcher import Watcher, make_router

if TYPE_CHECKING:
    from limpet.config import BackendName
    from limpet.events import Kind

__all__ = ["ChangeNotifier", "FollowWatch", "acquire"]

_BURST_S: Final = 0.005
_GATHER_S: Final = 0.002
"""What comes so soon after the last is part of a burst, and is gathered for so long."""


class FollowWatch:
    """One watch of a follower: on a file, or on the folder of a glob."""

    def __init__(
        self, notifier: ChangeNotifier, path: str, kind: Kind, *, recursive: bool, backend: BackendName,
        poll_interval: float,
    ) -> None:  # fmt: skip
        """Know what to watch; see ``start``."""
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
        self.watcher = Watcher(Path(path), options, kind, notifier.hub)
        self._notifier = notifier

    def start(self, tell: Callable[[FollowWatch], None]) -> None:
        """Watch; ``tell`` is called from the alarm's thread when there is something to look at."""
        self.watcher.start()
        self._notifier.add(self.watcher, lambda: tell(self))

    def look(self) -> tuple[set[str] | None, list[Degraded]]:
        """Give the paths something happened to (``None``: any), and what the watch cannot see."""
        watcher = self.watcher
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
        """Whether nothing tells of changes here."""
        choice = self.watcher.choice
        return choice is not None and choice.name == "poll"

    @property
    def network(self) -> bool:
        """Whether it lies on a network, or another file system that others change unseen."""
        choice = self.watcher.choice
        return choice is not None and choice.network

    def close(self) -> None:
        """Watch no more."""
        self._notifier.remove(self.watcher)
        self.watcher.close()


class ChangeNotifier:
    """Waits for the kernel on behalf of all followers of the process."""

    def __init__(self) -> None:
        """Open the hub and start the thread.

        Raises:
            LimitError: The process is out of file descriptors.
        """
        self.hub = make_router()
        self.users = 0
        self.process = os.getpid()
        self._lock = threading.Lock()
        self._tell: dict[Watcher, Callable[[], None]] = {}
        self._told: set[Watcher] = set()
        self._until = 0.0
        self._ended = False
        self._thread = threading.Thread(
            target=self._run, name="limpet follow notifier", daemon=True
        )
        self._thread.start()

    def add(self, watcher: Watcher, tell: Callable[[], None]) -> None:
        """Have ``tell`` called whenever this watch has something to look at."""
        with self._lock:
            self._tell[watcher] = tell
        watcher.hints.awaited = (
            True  # whoever drains the hub for another watch wakes us for this one
        )
        self.hub.wake()

    def remove(self, watcher: Watcher) -> None:
        """Tell of it no more."""
        with self._lock:
            self._tell.pop(watcher, None)
            self._told.discard(watcher)

    def handled(self, watcher: Watcher) -> None:
        """Learn that what was told of a watch has been looked at."""
        with self._lock:
            self._told.discard(watcher)
            sooner = bool(watcher.hints) or watcher.due() < self._until
        if sooner:
            self.hub.wake()

    def close(self) -> None:
        """End the thread and free the hub."""
        self._ended = True
        self.hub.wake()
        self._thread.join()
        self.hub.close()

    def _run(self) -> None:
        last = 0.0
        while not self._ended:
            with self._lock:
                quiet = [watcher for watcher in self._tell if watcher not in self._told]
                until = min((watcher.due() for watcher in quiet), default=math.inf)
                if any(watcher.hints for watcher in quiet):
                    until = 0.0
                self._until = until
            now = time.monotonic()
            if until > now:
                self.hub.wait(None if until == math.inf else until - now)
                now = time.monotonic()
                if now - last < _BURST_S and not self._ended:
                    time.sleep(_GATHER_S)
            if self._ended:
                return
            with contextlib.suppress(OSError):  # it says so again when the watch itself looks
                self.hub.drain(waited=True)
            last = time.monotonic()
            with self._lock:
                news = [
                    watcher
                    for watcher in self._tell
                    if watcher not in self._told and (watcher.hints or watcher.due() <= last)
                ]
                self._told.update(news)
                tells = [self._tell[watcher] for watcher in news]
            for tell in tells:
                tell()


_lock = threading.Lock()
_notifiers: list[ChangeNotifier] = []


def acquire() -> ChangeNotifier:
    """Give the process's alarm, for one more user; see ``release``.

    Raises:
        LimitError: The process is out of file descriptors.
    """
    with _lock:
        if not _notifiers or _notifiers[0].process != os.getpid():
            _notifiers[:] = [ChangeNotifier()]
        _notifiers[0].users += 1
        return _notifiers[0]


def release(notifier: ChangeNotifier) -> None:
    """One user less; with the last one the thread ends."""
    with _lock:
        notifier.users -= 1
        last = not notifier.users
        if last and notifier in _notifiers:
            _notifiers.remove(notifier)
    if last and notifier.process == os.getpid():
        notifier.close()
