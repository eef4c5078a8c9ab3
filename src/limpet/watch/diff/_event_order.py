"""Pairs what departed with what arrived, and tells it all in an order that can be replayed.

The order is found by doing: each change first makes way for itself. An arrival needs its folder to
be there and its name to be free; a deleted folder first lets go what was moved out of it. Where
renames wait for each other in a circle (two names exchanged), the circle is opened by telling its
members as replaced (files) or as gone and come anew (folders).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.backends import CLOSED, OTHER
from limpet.watch.diff._change_detection import changed_besides_its_name
from limpet.watch.diff._compare import Arrival, Departure
from limpet.watch.diff._rename_pairing import Pairing
from limpet.watch.emit._event_factory import barely_known, stat_of
from limpet.watch.index._entry_record import (
    kind_of,
    kind_of_mode,
    pack,
    unpack,
)
from limpet.watch.index._index import Folder

if TYPE_CHECKING:
    from limpet.events import Change, FileStat
    from limpet.watch.diff._compare import Findings, Observer, Place
    from limpet.watch.diff._context import Tree
    from limpet.watch.emit._event_factory import Record
    from limpet.watch.index._entry_record import Facts
    from limpet.watch.index._index import Entry

__all__ = ["Arranger"]


class Arranger:
    """Tells the findings of one round and brings the belief up to them."""

    def __init__(self, tree: Tree, observer: Observer, origins: dict[Place, Place]) -> None:
        """Take the findings.

        Args:
            tree: The watch's tree.
            observer: The round of looking; asked again where a pair needs its other half.
            origins: What the backend saw of renames: place now -> place before.
        """
        self.tree = tree
        self.observer = observer
        self.findings: Findings = observer.findings
        self.pairing = Pairing(tree, observer, origins)
        self.tops = self.pairing.tops

    def run(self) -> None:
        """Pair, then tell."""
        self.pairing.folders()
        self.pairing.files()
        findings = self.findings
        for place in list(findings.order):
            update = findings.updates.get(place)
            if update is not None:
                self._updated(
                    update.folder,
                    update.name,
                    update.facts,
                    update.previous,
                    update.changes,
                    update.bits,
                )
            arrival = findings.arrivals.get(place)
            if arrival is not None:
                self._arrive(arrival)
            departure = findings.departures.get(place)
            if departure is not None:
                self._depart(departure)
        for arrival in list(findings.arrivals.values()):
            self._arrive(arrival)  # those met inside new folders, and those whose folder came late
        for arrival in self.tops.values():
            if not arrival.done and arrival.found is not None:
                self._discard(arrival.found)
        self._put_off_rest()

    def _put_off_rest(self) -> None:
        """Have looked at again whatever could not be told, so that nothing is left behind."""
        findings, index = self.findings, self.tree.index
        rest: list[Arrival | Departure] = [a for a in findings.arrivals.values() if not a.done]
        rest.extend(d for d in findings.departures.values() if not d.done)
        for item in rest:
            if index.contains(item.folder):
                findings.later.setdefault(item.folder, {})[item.name] = item.bits

    # -- telling -------------------------------------------------------------------------------

    def _arrive(self, arrival: Arrival) -> None:
        if arrival.done or arrival.visiting or not self._has_folder(arrival):
            return
        arrival.visiting = True
        folder = arrival.folder
        replaced = self._make_way(arrival)
        departure = arrival.departure
        if (
            departure is not None
            and isinstance(departure.entry, Folder)
            and folder.lies_in(departure.entry)
        ):
            self._move_out(folder, departure.entry)
            if folder.lies_in(departure.entry):
                _unpair(departure)
        departure = arrival.departure
        if departure is not None and not departure.is_believed:
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

    def _has_folder(self, arrival: Arrival) -> bool:
        """Make sure that the folder it arrived in is in the tree, telling it first if it is new."""
        folder: Folder | None = arrival.folder
        while folder is not None and folder not in self.tops:
            folder = folder.parent
        if folder is not None:
            self._arrive(self.tops[folder])
        if self.tree.index.contains(arrival.folder):
            return True
        if arrival.departure is not None:
            _unpair(arrival.departure)
        return False

    def _make_way(self, arrival: Arrival) -> Departure | None:
        """Free the name; gives the file that the arrival replaces in one step."""
        place = (arrival.folder, arrival.name)
        occupant = arrival.folder.entries.get(arrival.name)
        departure = self.findings.departures.get(place)
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
        if isinstance(occupant, Folder) or _is_dir(arrival.facts):
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
            arrival = self.findings.arrivals.get((departure.folder, departure.name))

    def _move_out(self, folder: Folder, entry: Folder) -> None:
        """Let go what was moved out of ``entry`` and holds ``folder``."""
        for other in list(self.findings.departures.values()):
            node = other.entry
            if (
                isinstance(node, Folder)
                and node is not entry
                and other.arrival is not None
                and not other.done
                and folder.lies_in(node)
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
        if departure.folder.entries.get(departure.name) is not entry:
            departure.done = True
            return
        departure.done = True
        if isinstance(entry, Folder):
            for other in list(self.findings.departures.values()):
                if other.arrival is not None and not other.done and other.folder.lies_in(entry):
                    self._arrive(other.arrival)
                    if not other.done:  # it waits for this very folder to go
                        _unpair(other)
        self.remove(departure.folder, departure.name, foreign=bool(departure.bits & OTHER))

    def remove(self, folder: Folder, name: str, *, foreign: bool = False) -> None:
        """Tell that an entry is gone, and before it all that is in it."""
        entry = folder.entries[name]
        tree = self.tree
        if isinstance(entry, Folder):
            self.empty(entry)
            relative = entry.relative()
            tree.drop(entry)
            del folder.entries[name]
            tree.filter.drop(relative)
            tree.emit.deleted(relative, entry.record, "dir", foreign=foreign)
            return
        del folder.entries[name]
        held = tree.settler.take((folder, name))
        if held is not None and held.created:
            return
        tree.emit.deleted(_join(folder, name), entry, kind_of(entry), foreign=foreign)

    def empty(self, top: Folder) -> None:
        """Tell that all is gone that is in a folder, children first."""
        for folder in reversed(list(top.walk())):
            for name, entry in list(folder.entries.items()):
                if not isinstance(entry, Folder):
                    self.remove(folder, name)
            if folder is not top and folder.parent is not None:
                self.remove(folder.parent, folder.name)

    def _discard(self, top: Folder) -> None:
        """Forget a scanned folder that never became part of the tree."""
        for folder in list(top.walk()):
            self.tree.drop(folder)

    def _created(self, arrival: Arrival) -> None:
        folder, name, facts = arrival.folder, arrival.name, arrival.facts
        foreign = bool(arrival.bits & OTHER)
        if not _is_dir(facts) or not self.tree.options.recursive:
            folder.entries[name] = pack(facts, self.tree.disk.now())
            self._tell_created(folder, name, facts, arrival.bits)
            return
        if arrival.found is None:
            self.pairing.take_in(arrival, adopt=False)
        found = arrival.found
        if found is None:
            return
        self.tops.pop(found, None)
        found.parent, found.name = folder, name
        folder.entries[name] = found
        self.tree.emit.created(found.relative(), unpack(found.record), foreign=foreign)
        self.tell_content(found)

    def tell_content(self, top: Folder) -> None:
        """Tell all that is in a folder as created, parents first."""
        for folder in top.walk():
            if folder is not top:
                self.tree.emit.created(folder.relative(), unpack(folder.record))
            for name, entry in folder.entries.items():
                if isinstance(entry, bytes):
                    self._tell_created(folder, name, unpack(entry), 0)

    def _tell_created(self, folder: Folder, name: str, facts: Facts, bits: int) -> None:
        tree = self.tree
        foreign = bool(bits & OTHER)
        if (
            tree.settler.quiet
            and kind_of_mode(facts.mode) == "file"
            and not bits & CLOSED
            and not tree.emit.existing
        ):
            tree.settler.hold((folder, name), tree.disk.monotonic(), created=True, foreign=foreign)
            return
        tree.emit.created(_join(folder, name), facts, foreign=foreign)

    def _replaced(self, arrival: Arrival, departure: Departure) -> None:
        """Tell that another file stands at a name: one update."""
        entry = departure.entry
        if isinstance(entry, Folder):
            return
        tree, facts = self.tree, arrival.facts
        arrival.folder.entries[arrival.name] = pack(facts, tree.disk.now())
        changes: set[Change] = {"identity"}
        if isinstance(entry, int):
            changes.add("content")
        else:
            was = unpack(entry)
            if was.size != facts.size or was.mtime != facts.mtime:
                changes.add("content")
            if tree.options.metadata:
                if (was.mode ^ facts.mode) & 0o7777:
                    changes.add("mode")
                if (was.uid, was.gid) != (facts.uid, facts.gid):
                    changes.add("owner")
        self._updated(arrival.folder, arrival.name, facts, entry, changes, arrival.bits)

    def _updated(
        self,
        folder: Folder,
        name: str,
        facts: Facts,
        previous: Entry,
        changes: set[Change],
        bits: int,
    ) -> None:
        tree = self.tree
        settler, place = tree.settler, (folder, name)
        known: Record | None = None if isinstance(previous, Folder) else previous
        foreign = bool(bits & OTHER)
        if settler.quiet and kind_of_mode(facts.mode) == "file":
            now = tree.disk.monotonic()
            closed = bool(bits & CLOSED)
            settler.hold(
                place,
                now,
                created=False,
                previous=known,
                changes=changes,
                foreign=foreign,
                closed=closed,
            )
            return
        tree.emit.updated(_join(folder, name), facts, known, changes, foreign=foreign)

    def _renamed(self, departure: Departure, arrival: Arrival, replaced: Departure | None) -> None:
        tree, facts, entry = self.tree, arrival.facts, departure.entry
        departure.done = True
        folder, name = arrival.folder, arrival.name
        source = _join(departure.folder, departure.name)
        foreign = bool((arrival.bits | departure.bits) & OTHER)
        del departure.folder.entries[departure.name]
        packed = pack(facts, tree.disk.now())
        if isinstance(entry, Folder):
            previous: Record = entry.record
            entry.parent, entry.name, entry.record = folder, name, packed
            folder.entries[name] = entry
            relative = entry.relative()
            tree.filter.move(source, relative)
            tree.emit.renamed(source, relative, facts, previous, None, foreign=foreign)
            changes = self._changed_too(previous, departure, arrival) - {"content"}
            if changes:
                tree.emit.updated(relative, facts, previous, changes, foreign=foreign)
            return
        folder.entries[name] = packed
        stands = self._what_stood(replaced)
        held = tree.settler.move((departure.folder, departure.name), (folder, name))
        if held is not None and held.created:
            if replaced is not None and stands:
                held.created, held.changes = False, {"content", "identity"}
                held.previous = None if isinstance(replaced.entry, Folder) else replaced.entry
            held.closed |= bool(arrival.bits & CLOSED)
            return
        gone = replaced.entry if replaced is not None and stands else None
        shown: FileStat | None = None
        if gone is not None and not isinstance(gone, Folder):
            shown = stat_of(gone) or barely_known(gone, folder.device)
        tree.emit.renamed(source, _join(folder, name), facts, entry, shown, foreign=foreign)
        changes = self._changed_too(entry, departure, arrival)
        if changes:
            self._updated(folder, name, facts, entry, changes, arrival.bits | departure.bits)

    def _what_stood(self, replaced: Departure | None) -> bool:
        """Whether the stream knows what is replaced (it may have been held back until now)."""
        if replaced is None:
            return False
        held = self.tree.settler.take((replaced.folder, replaced.name))
        return held is None or not held.created

    def _changed_too(self, entry: Record, departure: Departure, arrival: Arrival) -> set[Change]:
        """What changed of a file besides its name; the name itself explains a new ctime."""
        return changed_besides_its_name(
            entry,
            arrival.facts,
            arrival.bits | departure.bits,
            seen=departure.folder.seen,
            exact=self.tree.disk.exact_times,
            metadata=self.tree.options.metadata,
        )


def _unpair(departure: Departure) -> None:
    if departure.arrival is not None:
        departure.arrival.departure = None
        departure.arrival = None


def _is_dir(facts: Facts) -> bool:
    return facts.mode & 0o170000 == 0o040000


def _join(folder: Folder, name: str) -> str:
    relative = folder.relative()
    return f"{relative}/{name}" if relative else name
