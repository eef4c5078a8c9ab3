"""The index: which entries the watch takes to be on disk below a location, as a tree.

A directory maps each name to a record (``_entry_record.py``) or to another directory. A renamed
directory moves with all below it by changing one reference. Paths are built by walking up, only
when they are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.backends import Subscriber
from limpet.watching.index._entry_record import kind_of
from limpet.watching.index._untracked import hide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limpet.backends import Mark
    from limpet.events import Kind


class DirNode(Subscriber):
    """A watched directory: its entries, and how it is watched."""

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
        self, name: str, parent: DirNode | None, inode: int, device: int, record: bytes
    ) -> None:
        self.name = name
        self.parent = parent
        self.inode = inode
        """0 once the kernel has reported that the directory is gone."""
        self.device = device
        self.record = record
        self.entries: dict[str, Entry] = {}
        self.seen = 0
        """When it was last listed, nanoseconds of the system's clock; 0 is never."""
        self.mark: Mark | None = None
        """The mark that reports it; ``None`` means it must be polled."""
        self.blind: str | None = None
        """Why its content cannot be read now (a ``DegradedReason``), or ``None``."""
        self.link = 0
        """Inode of the symlink through which it is reached, 0 for one that is reached directly."""

    def __repr__(self) -> str:
        return f"DirNode({self.relative() or '.'})"

    def relative(self) -> str:
        """Return the path below the location, ``""`` for the location itself."""
        parts = []
        directory = self
        while directory.parent is not None:
            parts.append(directory.name)
            directory = directory.parent
        parts.reverse()
        return "/".join(parts)

    def relative_of(self, name: str) -> str:
        """Return the path of an entry of this directory below the location."""
        relative = self.relative()
        return f"{relative}/{name}" if relative else name

    def depth(self) -> int:
        """Return the number of directories above."""
        count = 0
        directory = self
        while directory.parent is not None:
            count += 1
            directory = directory.parent
        return count

    def lies_in(self, other: DirNode) -> bool:
        """Return whether this is ``other`` or below it."""
        directory: DirNode | None = self
        while directory is not None:
            if directory is other:
                return True
            directory = directory.parent
        return False

    def nearness(self, other: Subscriber) -> int:
        """Return the depth of the deepest directory that holds both."""
        here: DirNode | None = self
        while isinstance(other, DirNode) and here is not None:
            if other.lies_in(here):
                return here.depth()
            here = here.parent
        return -1

    def walk(self) -> Iterator[DirNode]:
        """Yield this directory and all below it, parents first."""
        waiting = [self]
        while waiting:
            directory = waiting.pop()
            yield directory
            waiting.extend(
                child for child in directory.entries.values() if isinstance(child, DirNode)
            )


Entry = int | bytes | DirNode


class Index:
    """The tree below one location; ``root`` is ``None`` while no directory is there."""

    def __init__(self) -> None:
        self.root: DirNode | None = None
        self._by_identity: dict[int, dict[int, DirNode]] = {}
        """Device -> inode -> directory, for those reached directly: no key of its own for each."""
        self.by_link_target: dict[tuple[int, int], DirNode] = {}
        """(device, inode) -> directory, for those reached through a symlink."""

    def __del__(self) -> None:
        """Free the directories: the garbage collector does not see them (``_untracked``)."""
        self.clear()

    def add(self, directory: DirNode) -> None:
        """Add a directory to the identity tables."""
        hide(directory, directory.entries)
        if directory.link:
            self.by_link_target[directory.device, directory.inode] = directory
            return
        inodes = self._by_identity.get(directory.device)
        if inodes is None:
            inodes = self._by_identity[directory.device] = {}
        inodes[directory.inode] = directory

    def find(self, device: int, inode: int) -> DirNode | None:
        """Return the directory of this identity, if one is reached directly."""
        inodes = self._by_identity.get(device)
        return None if inodes is None else inodes.get(inode)

    def at(self, relative: str) -> Entry | None:
        """Return what is at a path below the location, ``""`` for the location itself."""
        entry: Entry | None = self.root
        if relative:
            for name in relative.split("/"):
                if not isinstance(entry, DirNode):
                    return None
                entry = entry.entries.get(name)
        return entry

    def known(self) -> list[DirNode]:
        """Return all that are reached directly."""
        return [one for inodes in self._by_identity.values() for one in inodes.values()]

    def one_of_each_device(self) -> list[DirNode]:
        """Return one directory of each device."""
        return [next(iter(inodes.values())) for inodes in self._by_identity.values() if inodes]

    def forget(self, directory: DirNode) -> None:
        """Remove the directory from the identity tables."""
        device, inode = directory.device, directory.inode
        if directory.link:
            if self.by_link_target.get((device, inode)) is directory:
                del self.by_link_target[device, inode]
        elif self.find(device, inode) is directory:
            del self._by_identity[device][inode]

    def clear(self) -> None:
        """Forget everything, and let each directory be freed with the last reference to it."""
        root, self.root = self.root, None
        in_tree = list(root.walk()) if root is not None else []
        for directory in [*in_tree, *self.known(), *self.by_link_target.values()]:
            directory.entries.clear()
        self._by_identity.clear()
        self.by_link_target.clear()

    def lose_identity(self, directory: DirNode) -> None:
        """Record that the directory is gone: what has its inode number now is another."""
        self.forget(directory)
        directory.inode = 0

    def contains(self, directory: DirNode) -> bool:
        """Return whether the directory is still part of the tree."""
        while directory.parent is not None:
            if directory.parent.entries.get(directory.name) is not directory:
                return False
            directory = directory.parent
        return directory is self.root

    def count(self) -> int:
        """Return the number of entries below the location."""
        if self.root is None:
            return 0
        return sum(len(directory.entries) for directory in self.root.walk())

    def listing(self) -> Iterator[tuple[str, Kind]]:
        """Yield relative path and kind of every entry, directories before their entries."""
        root = self.root
        if root is None:
            return
        waiting = [("", root)]
        while waiting:
            prefix, directory = waiting.pop()
            for name, entry in list(directory.entries.items()):  # a scan may go on meanwhile
                if isinstance(entry, DirNode):
                    yield prefix + name, "dir"
                    waiting.append((f"{prefix}{name}/", entry))
                else:
                    yield prefix + name, kind_of(entry)
