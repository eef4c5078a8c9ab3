"""What the shells and the dispatchers need of the synchronous core of a watch.

There are two: ``Watcher`` watches one place, ``WatcherGroup`` several at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from limpet.events import Event, Kind
from limpet.watching._explanation import Explanation


class WaitingHints(Protocol):
    """The hints of one watch, or of all in a group."""

    @property
    def names(self) -> int:
        """Return how many names are to be examined."""

    @property
    def count(self) -> int:
        """Return how many hints wait."""

    @property
    def awaited(self) -> bool:
        """Return whether a consumer waits."""

    @awaited.setter
    def awaited(self, value: bool) -> None: ...

    def __bool__(self) -> bool:
        """Return whether there is any."""


class WatchCore(Protocol):
    """A core: scans when it is called, and keeps what it found until it is handed out."""

    closed: bool

    @property
    def hints(self) -> WaitingHints:
        """Return the hints that wait."""

    @property
    def gather(self) -> float:
        """Return the longest that a change in a burst waits, in seconds."""

    @property
    def waiting(self) -> bool:
        """Return whether there is something to examine or to make ready."""

    @property
    def has_found(self) -> bool:
        """Return whether events wait to be made ready, for which content is read."""

    @property
    def is_ready(self) -> bool:
        """Return whether a consumer should go on without an examination."""

    @property
    def has_work(self) -> bool:
        """Return whether a consumer should go on."""

    @property
    def is_heavy(self) -> bool:
        """Return whether an examination may take long."""

    @property
    def is_forked(self) -> bool:
        """Return whether the caller is a forked child of the process that made it."""

    def start(self) -> None:
        """Mark and list; afterwards every later change is seen."""

    def examine(self, *, force: bool = False, drained: bool = False) -> bool:
        """Compare what hints and timers name with the disk; return whether it was done."""

    def examine_names(self) -> bool:
        """Examine the names that wait, in the event loop; return whether it was done."""

    def pop(self) -> Event | None:
        """Return the next event, if one is ready."""

    def pop_all(self, first: Event | None = None) -> list[Event]:
        """Return all events that are ready, after one that was taken before."""

    def due(self) -> float:
        """Return when an examination is due without a hint, monotonic seconds."""

    def timeout(self) -> float | None:
        """Return the seconds until then; ``None`` is never."""

    def entries(self) -> dict[Path, Kind]:
        """Return what is in the index."""

    def explain(self, path: Path, *, is_dir: bool = False) -> Explanation:
        """Return what would be reported of a path, and why."""

    def count(self) -> int:
        """Return the number of entries in the index."""

    def stop(self) -> None:
        """Ask a scan that is running to stop."""

    def close(self, *, keep_marks: bool = False) -> None:
        """Remove every mark, save the checkpoint, and end."""
