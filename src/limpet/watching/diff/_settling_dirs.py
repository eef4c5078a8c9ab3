"""Settling directories: which new directories are not yet finished, and when each may be.

Only the topmost of what came together is kept, by directory node, so a renamed one is carried along
and one that is deleted is forgotten. With every difference, and every hint at or below it, its
quiet time begins again. What is done once that is over is decided in ``_settled.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from limpet.watching.diff._agenda import Agenda


@dataclass(slots=True, eq=False, repr=False)
class _Settling:
    """One directory that came."""

    due: float
    """When it is quiet for long enough, monotonic seconds."""
    existing: bool
    """It was there when the watch began."""


class SettlingDirs:
    """The new directories of one watch that are not yet finished."""

    def __init__(self, quiet: float) -> None:
        """Keep each until nothing happened in it for ``quiet`` seconds; 0 keeps none."""
        self.quiet = quiet
        self._dirs: dict[DirNode, _Settling] = {}

    def __bool__(self) -> bool:
        """Return whether there is one."""
        return bool(self._dirs)

    def add(self, directory: DirNode, now: float, *, existing: bool = False) -> None:
        """Keep a directory that came, unless it is inside another one that came."""
        if self.quiet and next(self._at_or_above(directory), None) is None:
            self._dirs[directory] = _Settling(now + self.quiet, existing)

    def carry(self, directory: DirNode, source: DirNode, now: float) -> None:
        """Record that a directory was renamed; ``source`` is its former parent.

        A directory that has left an unfinished one is not finished either, and is kept by itself.
        """
        above = next(self._at_or_above(source), None)
        if above is not None:
            self.add(directory, now, existing=above.existing)
        self.disturb(directory, now)

    def disturb(self, directory: DirNode, now: float) -> None:
        """Record that something happened in a directory."""
        for one in self._at_or_above(directory):
            one.due = now + self.quiet

    def disturb_all(self, now: float) -> None:
        """Record that something may have happened anywhere."""
        for one in self._dirs.values():
            one.due = now + self.quiet

    def note_hints(self, agenda: Agenda, now: float) -> None:
        """Record that something happened where the hints are that were taken to an agenda."""
        for directory in agenda.listings:
            self.disturb(directory, now)
        for directory, names in agenda.names.items():
            self.disturb(directory, now)
            for name in names:
                entry = directory.entries.get(name)
                if isinstance(entry, DirNode):
                    self.disturb(entry, now)

    def note_differences(self, refs: Iterable[tuple[DirNode, str]], now: float) -> None:
        """Record that something happened where one examination found differences."""
        for directory in {directory for directory, _ in refs}:
            self.disturb(directory, now)

    def put_off(self, directory: DirNode, until: float) -> None:
        """Decide later: something is not known yet."""
        self._dirs[directory].due = until

    def forget(self, directory: DirNode) -> bool | None:
        """Keep it no longer; return whether it was there when the watch began."""
        one = self._dirs.pop(directory, None)
        return None if one is None else one.existing

    def due(self, now: float) -> list[DirNode]:
        """Return those whose quiet time is over, in the order in which they came."""
        return [directory for directory, one in self._dirs.items() if one.due <= now]

    def deadline(self) -> float | None:
        """Return when the next one may be finished, monotonic seconds."""
        return min((one.due for one in self._dirs.values()), default=None)

    def kept(self) -> dict[DirNode, bool]:
        """Return what a checkpoint needs: directory -> it was there when the watch began."""
        return {directory: one.existing for directory, one in self._dirs.items()}

    def restore(self, kept: Mapping[DirNode, bool], now: float) -> None:
        """Keep again those of a checkpoint."""
        if self.quiet:
            for directory, existing in kept.items():
                self._dirs[directory] = _Settling(now + self.quiet, existing)

    def _at_or_above(self, directory: DirNode) -> Iterator[_Settling]:
        here: DirNode | None = directory
        while here is not None and self._dirs:
            one = self._dirs.get(here)
            if one is not None:
                yield one
            here = here.parent
