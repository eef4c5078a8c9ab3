"""A directory tree in memory and its index, to examine without a kernel."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from limpet.backends import FileSystemTraits, PollSource
from limpet.config import WatchOptions
from limpet.testing import describe
from limpet.watching.diff._agenda import Agenda
from limpet.watching.diff._compare import Comparison, EntryRef
from limpet.watching.diff._context import DiffContext
from limpet.watching.diff._event_order import EventOrderer
from limpet.watching.diff._rename_pairing import RenamePairing
from limpet.watching.diff._scan import scan
from limpet.watching.emit._debounce import Debouncer
from limpet.watching.emit._degradation import Degradation
from limpet.watching.emit._event_factory import EventFactory
from limpet.watching.emit._own_writes import OwnWrites
from limpet.watching.emit._services import WatchServices
from limpet.watching.index._entry_record import StatResult, pack
from limpet.watching.index._fs import FileSystemCalls, Handle
from limpet.watching.index._index import DirNode

LOCATION = "/watched"
SECOND = 10**9
KINDS = {0o100000: 0, 0o040000: 1, 0o120000: 2}


def facts_of(inode: int, *, mode: int = 0o100644, size: int = 1, at: int = SECOND) -> StatResult:
    """Return a stat result of which every time is ``at``."""
    return StatResult(
        mode=mode, nlink=1, uid=0, gid=0, device=1, inode=inode, size=size,
        mtime=at, ctime=at, birth=at,
    )  # fmt: skip


def dir_node(name: str, parent: DirNode | None, inode: int = 9) -> DirNode:
    """Return a directory node that is an entry of its parent."""
    facts = facts_of(inode, mode=0o040755)
    node = DirNode(name, parent, inode, 1, pack(facts, 2 * SECOND))
    if parent is not None:
        parent.entries[name] = node
    return node


class MemoryDisk(FileSystemCalls):
    """The system calls of a watch, answered from a mapping; each change happens a second later."""

    exact_times = True

    def __init__(self) -> None:
        self.clock = 1  # stamps with fractions of a second, as most file systems have them
        self.last_inode = 0
        self.entries: dict[str, StatResult] = {}
        self.found_traits: FileSystemTraits | None = None
        """What is believed of it; ``None``: what is believed of the real disk."""
        self.refused: set[str] = set()
        """Directories that cannot be opened."""
        self.dir("")

    def change(self, path: str, **facts: Any) -> None:
        """Change fields of an entry."""
        self.entries[path] = self.entries[path]._replace(**{"ctime": self.tick(), **facts})

    def write(self, path: str) -> None:
        """Append a byte to a file."""
        now = self.tick()
        self.change(path, size=self.entries[path].size + 1, mtime=now, ctime=now)

    def file(self, *paths: str) -> None:
        """Create files, each with an inode of its own."""
        for path in paths:
            self._create(path, 0o100644)

    def dir(self, *paths: str) -> None:
        """Create directories."""
        for path in paths:
            self._create(path, 0o040755)

    def rename(self, source: str, target: str) -> None:
        """Rename an entry and all below it; what is at the new name is replaced."""
        self.remove(target)
        for path in list(self.entries):
            if path == source or path.startswith(source + "/"):
                self.entries[target + path[len(source) :]] = self.entries.pop(path)
        self.change(target)

    def remove(self, *paths: str) -> None:
        """Delete entries and all below them."""
        for gone in paths:
            for path in list(self.entries):
                if path == gone or path.startswith(gone + "/"):
                    del self.entries[path]

    def tick(self) -> int:
        self.clock += SECOND
        return self.clock

    def _create(self, path: str, mode: int) -> None:
        self.last_inode += 1
        self.entries[path] = facts_of(self.last_inode, mode=mode, at=self.tick())

    # -- what the watch calls ------------------------------------------------------------------

    def now(self) -> int:
        return self.tick()

    def time(self) -> float:
        return self.clock / SECOND

    def monotonic(self) -> float:
        return self.clock / SECOND

    def open(self, path: str, *, follow: bool = False) -> Handle:
        found = self.stat_path(path)
        if found is None or found.mode & 0o170000 != 0o040000:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if _relative(path) in self.refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return path

    def stat(self, handle: Handle) -> StatResult:
        found = self.stat_path(str(handle))
        assert found is not None
        return found

    def stat_at(self, handle: Handle, name: str, *, follow: bool = False) -> StatResult | None:
        return self.stat_path(os.path.normpath(f"{handle}/{name}"))

    def stat_path(self, path: str) -> StatResult | None:
        return self.entries.get(_relative(path))

    def traits(self, path: str) -> FileSystemTraits:
        return self.found_traits or super().traits(path)

    def names(self, handle: Handle) -> list[str]:
        return [*self.read(handle)]

    def read(self, handle: Handle) -> dict[str, int]:
        folder = _relative(str(handle))
        return {
            os.path.basename(path): facts.inode << 2 | KINDS[facts.mode & 0o170000]
            for path, facts in self.entries.items()
            if path and os.path.dirname(path) == folder
        }


class QuietRouter:
    """A router without sources."""

    def drain(self) -> None:
        pass

    def subscribe_unreadable(self, *_: Any) -> None:
        return None


class MemoryTree:
    """A tree in memory, what the index takes to be there, and rounds of examination."""

    def __init__(self, *paths: str, **options: Any) -> None:
        """Create the paths (a directory's ends in a slash), and index them."""
        self.disk = MemoryDisk()
        self.reachable = True
        """The way to the location is open; if not, nothing is known of what cannot be opened."""
        for path in paths:
            if path.endswith("/"):
                self.disk.dir(path[:-1])
            else:
                self.disk.file(path)
        self.context = self._build(WatchOptions(**options))
        root = self.disk.entries[""]
        self.root = self.context.index.root = self.context.make_node("", None, root)
        scan(self.context, self.root, LOCATION, stats=True, adopt=False)

    def _build(self, options: WatchOptions) -> DiffContext:
        location = Path(LOCATION)
        own_writes = OwnWrites(lambda: None)
        poll = PollSource(3600)
        router: Any = QuietRouter()
        hints: Any = None
        services = WatchServices(
            location=location,
            options=options,
            disk=self.disk,
            emit=EventFactory(location, options, self.disk, own_writes),
            debouncer=Debouncer(options.settle, options.settle_limit),
            own_writes=own_writes,
            degradation=Degradation(hints=True),
            router=router,
            hints=hints,
            capabilities=poll.capabilities,
            order=(),
            poll=poll,
            tree_source=None,
            network=False,
        )
        return DiffContext(services, lambda: self.reachable)

    def believe(self, traits: FileSystemTraits) -> None:
        """Move the tree to another file system."""
        self.disk.found_traits = traits
        self.context._traits.clear()

    def node(self, path: str) -> DirNode:
        """Return the node of a directory."""
        node = self.root
        for part in path.split("/") if path else ():
            inner = node.entries[part]
            assert isinstance(inner, DirNode)
            node = inner
        return node

    def ref(self, path: str) -> EntryRef:
        """Return directory and name of a path whose directory is in the index."""
        return self.node(os.path.dirname(path)), os.path.basename(path)

    def compare(self, *paths: str, **bits: int) -> Comparison:
        """Examine names, with the hint bits given for some of them, or for all as ``every``."""
        agenda = Agenda()
        for path in paths:
            agenda.add_name(*self.ref(path), bits.get(path, bits.get("every", 0)))
        return self.compare_agenda(agenda)

    def compare_agenda(self, agenda: Agenda) -> Comparison:
        """Examine what an agenda has, for instance what the last round left for later."""
        comparison = Comparison(self.context)
        comparison.compare(agenda)
        return comparison

    def origins(self, renamed: dict[str, str]) -> dict[EntryRef, EntryRef]:
        return {self.ref(now): self.ref(before) for now, before in renamed.items()}

    def pair(self, comparison: Comparison, **renamed: str) -> list[str]:
        """Return which arrivals were found to be departures, as ``before -> now``, sorted."""
        pairing = RenamePairing(self.context, comparison, self.origins(renamed))
        pairing.directories()
        pairing.files()
        departures = comparison.differences.departures.values()
        pairs = [(one, one.arrival) for one in departures if one.arrival is not None]
        return sorted(
            f"{old.directory.relative_of(old.name)} -> {new.directory.relative_of(new.name)}"
            for old, new in pairs
        )

    def emit(self, comparison: Comparison, **renamed: str) -> list[str]:
        """Return the events of a round, in their order; the index is updated."""
        EventOrderer(self.context, comparison, self.origins(renamed)).run()
        return [describe(event) for event in self.context.emit.fetch()]

    def examine(self, *paths: str, **bits: int) -> list[str]:
        """Examine names and return the events."""
        return self.emit(self.compare(*paths, **bits))

    def listing(self) -> set[str]:
        """Return what the index holds."""
        return {path for path, _ in self.context.index.listing()}

    def on_disk(self) -> set[str]:
        return {path for path in self.disk.entries if path}


def _relative(path: str) -> str:
    path = path.replace(os.sep, "/")
    assert path == LOCATION or path.startswith(LOCATION + "/"), path
    return path[len(LOCATION) + 1 :]
