"""The belief: which entries are on disk below a location, as a tree of folders.

A folder maps each name to a record (``_record.py``) or to another folder; a renamed folder moves
with all below it by changing one reference. Paths are built by walking up, only when somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.backends import Subscriber
from limpet.watch.index._entry_record import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limpet.backends import Mark
    from limpet.events import Kind

__all__ = ["Entry", "Folder", "Index"]


class Folder(Subscriber):
    """A folder that is watched, what it holds, and how it is watched."""

    __slots__ = (
        "blind",
        "device",
        "entries",
        "inode",
        "link",
        "mark",
        "name",
        "parent",
        "record",
        "seen",
    )

    def __init__(
        self, name: str, parent: Folder | None, inode: int, device: int, record: bytes
    ) -> None:
        """Start empty, unmarked and attached to nothing."""
        self.name = name
        self.parent = parent
        self.inode = inode
        """0 once the kernel has said that the folder is gone."""
        self.device = device
        self.record = record
        self.entries: dict[str, Entry] = {}
        self.seen = 0
        """When it was last listed, nanoseconds of the system's clock; 0 is never."""
        self.mark: Mark | None = None
        """How the kernel tells of it; ``None`` means it must be polled."""
        self.blind: str | None = None
        """Why its content cannot be seen now (a ``DegradedReason``), or ``None``."""
        self.link = 0
        """Inode of the symlink through which it is reached, 0 for a folder reached directly."""

    def __repr__(self) -> str:
        """Show where it stands."""
        return f"Folder({self.relative() or '.'})"

    def relative(self) -> str:
        """Path below the location, ``""`` for the location itself."""
        parts = []
        folder = self
        while folder.parent is not None:
            parts.append(folder.name)
            folder = folder.parent
        parts.reverse()
        return "/".join(parts)

    def depth(self) -> int:
        """Count the folders above."""
        count = 0
        folder = self
        while folder.parent is not None:
            count += 1
            folder = folder.parent
        return count

    def lies_in(self, other: Folder) -> bool:
        """Whether this is ``other`` or somewhere below it."""
        folder: Folder | None = self
        while folder is not None:
            if folder is other:
                return True
            folder = folder.parent
        return False

    def walk(self) -> Iterator[Folder]:
        """Yield this folder and all below it, parents first."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting.extend(child for child in folder.entries.values() if isinstance(child, Folder))


Entry = int | bytes | Folder


class Index:
    """The tree below one location; ``root`` is ``None`` while no folder is there."""

    def __init__(self) -> None:
        """Believe in nothing."""
        self.root: Folder | None = None
        self.by_identity: dict[tuple[int, int], Folder] = {}
        """(device, inode) -> folder, for those reached directly."""
        self.by_link_target: dict[tuple[int, int], Folder] = {}
        """(device, inode) -> folder, for those reached through a symlink."""

    def add(self, folder: Folder) -> None:
        """Know a folder by its identity."""
        table = self.by_link_target if folder.link else self.by_identity
        table[folder.device, folder.inode] = folder

    def forget(self, folder: Folder) -> None:
        """Know it no more."""
        table = self.by_link_target if folder.link else self.by_identity
        if table.get((folder.device, folder.inode)) is folder:
            del table[folder.device, folder.inode]

    def lose_identity(self, folder: Folder) -> None:
        """The folder is gone from the disk: whatever has its inode number now is another."""
        self.forget(folder)
        folder.inode = 0

    def contains(self, folder: Folder) -> bool:
        """Whether the folder is still part of the tree."""
        while folder.parent is not None:
            if folder.parent.entries.get(folder.name) is not folder:
                return False
            folder = folder.parent
        return folder is self.root

    def count(self) -> int:
        """Count the entries below the location."""
        if self.root is None:
            return 0
        return sum(len(folder.entries) for folder in self.root.walk())

    def listing(self) -> Iterator[tuple[str, Kind]]:
        """Yield relative path and kind of every entry, folders before what they hold."""
        if self.root is None:
            return
        waiting = [("", self.root)]
        while waiting:
            prefix, folder = waiting.pop()
            for name, entry in folder.entries.items():
                if isinstance(entry, Folder):
                    yield prefix + name, "dir"
                    waiting.append((f"{prefix}{name}/", entry))
                else:
                    yield prefix + name, kind_of(entry)
