"""Rename pairing: finds which arrivals are departures under another name.

Directories come first, because a new directory is scanned and may hold what departed elsewhere;
then files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._file_stat import kind_of_mode
from limpet.backends import DELETE
from limpet.watching.diff._agenda import Agenda
from limpet.watching.diff._compare import Arrival, Departure
from limpet.watching.diff._context import ElsewhereError
from limpet.watching.diff._scan import scan
from limpet.watching.index._entry_record import inode_of, kind_of, same_file, unpack
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from limpet.watching.diff._compare import Comparison, Differences, EntryRef
    from limpet.watching.diff._context import DiffContext
    from limpet.watching.emit._event_factory import Record
    from limpet.watching.index._entry_record import StatResult


class RenamePairing:
    """The pairs among the differences of one round."""

    def __init__(
        self, context: DiffContext, comparison: Comparison, origins: dict[EntryRef, EntryRef]
    ) -> None:
        self.context = context
        self.comparison = comparison
        self.differences: Differences = comparison.differences
        self.origins = origins
        self.tops: dict[DirNode, Arrival] = {}
        """New directories that are scanned but not emitted yet -> their arrival."""

    def directories(self) -> None:
        """Find the new directories that the index has elsewhere, and scan the others."""
        differences, index = self.differences, self.context.index
        handled: set[Arrival] = set()
        while waiting := [
            a for a in differences.arrivals.values() if a.facts.is_dir and a not in handled
        ]:
            arrival = waiting[0]
            handled.add(arrival)
            node = index.find(arrival.facts.device, arrival.facts.inode)
            if not self.context.traits(arrival.directory).stable_inodes:
                node = self._same_by_name(arrival)
            if node is not None and node.parent is not None and arrival.link == 0:
                ref = (node.parent, node.name)
                if ref not in differences.departures:
                    self.comparison.compare(Agenda({node.parent: {node.name: 0}}))
                    if node.name in differences.later.names.get(node.parent, {}):
                        # Its old directory is being moved itself. A directory is in one place
                        # only, so it has left that one.
                        differences.departures[ref] = Departure(node.parent, node.name, node, 0)
                        differences.order.append(ref)
                departure = differences.departures.get(ref)
                if (
                    departure is not None
                    and departure.arrival is None
                    and self._is_move(departure, arrival)
                ):
                    self._pair(departure, arrival)
                    continue
            if self.context.options.recursive:
                self.take_in(arrival, adopt=True)

    def take_in(self, arrival: Arrival, *, adopt: bool) -> None:
        """Scan a new directory; an entry found in it that the index has elsewhere arrives in it."""
        context, facts = self.context, arrival.facts
        before = context.index.find(facts.device, facts.inode)
        directory = context.make_node(arrival.name, arrival.directory, facts, link=arrival.link)
        try:
            handle = context.open(directory)
        except ElsewhereError:
            # It changed again since it was examined; its name is examined once more.
            context.index.forget(directory)
            if before is not None:
                context.index.add(before)
            self.differences.later.put_off(
                arrival.directory, {arrival.name: arrival.bits}, listing=False
            )
            arrival.done = True
            return
        except OSError as error:
            arrival.found = directory
            self.tops[directory] = arrival
            context.blind(directory, error)
            return
        try:
            known = scan(context, directory, handle, stats=True, adopt=adopt)
        finally:
            context.disk.close(handle)
        arrival.found = directory
        self.tops[directory] = arrival
        for item in known:
            inner = Arrival(item.directory, item.name, item.facts, 0)
            self.differences.arrivals[item.directory, item.name] = inner

    def files(self) -> None:
        """Find out for each file that arrived whether it is one that departed."""
        departed: dict[int, list[Departure]] = {}
        for departure in self.differences.departures.values():
            if departure.arrival is None and not isinstance(departure.entry, DirNode):
                departed.setdefault(inode_of(departure.entry), []).append(departure)
        self._add_implied(departed)
        self._add_hidden(departed)
        if not departed:
            return
        arrivals = [
            a
            for a in self.differences.arrivals.values()
            if a.departure is None
            and not a.done
            and (not a.facts.is_dir or not self.context.options.recursive)
        ]
        for top in list(self.tops):
            arrivals.extend(self._lift_out(top, departed))
        for arrival in arrivals:
            candidates = departed.get(arrival.facts.inode, ())
            if not self.context.traits(arrival.directory).stable_inodes:
                candidates = self._candidates_by_name(arrival)
            for departure in candidates:
                if departure.arrival is None and self._is_move(departure, arrival):
                    self._pair(departure, arrival)
                    break

    def _candidates_by_name(self, arrival: Arrival) -> list[Departure]:
        """Return what may have arrived where inode numbers prove nothing.

        That is what the backend reported as renamed, and a name that differs by its spelling alone
        where one file has both.
        """
        departures, directory, name = self.differences.departures, arrival.directory, arrival.name
        origin = self.origins.get((directory, name))
        found = [departures[origin]] if origin in departures else []
        if not self.context.traits(directory).case_sensitive:
            found += [
                departure
                for (where, other), departure in departures.items()
                if where is directory and other != name and other.casefold() == name.casefold()
            ]
        return found

    def _same_by_name(self, arrival: Arrival) -> DirNode | None:
        for departure in self._candidates_by_name(arrival):
            if isinstance(departure.entry, DirNode) and departure.arrival is None:
                return departure.entry
        return None

    def _pair(self, departure: Departure, arrival: Arrival) -> None:
        departure.arrival, arrival.departure = arrival, departure
        self.differences.departures.setdefault((departure.directory, departure.name), departure)

    def _add_implied(self, departed: dict[int, list[Departure]]) -> None:
        """Count as departed what a rename took out of a directory that cannot be examined now."""
        differences, later = self.differences, self.differences.later
        for ref, origin in self.origins.items():
            arrival = differences.arrivals.get(ref)
            if arrival is None or origin in differences.departures or arrival.departure is not None:
                continue
            directory, name = origin
            entry = directory.entries.get(name)
            waiting = name in later.names.get(directory, {}) or directory in later.listings
            if entry is None or isinstance(entry, DirNode) or not waiting:
                continue
            if inode_of(entry) == arrival.facts.inode:
                departure = Departure(directory, name, entry, 0)
                differences.departures[origin] = departure
                differences.order.append(origin)
                departed.setdefault(arrival.facts.inode, []).append(departure)

    def _add_hidden(self, departed: dict[int, list[Departure]]) -> None:
        """Count as departed what may have been moved out of a directory before that went itself."""
        differences = self.differences
        wanted = {
            a.facts.inode
            for a in differences.arrivals.values()
            if a.departure is None and not a.done
        }
        gone = [d for d in differences.departures.values() if d.arrival is None]
        if not wanted and not self.tops:
            return
        for departure in gone:
            if not isinstance(departure.entry, DirNode):
                continue
            for directory in departure.entry.walk():
                for name, entry in directory.entries.items():
                    if isinstance(entry, DirNode) or (directory, name) in differences.departures:
                        continue
                    inode = inode_of(entry)
                    if inode in wanted or self.tops:
                        departed.setdefault(inode, []).append(Departure(directory, name, entry, 0))

    def _lift_out(self, top: DirNode, departed: dict[int, list[Departure]]) -> list[Arrival]:
        """Take files that were moved into a new directory out of it, as arrivals of their own."""
        lifted = []
        for directory in top.walk():
            for name, entry in list(directory.entries.items()):
                if not isinstance(entry, bytes):
                    continue
                facts = unpack(entry)
                for departure in departed.get(facts.inode, ()):
                    arrival = Arrival(directory, name, facts, 0)
                    if departure.arrival is None and self._is_move(departure, arrival):
                        self._pair(departure, arrival)
                        del directory.entries[name]
                        self.differences.arrivals[directory, name] = arrival
                        lifted.append(arrival)
                        break
        return lifted

    def _is_move(self, departure: Departure, arrival: Arrival) -> bool:
        """Return whether what arrived is what departed, by the evidence."""
        entry, facts = departure.entry, arrival.facts
        record: Record = entry.record if isinstance(entry, DirNode) else entry
        if (departure.directory, departure.name) == (arrival.directory, arrival.name):
            return False  # it was found to be another
        if isinstance(entry, DirNode) and not entry.inode:
            return False  # the kernel has reported that it is gone
        if kind_of(record) != kind_of_mode(facts.mode):
            return False
        traits = self.context.traits(departure.directory)
        if traits.stable_inodes and inode_of(record) != facts.inode:
            return False
        origin = self.origins.get((arrival.directory, arrival.name))
        if origin == (departure.directory, departure.name) and not arrival.bits & DELETE:
            return True
        if (
            not traits.case_sensitive
            and departure.directory is arrival.directory
            and departure.name.casefold() == arrival.name.casefold()
            and _differs_by_name_alone(record, facts)
        ):
            return True
        if not traits.stable_inodes:
            return False
        return same_file(record, departure.directory.seen, facts, births=traits.stable_births)


def _differs_by_name_alone(record: Record, facts: StatResult) -> bool:
    """Return whether nothing but the name and the inode number differs."""
    if isinstance(record, int) or facts.is_dir:
        return True
    was = unpack(record)
    return was.size == facts.size and was.mtime == facts.mtime
