"""One ignore file for the whole tree, given by its absolute path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.watching.diff._ignore_files import read_patterns
from limpet.watching.location._path_marks import PathMarks

if TYPE_CHECKING:
    from limpet.watching.emit._services import WatchServices
    from limpet.watching.index._filter import Filter
    from limpet.watching.location._path_marks import Waypoint


class OuterIgnoreFile:
    """An ignore file that may be outside of the tree.

    The way to it is marked as the way to a watched file is, so that it may be missing, replaced, or
    reached through symlinks.
    """

    def __init__(self, services: WatchServices, path: str, rules: Filter) -> None:
        self.stale = True
        """It may have changed since it was read."""
        self._path = path
        self._rules = rules
        self._marks = PathMarks(services, content=True, path=path)

    @property
    def is_blind(self) -> bool:
        """Return whether no hint comes when it changes."""
        return self._marks.blind or self._marks.unstable

    def take_hint(self, waypoint: Waypoint, names: dict[str, int]) -> bool:
        """Take a hint about the way to it; return False if the hint is about another way."""
        if not self._marks.has(waypoint):
            return False
        concerns = self._marks.concerns
        self.stale |= any(concerns(waypoint, name, bits) for name, bits in names.items())
        return True

    def update(self) -> bool:
        """Read it again; return whether its patterns changed."""
        self.stale = False
        self._marks.update()
        return self._rules.set_ignore_file("", read_patterns(self._path))

    def close(self) -> None:
        """Remove every mark."""
        self._marks.close()
