"""Pairs departures with arrivals, and emits everything in an order that can be replayed.

The order is found by simulation: each change first makes room for itself. An arrival needs its
directory to exist and its name to be free; a deleted directory first releases what was moved out of
it. Where renames wait for each other in a circle (two names exchanged), it is opened: its files are
emitted as replaced, its directories as deleted and created.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._file_stat import kind_of_mode
from limpet.backends import CLOSED, OTHER
from limpet.watching.diff._change_detection import changed_besides_its_name
from limpet.watching.diff._compare import Arrival, Departure
from limpet.watching.diff._rename_pairing import RenamePairing
from limpet.watching.emit._event_factory import barely_known, stat_of
from limpet.watching.index._entry_record import kind_of, pack, unpack
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from limpet.events import Change, FileStat
    from limpet.watching.diff._compare import Comparison, Differences, EntryRef
    from limpet.watching.diff._context import DiffContext
    from limpet.watching.emit._event_factory import Record
    from limpet.watching.index._entry_record import StatResult
    from limpet.watching.index._index import Entry


class EventOrderer:
    """Emits the differences of one round and updates the index to match."""

    def __init__(
        self, context: DiffContext, comparison: Comparison, origins: dict[EntryRef, EntryRef]
    ) -> None:
        """Keep the differences.

        Args:
            context: What the watch shares.
            comparison: The round; asked again where a pair needs its other half.
            origins: Renames that the backend reported: name now -> name before.
        """
        self.context = context
        self.comparison = comparison
        self.differences: Differences = comparison.differences
        self.pairing = RenamePairing(context, comparison, origins)
        self.tops = self.pairing.tops

    def run(self) -> None:
        """Pair, then emit."""
        self.pairing.directories()
        self.pairing.files()
        differences = self.differences
        for ref in list(differences.order):
            update = differences.updates.get(ref)
            if update is not None:
                self._updated(
                    update.directory,
                    update.name,
                    update.facts,
                    update.previous,
                    update.changes,
                    update.bits,
                )
            arrival = differences.arrivals.get(ref)
            if arrival is not None:
                self._arrive(arrival)
            departure = differences.departures.get(ref)
            if departure is not None:
                self._depart(departure)
        for arrival in list(differences.arrivals.values()):
            self._arrive(arrival)  # found inside new directories, or in a directory that came late
        for arrival in self.tops.values():
            if not arrival.done and arrival.found is not None:
                self._discard(arrival.found)
        self._put_off_rest()

    def _put_off_rest(self) -> None:
        """Leave for the next round what could not be emitted, so that nothing is lost."""
        differences, index = self.differences, self.context.index
        rest: list[Arrival | Departure] = [a for a in differences.arrivals.values() if not a.done]
        rest.extend(d for d in differences.departures.values() if not d.done)
        for item in rest:
            if index.contains(item.directory):
                differences.later.put_off(item.directory, {item.name: item.bits}, listing=False)

    # -- telling -------------------------------------------------------------------------------

    def _arrive(self, arrival: Arrival) -> None:
        if arrival.done or arrival.visiting or not self._has_directory(arrival):
            return
        arrival.visiting = True
        directory = arrival.directory
        replaced = self._make_way(arrival)
        departure = arrival.departure
        if (
            departure is not None
            and isinstance(departure.entry, DirNode)
            and directory.lies_in(departure.entry)
        ):
            self._move_out(directory, departure.entry)
            if directory.lies_in(departure.entry):
                _unpair(departure)
        departure = arrival.departure
        if departure is not None and not departure.is_indexed:
            _unpair(departure)
            departure = None
        if departure is not None:
            self._renamed(departure, arrival, replaced)
        elif replaced is not None:
            self._replaced(arrival, replaced)
        else:
            self._created(arrival)
        arrival.visiting = False
        arrival.done = True

    def _has_directory(self, arrival: Arrival) -> bool:
        """Make sure that the arrival's directory is in the tree; emit it first if it is new."""
        directory: DirNode | None = arrival.directory
        while directory is not None and directory not in self.tops:
            directory = directory.parent
        if directory is not None:
            self._arrive(self.tops[directory])
        if self.context.index.contains(arrival.directory):
            return True
        if arrival.departure is not None:
            _unpair(arrival.departure)
        return False

    def _make_way(self, arrival: Arrival) -> Departure | None:
        """Free the name; return the file that the arrival replaces in one step."""
        ref = (arrival.directory, arrival.name)
        occupant = arrival.directory.entries.get(arrival.name)
        departure = self.differences.departures.get(ref)
        if occupant is None or departure is None or departure.done:
            return None
        if departure.arrival is not None and departure.arrival is not arrival:
            if departure.arrival.visiting:
                self._open_circle(departure.arrival)
            else:
                self._arrive(departure.arrival)
            if departure.done:
                return None
            if departure.arrival is not None:
                _unpair(departure)
        if _is_dir(occupant) or arrival.facts.is_dir:
            self._depart(departure)
            return None
        departure.done = True
        return departure

    def _open_circle(self, start: Arrival) -> None:
        """Separate all pairs of a circle of renames."""
        arrival: Arrival | None = start
        while arrival is not None and arrival.departure is not None:
            departure = arrival.departure
            _unpair(departure)
            arrival = self.differences.arrivals.get((departure.directory, departure.name))

    def _move_out(self, directory: DirNode, entry: DirNode) -> None:
        """Release what was moved out of ``entry`` and now holds ``directory``."""
        for other in list(self.differences.departures.values()):
            node = other.entry
            if (
                isinstance(node, DirNode)
                and node is not entry
                and other.arrival is not None
                and not other.done
                and directory.lies_in(node)
                and node.lies_in(entry)
            ):
                self._arrive(other.arrival)

    def _depart(self, departure: Departure) -> None:
        if departure.done:
            return
        if departure.arrival is not None:
            self._arrive(departure.arrival)
            if departure.done or departure.arrival is not None:
                return
        entry = departure.entry
        if departure.directory.entries.get(departure.name) is not entry:
            departure.done = True
            return
        departure.done = True
        if isinstance(entry, DirNode):
            for other in list(self.differences.departures.values()):
                if other.arrival is not None and not other.done and other.directory.lies_in(entry):
                    self._arrive(other.arrival)
                    if not other.done:  # it waits for this very directory to go
                        _unpair(other)
        self.remove(departure.directory, departure.name, foreign=bool(departure.bits & OTHER))

    def remove(self, directory: DirNode, name: str, *, foreign: bool = False) -> None:
        """Emit that an entry is gone, and before it all that was in it."""
        entry = directory.entries[name]
        context = self.context
        if isinstance(entry, DirNode):
            self.empty(entry)
            relative = entry.relative()
            if context.departed is not None:
                context.departed[relative] = entry.seen, context.has_exact_times(entry)
            context.drop(entry)
            del directory.entries[name]
            context.filter.drop(relative)
            context.emit.deleted(relative, entry.record, "dir", foreign=foreign)
            return
        del directory.entries[name]
        held = context.debouncer.take((directory, name))
        if held is not None and held.created:
            return
        context.emit.deleted(directory.relative_of(name), entry, kind_of(entry), foreign=foreign)

    def empty(self, top: DirNode) -> None:
        """Emit that everything in a directory is gone, children first."""
        for directory in reversed(list(top.walk())):
            for name, entry in list(directory.entries.items()):
                if not isinstance(entry, DirNode):
                    self.remove(directory, name)
            if directory is not top and directory.parent is not None:
                self.remove(directory.parent, directory.name)

    def _discard(self, top: DirNode) -> None:
        """Drop a scanned directory that never became part of the tree."""
        for directory in list(top.walk()):
            self.context.drop(directory)
            directory.entries.clear()

    def _created(self, arrival: Arrival) -> None:
        directory, name, facts = arrival.directory, arrival.name, arrival.facts
        foreign = bool(arrival.bits & OTHER)
        if not facts.is_dir or not self.context.options.recursive:
            self.context.record(directory, name, facts)
            self._emit_created(directory, name, facts, arrival.bits)
            return
        if arrival.found is None:
            self.pairing.take_in(arrival, adopt=False)
        found = arrival.found
        if found is None:
            return
        self.tops.pop(found, None)
        found.parent, found.name = directory, name
        directory.entries[name] = found
        emit = self.context.emit
        made = emit.made
        emit.created(found.relative(), unpack(found.record), foreign=foreign)
        if emit.made != made:  # of what was own and left out, nothing more is reported
            self.context.settling.add(found, self.context.disk.monotonic())
        self.report_content(found)

    def report_content(self, top: DirNode) -> None:
        """Emit everything in a directory as created, parents first."""
        for directory in top.walk():
            if directory is not top:
                self.context.emit.created(directory.relative(), unpack(directory.record))
            for name, entry in directory.entries.items():
                if isinstance(entry, bytes):
                    self._emit_created(directory, name, unpack(entry), 0)

    def _emit_created(self, directory: DirNode, name: str, facts: StatResult, bits: int) -> None:
        context = self.context
        foreign = bool(bits & OTHER)
        if (
            context.debouncer.quiet
            and kind_of_mode(facts.mode) == "file"
            and not (bits & CLOSED and context.debouncer.ends_at_close)
            and not context.emit.existing
        ):
            context.debouncer.hold(
                (directory, name), context.disk.monotonic(), created=True, foreign=foreign
            )
            return
        context.emit.created(directory.relative_of(name), facts, foreign=foreign)

    def _replaced(self, arrival: Arrival, departure: Departure) -> None:
        """Emit that another file is at a name: one update."""
        entry = departure.entry
        if isinstance(entry, DirNode):
            return
        context, facts = self.context, arrival.facts
        context.record(arrival.directory, arrival.name, facts)
        changes: set[Change] = {"identity"}
        if isinstance(entry, int):
            changes.add("content")
        else:
            was = unpack(entry)
            if was.size != facts.size or was.mtime != facts.mtime:
                changes.add("content")
            if context.options.metadata:
                if (was.mode ^ facts.mode) & 0o7777:
                    changes.add("mode")
                if (was.uid, was.gid) != (facts.uid, facts.gid):
                    changes.add("owner")
        self._updated(arrival.directory, arrival.name, facts, entry, changes, arrival.bits)

    def _updated(
        self,
        directory: DirNode,
        name: str,
        facts: StatResult,
        previous: Entry,
        changes: set[Change],
        bits: int,
    ) -> None:
        context = self.context
        debouncer, ref = context.debouncer, (directory, name)
        if debouncer.quiet and kind_of_mode(facts.mode) != "file":
            held = debouncer.take(ref)
            if held is not None and held.created:
                context.emit.created(directory.relative_of(name), facts, foreign=held.foreign)
                return
            if held is not None:
                previous, changes = held.previous or previous, changes | held.changes
        known: Record | None = None if isinstance(previous, DirNode) else previous
        foreign = bool(bits & OTHER)
        if debouncer.quiet and kind_of_mode(facts.mode) == "file":
            now = context.disk.monotonic()
            closed = bool(bits & CLOSED)
            debouncer.hold(
                ref,
                now,
                created=False,
                previous=known,
                changes=changes,
                foreign=foreign,
                closed=closed,
            )
            return
        context.emit.updated(directory.relative_of(name), facts, known, changes, foreign=foreign)

    def _renamed(self, departure: Departure, arrival: Arrival, replaced: Departure | None) -> None:
        context, facts, entry = self.context, arrival.facts, departure.entry
        departure.done = True
        directory, name = arrival.directory, arrival.name
        source = departure.directory.relative_of(departure.name)
        foreign = bool((arrival.bits | departure.bits) & OTHER)
        del departure.directory.entries[departure.name]
        packed = pack(facts, context.disk.now())
        if isinstance(entry, DirNode):
            previous: Record = entry.record
            entry.parent, entry.name, entry.record = directory, name, packed
            directory.entries[name] = entry
            if entry.inode != facts.inode:
                context.change_inode(entry, facts.inode)
            relative = entry.relative()
            if context.settling:
                context.settling.carry(entry, departure.directory, context.disk.monotonic())
            if context.filter.depends_on_path:  # below it, others may be left out now
                context.filter.move(source, relative)
                self.differences.later.listings.update(entry.walk())
            context.emit.renamed(source, relative, facts, previous, None, foreign=foreign)
            changes = self._changed_too(previous, departure, arrival) - {"content"}
            if changes:
                context.emit.updated(relative, facts, previous, changes, foreign=foreign)
            return
        context.record(directory, name, facts)
        stands = self._what_stood(replaced)
        held = context.debouncer.move((departure.directory, departure.name), (directory, name))
        if held is not None and held.created:
            if replaced is not None and stands:
                held.created, held.changes = False, {"content", "identity"}
                held.previous = None if isinstance(replaced.entry, DirNode) else replaced.entry
            held.closed |= bool(arrival.bits & CLOSED) and context.debouncer.ends_at_close
            return
        gone = replaced.entry if replaced is not None and stands else None
        shown: FileStat | None = None
        if gone is not None and not isinstance(gone, DirNode):
            shown = stat_of(gone) or barely_known(gone, directory.device)
        context.emit.renamed(
            source, directory.relative_of(name), facts, entry, shown, foreign=foreign
        )
        changes = self._changed_too(entry, departure, arrival)
        if changes:
            self._updated(directory, name, facts, entry, changes, arrival.bits | departure.bits)

    def _what_stood(self, replaced: Departure | None) -> bool:
        """Return whether what is replaced was ever emitted (it may have been held until now)."""
        if replaced is None:
            return False
        held = self.context.debouncer.take((replaced.directory, replaced.name))
        return held is None or not held.created

    def _changed_too(self, entry: Record, departure: Departure, arrival: Arrival) -> set[Change]:
        """Return what changed of a file besides its name, which itself explains a new ctime."""
        return changed_besides_its_name(
            entry,
            arrival.facts,
            arrival.bits | departure.bits,
            seen=departure.directory.seen,
            exact=self.context.has_exact_times(departure.directory),
            metadata=self.context.options.metadata,
        )


def _is_dir(entry: Entry) -> bool:
    """Return whether it is a directory, also one that is an entry like any other."""
    return isinstance(entry, DirNode) or kind_of(entry) == "dir"


def _unpair(departure: Departure) -> None:
    if departure.arrival is not None:
        departure.arrival.departure = None
        departure.arrival = None
