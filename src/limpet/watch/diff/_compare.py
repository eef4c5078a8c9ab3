"""Looks at the places that may have changed, and says how disk and belief differ there.

A place is a name in a folder of the belief. Looking changes nothing: it gives departures (believed,
but not there any more), arrivals (there, but not believed) and updates (the same entry, different).
What belongs together, and in which order it is told, is for ``_arrange.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from limpet.backends import ATTRIB, CLOSED, CREATE, DELETE, MOVED
from limpet.watch.diff._change_detection import changes_of, is_same
from limpet.watch.diff._context import ElsewhereError
from limpet.watch.diff._scan import read_ignore_file
from limpet.watch.index._entry_record import pack
from limpet.watch.index._fs import NOT_THERE
from limpet.watch.index._index import Folder

if TYPE_CHECKING:
    from limpet.events import Change
    from limpet.watch.diff._context import Tree
    from limpet.watch.index._entry_record import Facts
    from limpet.watch.index._fs import Handle
    from limpet.watch.index._index import Entry

__all__ = ["Arrival", "Departure", "Findings", "Observer", "Place", "Update"]

Place = tuple[Folder, str]


@dataclass(slots=True, eq=False, repr=False)
class Departure:
    """What the belief has at a place and the disk has no more."""

    folder: Folder
    name: str
    entry: Entry
    bits: int
    arrival: Arrival | None = None
    """Where it went, if it was renamed."""
    done: bool = False

    @property
    def is_believed(self) -> bool:
        """Whether the belief still has it there."""
        return self.folder.entries.get(self.name) is self.entry


@dataclass(slots=True, eq=False, repr=False)
class Arrival:
    """What the disk has at a place and the belief has not."""

    folder: Folder
    name: str
    facts: Facts
    bits: int
    link: int = 0
    departure: Departure | None = None
    found: Folder | None = None
    """For a new folder: its node and what was found in it, attached to nothing yet."""
    done: bool = False
    visiting: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Update:
    """The same entry, with something changed."""

    folder: Folder
    name: str
    facts: Facts
    previous: Entry
    changes: set[Change]
    bits: int


@dataclass(slots=True, eq=False, repr=False)
class Findings:
    """The outcome of one round of looking, by place, in the order of looking."""

    order: list[Place] = field(default_factory=list)
    departures: dict[Place, Departure] = field(default_factory=dict)
    arrivals: dict[Place, Arrival] = field(default_factory=dict)
    updates: dict[Place, Update] = field(default_factory=dict)
    fleeting: list[tuple[Folder, str, int]] = field(default_factory=list)
    """Came and went unseen: folder, name, bits."""
    later: dict[Folder, dict[str, int]] = field(default_factory=dict)
    """Places that could not be looked at yet: their folder is on the move."""
    later_full: set[Folder] = field(default_factory=set)
    """The same for folders to be listed."""
    refilter: list[Folder] = field(default_factory=list)
    """Folders whose ignore file changed."""
    root_lost: bool = False
    """The location leads elsewhere."""


class Observer:
    """One round of looking."""

    def __init__(self, tree: Tree) -> None:
        """Start with nothing looked at."""
        self.tree = tree
        self.findings = Findings()
        self._seen: set[Place] = set()
        self._suspects: list[Folder] = []

    def look_at(self, dirty: dict[Folder, dict[str, int]], full: set[Folder]) -> None:
        """Look at the named places, and at every place of the ``full`` folders, top down."""
        folders = sorted({*dirty, *full}, key=Folder.depth)
        for folder in folders:
            if self.tree.troubles.location:
                self._put_off(folder, dirty.get(folder, {}), full=folder in full)
                continue
            self.look_in(folder, dirty.get(folder, {}), full=folder in full)
        while self._suspects:
            folder = self._suspects.pop()
            if folder.parent is None:
                self.findings.root_lost = True
            elif (folder.parent, folder.name) not in self._seen:
                self.look_in(folder.parent, {folder.name: 0}, full=False)

    def look_in(self, folder: Folder, names: dict[str, int], *, full: bool) -> None:
        """Look at names of one folder."""
        tree, findings = self.tree, self.findings
        if not tree.index.contains(folder) or self._is_leaving(folder):
            if tree.index.contains(folder):
                self._put_off(folder, names, full=full)
            return
        try:
            handle = tree.open(folder)
        except ElsewhereError:
            self._put_off(folder, names, full=full)
            self._suspects.append(folder)
            return
        except OSError as error:
            if tree.can_reach():
                tree.blind(folder, error)
            else:
                self._put_off(folder, names, full=full)
            return
        try:
            if folder.blind is not None:
                full = True
            if full:
                names = self._list(folder, handle, names)
            for name, bits in names.items():
                self._look(folder, handle, name, bits)
                tree.breathe()
        except OSError as error:
            if error.errno in NOT_THERE:
                self._put_off(folder, names, full=full)
                self._suspects.append(folder)
            else:
                tree.blind(folder, error)
                findings.later.pop(folder, None)
        finally:
            tree.disk.close(handle)

    def _list(self, folder: Folder, handle: Handle, names: dict[str, int]) -> dict[str, int]:
        """List a folder again: every name that is there or believed to be is to be looked at."""
        tree = self.tree
        if folder.mark is None or folder in tree.doubted:
            tree.mark(folder, handle)
        now = tree.disk.now()
        listed = tree.disk.read(handle)
        if tree.options.ignore_file is not None:
            relative = folder.relative()
            if read_ignore_file(tree, relative, tree.path(folder), listed):
                self.findings.refilter.append(folder)
        tree.sees(folder)
        everything = dict.fromkeys(listed, 0)
        everything.update(dict.fromkeys(folder.entries, 0))
        everything.update(names)
        if not any(isinstance(entry, int) for entry in folder.entries.values()):
            folder.seen = now
        return everything

    def _look(self, folder: Folder, handle: Handle, name: str, bits: int) -> None:
        place = (folder, name)
        tree, findings = self.tree, self.findings
        if place in self._seen:
            return
        turn = tree.ledger.turn()
        if tree.ledger.any_claims() and tree.ledger.claimed(f"{tree.path(folder)}/{name}"):
            findings.later.setdefault(folder, {})[name] = bits
            return
        facts, link = tree.look(folder, handle, name)
        if tree.ledger.turn() != turn:  # it may have been seen in the middle of an own write
            findings.later.setdefault(folder, {})[name] = bits
            return
        self._seen.add(place)
        old = folder.entries.get(name)
        if name == tree.options.ignore_file:
            relative = folder.relative()
            names = (name,) if facts is not None else ()
            if read_ignore_file(tree, relative, tree.path(folder), names):
                findings.refilter.append(folder)
        if facts is not None and tree.filter.hides(
            folder.relative(), name, is_dir=facts.mode & 0o170000 == 0o040000
        ):
            facts = None
        if old is None and facts is None:
            if bits & CREATE and bits & (DELETE | MOVED):
                findings.fleeting.append((folder, name, bits))
            return
        if old is not None and facts is not None and is_same(folder, old, facts, link, bits):
            self._compare(folder, name, old, facts, bits)
            return
        findings.order.append(place)
        if old is not None:
            findings.departures[place] = Departure(folder, name, old, bits)
        if facts is not None:
            findings.arrivals[place] = Arrival(folder, name, facts, bits, link)

    def _compare(self, folder: Folder, name: str, old: Entry, facts: Facts, bits: int) -> None:
        """Note what changed of an entry that is still the same."""
        tree, findings = self.tree, self.findings
        is_folder = isinstance(old, Folder)
        record = old.record if isinstance(old, Folder) else old
        changes = changes_of(
            record,
            facts,
            bits,
            seen=folder.seen,
            exact=tree.disk.exact_times,
            metadata=tree.options.metadata,
        )
        packed = pack(facts, tree.disk.now())
        if isinstance(old, Folder):
            old.record = packed
            if old.blind is not None and bits & ATTRIB:
                findings.later_full.add(old)
        else:
            folder.entries[name] = packed
        if changes:
            findings.order.append((folder, name))
            previous = record if is_folder else old
            findings.updates[folder, name] = Update(folder, name, facts, previous, changes, bits)
        elif bits & CLOSED:
            tree.settler.close((folder, name))

    def _is_leaving(self, folder: Folder) -> bool:
        """Whether the folder, or one above it, was found gone in this round."""
        departures = self.findings.departures
        while folder.parent is not None:
            if (folder.parent, folder.name) in departures:
                return True
            folder = folder.parent
        return False

    def _put_off(self, folder: Folder, names: dict[str, int], *, full: bool) -> None:
        if names:
            self.findings.later.setdefault(folder, {}).update(names)
        if full:
            self.findings.later_full.add(folder)
