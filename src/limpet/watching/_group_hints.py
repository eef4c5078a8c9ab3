"""The pending hints of several places, as if they were those of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limpet.backends import PendingHints


class GroupHints:
    """What the dispatcher asks of a watch's hints, of all places of a group."""

    def __init__(self) -> None:
        self.parts: list[PendingHints] = []
        """Replaced as a whole."""
        self._awaited = False

    def __bool__(self) -> bool:
        return any(self.parts)

    @property
    def names(self) -> int:
        """Return how many names are to be examined."""
        return sum(one.names for one in self.parts)

    @property
    def count(self) -> int:
        """Return how many hints wait."""
        return sum(one.count for one in self.parts)

    @property
    def awaited(self) -> bool:
        """Return whether a consumer of the group waits."""
        return self._awaited

    @awaited.setter
    def awaited(self, value: bool) -> None:
        self._awaited = value
        for one in self.parts:
            one.awaited = value
