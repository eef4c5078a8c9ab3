"""The core of a watch whose clock is another one, for tests in which no time passes by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from limpet.events import Event
from limpet.watching._keywords import options_of_place
from limpet.watching._selection import selection
from limpet.watching._watcher import Watcher, make_router
from limpet.watching.index._fs import FileSystemCalls, PathSystemCalls, default_disk


class _ClockedCalls(FileSystemCalls):
    """The calls of this system, but for the clock that is never set."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def monotonic(self) -> float:
        return self._clock()


class _ClockedPathCalls(_ClockedCalls, PathSystemCalls):
    """The same for systems whose directories have no descriptors."""


def watcher_by_clock(
    clock: Callable[[], float],
    location: Path,
    options: Mapping[str, Any],
    *,
    types: type | Iterable[type] | None = None,
    only: Callable[[Event], object] | None = None,
) -> Watcher:
    """Return a core that has not started, and takes its moments from a clock in seconds.

    Raises:
        UsageError: As ``watch_dir``.
    """
    checked, chosen = options_of_place(options, "dir"), selection(types, only)
    by_paths = isinstance(default_disk(), PathSystemCalls)
    disk = _ClockedPathCalls(clock) if by_paths else _ClockedCalls(clock)
    return Watcher(location, checked, "dir", make_router(), disk, selection=chosen)
