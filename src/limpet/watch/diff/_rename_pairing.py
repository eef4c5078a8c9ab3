"""Finds out what belongs together: which arrivals are departures under another name.

Folders first, for a new folder is scanned and may hold what departed elsewhere; then files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.backends import DELETE
from limpet.watch.diff._compare import Arrival, Departure
from limpet.watch.diff._context import ElsewhereError
from limpet.watch.diff._scan import scan
from limpet.watch.index._entry_record import inode_of, kind_of, kind_of_mode, same_file, unpack
from limpet.watch.index._index import Folder

if TYPE_CHECKING:
    from limpet.watch.diff._compare import Findings, Observer, Place
    from limpet.watch.diff._context import Tree
    from limpet.watch.emit._event_factory import Record
    from limpet.watch.index._entry_record import Facts

__all__ = ["Pairing"]


class Pairing:
    """The pairs of one round's findings."""

    def __init__(self, tree: Tree, observer: Observer, origins: dict[Place, Place]) -> None:
        """Take the findings; see ``Arranger``."""
        self.tree = tree
        self.observer = observer
        self.findings: Findings = observer.findings
        self.origins = origins
        self.tops: dict[Folder, Arrival] = {}
        """New folders that are scanned but not told yet -> their arrival."""

    def folders(self) -> None:
        """Find out for each folder that arrived whether it is known; take in those that are not."""
        findings, index = self.findings, self.tree.index
        handled: set[Arrival] = set()
        while waiting := [
            a for a in findings.arrivals.values() if _is_dir(a.facts) and a not in handled
        ]:
            arrival = waiting[0]
            handled.add(arrival)
            node = index.by_identity.get((arrival.facts.device, arrival.facts.inode))
            if node is not None and node.parent is not None and arrival.link == 0:
                place = (node.parent, node.name)
                if place not in findings.departures:
                    self.observer.look_at({node.parent: {node.name: 0}}, set())
                    if node.name in findings.later.get(node.parent, {}):
                        # Its old folder is on the move itself. A folder stands in one place only,
                        # so it has left there.
                        findings.departures[place] = Departure(node.parent, node.name, node, 0)
                        findings.order.append(place)
                departure = findings.departures.get(place)
                if (
                    departure is not None
                    and departure.arrival is None
                    and self._is_move(departure, arrival)
                ):
                    self._pair(departure, arrival)
                    continue
            if self.tree.options.recursive:
                self.take_in(arrival, adopt=True)

    def take_in(self, arrival: Arrival, *, adopt: bool) -> None:
        """Scan a new folder; what is met in it that is known from elsewhere arrives there."""
        tree, facts = self.tree, arrival.facts
        before = tree.index.by_identity.get((facts.device, facts.inode))
        folder = tree.node(arrival.name, arrival.folder, facts, link=arrival.link)
        try:
            handle = tree.open(folder)
        except ElsewhereError:
            # It changed again since it was looked at; its place is looked at once more.
            tree.index.forget(folder)
            if before is not None:
                tree.index.add(before)
            self.findings.later.setdefault(arrival.folder, {})[arrival.name] = arrival.bits
            arrival.done = True
            return
        except OSError as error:
            arrival.found = folder
            self.tops[folder] = arrival
            tree.blind(folder, error)
            return
        try:
            known = scan(tree, folder, handle, stats=True, adopt=adopt)
        finally:
            tree.disk.close(handle)
        arrival.found = folder
        self.tops[folder] = arrival
        for item in known:
            inner = Arrival(item.folder, item.name, item.facts, 0)
            self.findings.arrivals[item.folder, item.name] = inner

    def files(self) -> None:
        """Find out for each file that arrived whether it is one that departed."""
        departed: dict[int, list[Departure]] = {}
        for departure in self.findings.departures.values():
            if departure.arrival is None and not isinstance(departure.entry, Folder):
                departed.setdefault(inode_of(departure.entry), []).append(departure)
        self._add_implied(departed)
        self._add_hidden(departed)
        if not departed:
            return
        arrivals = [
            a
            for a in self.findings.arrivals.values()
            if a.departure is None
            and not a.done
            and (not _is_dir(a.facts) or not self.tree.options.recursive)
        ]
        for top in list(self.tops):
            arrivals.extend(self._lift_out(top, departed))
        for arrival in arrivals:
            for departure in departed.get(arrival.facts.inode, ()):
                if departure.arrival is None and self._is_move(departure, arrival):
                    self._pair(departure, arrival)
                    break

    def _pair(self, departure: Departure, arrival: Arrival) -> None:
        departure.arrival, arrival.departure = arrival, departure
        self.findings.departures.setdefault((departure.folder, departure.name), departure)

    def _add_implied(self, departed: dict[int, list[Departure]]) -> None:
        """Count as departed what a rename took out of a folder that cannot be looked into now."""
        findings = self.findings
        for place, origin in self.origins.items():
            arrival = findings.arrivals.get(place)
            if arrival is None or origin in findings.departures or arrival.departure is not None:
                continue
            folder, name = origin
            entry = folder.entries.get(name)
            waiting = name in findings.later.get(folder, {}) or folder in findings.later_full
            if entry is None or isinstance(entry, Folder) or not waiting:
                continue
            if inode_of(entry) == arrival.facts.inode:
                departure = Departure(folder, name, entry, 0)
                findings.departures[origin] = departure
                findings.order.append(origin)
                departed.setdefault(arrival.facts.inode, []).append(departure)

    def _add_hidden(self, departed: dict[int, list[Departure]]) -> None:
        """Count as departed what may have been moved out of a folder before that went itself."""
        findings = self.findings
        wanted = {
            a.facts.inode for a in findings.arrivals.values() if a.departure is None and not a.done
        }
        gone = [d for d in findings.departures.values() if d.arrival is None]
        if not wanted and not self.tops:
            return
        for departure in gone:
            if not isinstance(departure.entry, Folder):
                continue
            for folder in departure.entry.walk():
                for name, entry in folder.entries.items():
                    if isinstance(entry, Folder) or (folder, name) in findings.departures:
                        continue
                    inode = inode_of(entry)
                    if inode in wanted or self.tops:
                        departed.setdefault(inode, []).append(Departure(folder, name, entry, 0))

    def _lift_out(self, top: Folder, departed: dict[int, list[Departure]]) -> list[Arrival]:
        """Take files that were moved into a new folder out of it, as arrivals of their own."""
        lifted = []
        for folder in top.walk():
            for name, entry in list(folder.entries.items()):
                if not isinstance(entry, bytes):
                    continue
                facts = unpack(entry)
                for departure in departed.get(facts.inode, ()):
                    arrival = Arrival(folder, name, facts, 0)
                    if departure.arrival is None and self._is_move(departure, arrival):
                        self._pair(departure, arrival)
                        del folder.entries[name]
                        self.findings.arrivals[folder, name] = arrival
                        lifted.append(arrival)
                        break
        return lifted

    def _is_move(self, departure: Departure, arrival: Arrival) -> bool:
        """Weigh the evidence that what arrived is what departed."""
        entry, facts = departure.entry, arrival.facts
        record: Record = entry.record if isinstance(entry, Folder) else entry
        if (departure.folder, departure.name) == (arrival.folder, arrival.name):
            return False  # it was found to be another
        if isinstance(entry, Folder) and not entry.inode:
            return False  # the kernel has said that it is gone
        if inode_of(record) != facts.inode or kind_of(record) != kind_of_mode(facts.mode):
            return False
        origin = self.origins.get((arrival.folder, arrival.name))
        if origin == (departure.folder, departure.name) and not arrival.bits & DELETE:
            return True
        return same_file(record, departure.folder.seen, facts)


def _is_dir(facts: Facts) -> bool:
    return facts.mode & 0o170000 == 0o040000
