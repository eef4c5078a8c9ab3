"""What is to be examined: names of directories, whole directories, and the location itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limpet.watching.index._index import DirNode


@dataclass(slots=True, eq=False)
class Agenda:
    """What one examination must examine, or has left for the next one."""

    names: dict[DirNode, dict[str, int]] = field(default_factory=dict)
    """Directory -> name -> hint bits (0: no hint names it)."""
    listings: set[DirNode] = field(default_factory=set)
    """Directories of which every name is to be examined."""
    location: bool = False
    """The path of the location may lead to something else."""

    def __bool__(self) -> bool:
        return bool(self.names or self.listings)

    def add_name(self, directory: DirNode, name: str, bits: int = 0) -> None:
        names = self.names.setdefault(directory, {})
        names[name] = names.get(name, 0) | bits

    def add_names(self, directory: DirNode, names: dict[str, int]) -> None:
        """Add names with their hints; the mapping is kept where it is the directory's first."""
        there = self.names.get(directory)
        if there is None:
            self.names[directory] = names
        else:
            for name, bits in names.items():
                there[name] = there.get(name, 0) | bits

    def put_off(self, directory: DirNode, names: dict[str, int], *, listing: bool) -> None:
        """Leave names of a directory, or all of it, for the next round."""
        if names:
            self.names.setdefault(directory, {}).update(names)
        if listing:
            self.listings.add(directory)

    def add(self, other: Agenda) -> None:
        """Add all of another one, whose mappings may be kept."""
        for directory, names in other.names.items():
            self.add_names(directory, names)
        self.listings |= other.listings
        self.location |= other.location
