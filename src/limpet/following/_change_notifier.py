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
from limpet.watch import Watcher, make_router

if TYPE_CHECKING:
    from limpet.config import BackendName
    from limpet.events import Kind

__all__ = ["Alarm", "Place", "acquire"]

_BURST_S: Final = 0.005
_GATHER_S: Final = 0.002
"""What comes so soon after the last is part of a burst, and is gathered for so long."""


class Place:
    """One watch of a follower: on a file, or on the folder of a glob."""

    def __init__(
        self, alarm: Alarm, path: str, kind: Kind, *, recursive: bool, backend: BackendName,
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
        self.core = Watcher(Path(path), options, kind, alarm.hub)
        self._alarm = alarm

    def start(self, tell: Callable[[Place], None]) -> None:
        """Watch; ``tell`` is called from the alarm's thread when there is something to look at."""
        self.core.start()
        self._alarm.add(self.core, lambda: tell(self))

    def look(self) -> tuple[set[str] | None, list[Degraded]]:
        """Give the paths something happened to (``None``: any), and what the watch cannot see."""
        core = self.core
        try:
            core.examine()
        finally:
            self._alarm.handled(core)
        paths: set[str] | None = {self.path} if self.kind == "file" else set()
        degraded = []
        for event in core.pop_all():
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
        choice = self.core.choice
        return choice is not None and choice.name == "poll"

    @property
    def network(self) -> bool:
        """Whether it lies on a network, or another file system that others change unseen."""
        choice = self.core.choice
        return choice is not None and choice.network

    def close(self) -> None:
        """Watch no more."""
        self._alarm.remove(self.core)
        self.core.close()


class Alarm:
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
        self._thread = threading.Thread(target=self._run, name="limpet follow alarm", daemon=True)
        self._thread.start()

    def add(self, core: Watcher, tell: Callable[[], None]) -> None:
        """Have ``tell`` called whenever this watch has something to look at."""
        with self._lock:
            self._tell[core] = tell
        core.hints.awaited = True  # whoever drains the hub for another watch wakes us for this one
        self.hub.wake()

    def remove(self, core: Watcher) -> None:
        """Tell of it no more."""
        with self._lock:
            self._tell.pop(core, None)
            self._told.discard(core)

    def handled(self, core: Watcher) -> None:
        """Learn that what was told of a watch has been looked at."""
        with self._lock:
            self._told.discard(core)
            sooner = bool(core.hints) or core.due() < self._until
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
                quiet = [core for core in self._tell if core not in self._told]
                until = min((core.due() for core in quiet), default=math.inf)
                if any(core.hints for core in quiet):
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
                    core
                    for core in self._tell
                    if core not in self._told and (core.hints or core.due() <= last)
                ]
                self._told.update(news)
                tells = [self._tell[core] for core in news]
            for tell in tells:
                tell()


_lock = threading.Lock()
_alarms: list[Alarm] = []


def acquire() -> Alarm:
    """Give the process's alarm, for one more user; see ``release``.

    Raises:
        LimitError: The process is out of file descriptors.
    """
    with _lock:
        if not _alarms or _alarms[0].process != os.getpid():
            _alarms[:] = [Alarm()]
        _alarms[0].users += 1
        return _alarms[0]


def release(alarm: Alarm) -> None:
    """One user less; with the last one the thread ends."""
    with _lock:
        alarm.users -= 1
        last = not alarm.users
        if last and alarm in _alarms:
            _alarms.remove(alarm)
    if last and alarm.process == os.getpid():
        alarm.close()
