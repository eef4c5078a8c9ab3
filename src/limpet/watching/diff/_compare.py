"""Examines names that may have changed, and finds how disk and index differ there.

Nothing is changed by it. It finds departures (in the index, no longer on disk), arrivals (on disk,
not in the index) and updates (the same entry, changed). Which of them belong together is for
``_rename_pairing.py``, and in which order they are emitted for ``_event_order.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from limpet.backends import ATTRIB, CLOSED, CREATE, DELETE, MOVED
from limpet.watching.diff._agenda import Agenda
from limpet.watching.diff._change_detection import changes_of, is_same
from limpet.watching.diff._context import ElsewhereError
from limpet.watching.diff._ignore_files import read_ignore_file
from limpet.watching.index._entry_record import pack
from limpet.watching.index._fs import NOT_THERE, OUT_OF_DESCRIPTORS
from limpet.watching.index._index import DirNode
from limpet.watching.index._short_names import may_be_short

if TYPE_CHECKING:
    from collections.abc import Collection

    from limpet.events import Change
    from limpet.watching.diff._context import DiffContext
    from limpet.watching.index._entry_record import StatResult
    from limpet.watching.index._fs import Handle
    from limpet.watching.index._index import Entry

_MOST_UNKNOWN: Final = 16
"""Names of one directory without an answer; with more, the directory itself is taken for it."""

EntryRef = tuple[DirNode, str]


@dataclass(slots=True, eq=False, repr=False)
class Departure:
    """A name that is in the index and no longer on disk."""

    directory: DirNode
    name: str
    entry: Entry
    bits: int
    arrival: Arrival | None = None
    """Where it went, if it was renamed."""
    done: bool = False

    @property
    def is_indexed(self) -> bool:
        """Return whether the index still has it."""
        return self.directory.entries.get(self.name) is self.entry


@dataclass(slots=True, eq=False, repr=False)
class Arrival:
    """A name that is on disk and not in the index."""

    directory: DirNode
    name: str
    facts: StatResult
    bits: int
    link: int = 0
    departure: Departure | None = None
    found: DirNode | None = None
    """Node of a new directory, with what was found in it; not yet part of the tree."""
    done: bool = False
    visiting: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Update:
    """The same entry, with something changed."""

    directory: DirNode
    name: str
    facts: StatResult
    previous: Entry
    changes: set[Change]
    bits: int


@dataclass(slots=True, eq=False, repr=False)
class Differences:
    """What one round finds, by name, in the order of examination."""

    order: list[EntryRef] = field(default_factory=list)
    departures: dict[EntryRef, Departure] = field(default_factory=dict)
    arrivals: dict[EntryRef, Arrival] = field(default_factory=dict)
    updates: dict[EntryRef, Update] = field(default_factory=dict)
    fleeting: list[tuple[DirNode, str, int]] = field(default_factory=list)
    """Created and deleted again before the stat: directory, name, bits."""
    later: Agenda = field(default_factory=Agenda)
    """What could not be examined yet: its directory is being moved."""
    refilter: list[DirNode] = field(default_factory=list)
    """Directories whose ignore file changed."""
    root_lost: bool = False
    """The location leads to something else."""


class Comparison:
    """One round of examination."""

    def __init__(self, context: DiffContext) -> None:
        self.context = context
        self.differences = Differences()
        self._seen: set[EntryRef] = set()
        self._suspects: list[DirNode] = []
        self._spelled: set[str] | None = None
        """The names that the directory has, where another spelling would be found too."""
        self._hinted = False
        """Every write into the directory that is compared would have left a hint."""

    def compare(self, agenda: Agenda) -> None:
        """Examine what the agenda has, parents before what is below them."""
        for directory in sorted({*agenda.names, *agenda.listings}, key=DirNode.depth):
            names, listing = agenda.names.get(directory, {}), directory in agenda.listings
            if self.context.degradation.location:
                self.differences.later.put_off(directory, names, listing=listing)
            else:
                self.compare_dir(directory, names, listing=listing)
        while self._suspects:
            directory = self._suspects.pop()
            if directory.parent is None:
                self.differences.root_lost = True
            elif (directory.parent, directory.name) not in self._seen:
                self.compare_dir(directory.parent, {directory.name: 0}, listing=False)

    def compare_dir(self, directory: DirNode, names: dict[str, int], *, listing: bool) -> None:
        """Examine names of one directory, or all of it."""
        context, later = self.context, self.differences.later
        if self._is_refiltered(directory):
            later.put_off(directory, names, listing=listing)
            return
        if not context.index.contains(directory) or self._is_leaving(directory):
            if context.index.contains(directory):
                later.put_off(directory, names, listing=listing)
            return
        try:
            handle = context.open(directory)
        except ElsewhereError:
            later.put_off(directory, names, listing=listing)
            self._suspects.append(directory)
            return
        except OSError as error:
            if context.can_reach():
                context.blind(directory, error)
            else:
                later.put_off(directory, names, listing=listing)
            return
        self._hinted = (
            context.trusts_hints
            and directory.mark is not None
            and directory.blind is None
            and directory not in context.doubted
        )
        try:
            if directory.blind is not None:
                listing = True
            self._spelled = None
            if listing:
                names = self._list(directory, handle, names)
                if directory in self.differences.refilter:
                    later.put_off(directory, {}, listing=True)
            elif not context.traits(directory).case_sensitive:
                names = self._as_spelled(directory, names, context.disk.names(handle))
            troubles = 0
            for name, bits in names.items():
                try:
                    self._examine(directory, handle, name, bits)
                except OSError as error:
                    troubles += 1
                    if troubles > _MOST_UNKNOWN or not self._is_of_one_name(handle, error):
                        raise
                    context.degradation.cannot_stat(context.emit, directory, name, error)
                else:
                    context.degradation.can_stat(context.emit, directory, name)
                context.breathe()
        except OSError as error:
            if error.errno in NOT_THERE:
                later.put_off(directory, names, listing=listing)
                self._suspects.append(directory)
            else:
                context.blind(directory, error)
                later.names.pop(directory, None)
        finally:
            context.disk.close(handle)

    def _is_of_one_name(self, handle: Handle, error: OSError) -> bool:
        """Return whether the system refuses an answer about one name alone, not its directory."""
        if error.errno in NOT_THERE or error.errno in OUT_OF_DESCRIPTORS:
            return False
        try:
            self.context.disk.stat(handle)
        except OSError:
            return False
        return True

    def _list(self, directory: DirNode, handle: Handle, names: dict[str, int]) -> dict[str, int]:
        """List a directory again: every name on disk or in the index is to be examined."""
        context = self.context
        if directory.mark is None or directory in context.doubted:
            context.mark(directory, handle)
        now = context.disk.now()
        listed = context.disk.read(handle)
        if not context.traits(directory).case_sensitive:
            names = self._as_spelled(directory, names, listed)
        if context.options.ignore_file is not None:
            relative = directory.relative()
            if read_ignore_file(context, relative, context.path(directory), listed):
                # All that is found by the new patterns is reported after the Rescanned event.
                self.differences.refilter.append(directory)
                return {context.options.ignore_file: names.get(context.options.ignore_file, 0)}
        context.can_read(directory)
        everything = dict.fromkeys(listed, 0)
        everything.update(dict.fromkeys(directory.entries, 0))
        everything.update(names)
        if not any(isinstance(entry, int) for entry in directory.entries.values()):
            directory.seen = now
        return everything

    def _as_spelled(
        self, directory: DirNode, names: dict[str, int], listed: Collection[str]
    ) -> dict[str, int]:
        """Return the names to examine as the directory spells them, and as the index does.

        A hint may spell a name as the program did that opened it, or by its short name; then every
        name is examined, for nobody knows which one it was.
        """
        self._spelled = set(listed)
        found = dict(names)
        odd = {name.casefold(): bits for name, bits in names.items() if name not in self._spelled}
        if odd:
            known = {*self._spelled, *directory.entries}
            if any(may_be_short(name) for name in names if name not in known):
                found = dict.fromkeys(known, 0) | found
            for name in (*listed, *directory.entries):
                bits = odd.get(name.casefold())
                if bits is not None:
                    found[name] = found.get(name, 0) | bits
        return found

    def _examine(self, directory: DirNode, handle: Handle, name: str, bits: int) -> None:
        ref = (directory, name)
        context, differences = self.context, self.differences
        if ref in self._seen:
            return
        generation = context.own_writes.generation()
        if context.own_writes.any_open() and context.own_writes.is_open(
            f"{context.path(directory)}/{name}"
        ):
            differences.later.put_off(directory, {name: bits}, listing=False)
            return
        if self._spelled is not None and name not in self._spelled:
            facts, link = None, 0  # another spelling would be found
        else:
            facts, link = context.examine(directory, handle, name)
        if (
            context.own_writes.generation() != generation
        ):  # it may have been read in the middle of an own write
            differences.later.put_off(directory, {name: bits}, listing=False)
            return
        self._seen.add(ref)
        old = directory.entries.get(name)
        if name == context.options.ignore_file:
            relative = directory.relative()
            names = (name,) if facts is not None else ()
            if read_ignore_file(context, relative, context.path(directory), names):
                differences.refilter.append(directory)
        if facts is not None and context.filter.hides(
            directory.relative(), name, is_dir=facts.mode & 0o170000 == 0o040000
        ):
            facts = None
        if old is None and facts is None:
            if bits & CREATE and bits & (DELETE | MOVED):
                differences.fleeting.append((directory, name, bits))
            return
        if (
            old is not None
            and facts is not None
            and is_same(directory, old, facts, link, bits, context.traits(directory))
        ):
            self._compare(directory, handle, name, old, facts, bits)
            return
        differences.order.append(ref)
        if old is not None:
            differences.departures[ref] = Departure(directory, name, old, bits)
        if facts is not None:
            differences.arrivals[ref] = Arrival(directory, name, facts, bits, link)

    def _compare(
        self,
        directory: DirNode,
        handle: Handle,
        name: str,
        old: Entry,
        facts: StatResult,
        bits: int,
    ) -> None:
        """Record what changed of an entry that is still the same."""
        context, differences = self.context, self.differences
        is_directory = isinstance(old, DirNode)
        record = old.record if isinstance(old, DirNode) else old
        changes = changes_of(
            record,
            facts,
            bits,
            seen=directory.seen,
            exact=context.has_exact_times(directory),
            metadata=context.options.metadata,
            hinted=self._hinted,
        )
        packed = pack(facts, context.disk.now())
        if isinstance(old, DirNode):
            if old.inode != facts.inode:
                context.change_inode(old, facts.inode)
            old.record = packed
            if old.blind is not None and bits & ATTRIB:
                differences.later.listings.add(old)
        else:
            directory.entries[name] = packed
            context.note_young(directory, name, packed)
            if directory.mark is None and context.racy.changed(
                (directory, name),
                packed,
                handle,
                name,
                exact=context.has_exact_times(directory),
            ):
                changes.add("content")
        if changes:
            differences.order.append((directory, name))
            previous = record if is_directory else old
            differences.updates[directory, name] = Update(
                directory, name, facts, previous, changes, bits
            )
        elif bits & CLOSED:
            context.debouncer.close((directory, name))

    def _is_refiltered(self, directory: DirNode) -> bool:
        """Return whether the ignore file of a directory above changed in this round."""
        return any(
            directory is not top and directory.lies_in(top) for top in self.differences.refilter
        )

    def _is_leaving(self, directory: DirNode) -> bool:
        """Return whether the directory, or one above it, was found gone in this round."""
        departures = self.differences.departures
        while directory.parent is not None:
            if (directory.parent, directory.name) in departures:
                return True
            directory = directory.parent
        return False
