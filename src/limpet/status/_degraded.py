"""The paths at which a watch sees less than it should, from the events that say so."""

from __future__ import annotations

from typing import Final

from limpet.events import Degraded, Recovered

_MOST: Final = 100
"""Paths that are kept."""


class DegradedPaths(dict[str, str]):
    """Path -> the reason."""

    def note(self, event: object) -> None:
        """Take a path up that is degraded, and drop one that has recovered."""
        if isinstance(event, Degraded):
            if len(self) < _MOST:
                self[str(event.path)] = event.message
        elif isinstance(event, Recovered):
            self.pop(str(event.path), None)
