"""The folder watch: hints in, events out; synchronous, without threads or clocks of its own.

One look takes the hints that are waiting, looks at the places they name, and tells the differences
between belief and disk. Rounds repeat while looking shows that a folder was on the move; what is
still not clear after a few is left for the next look, which then comes at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet.backends import ATTRIB, CLOSED, CREATE, GONE, ISDIR, OTHER, SELF_MOVED, Timer
from limpet.watch.diff._compare import Comparison
from limpet.watch.diff._event_order import EventOrderer
from limpet.watch.diff._fast_path import emit_fast
from limpet.watch.index._entry_record import StatResult, kind_of_mode, unpack
from limpet.watch.index._index import DirNode
from limpet.watch.location._path_marks import Waypoint
from limpet.watch.location._root_lifecycle import RootLifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from limpet.backends import PendingHints
    from limpet.events import Kind, Origin, RescanReason
    from limpet.watch.diff._compare import Differences, EntryRef
    from limpet.watch.diff._context import DiffContext
    from limpet.watch.location._path_marks import PathMarks

__all__ = ["RETRY_S", "DirWatcher"]

_ROUNDS: Final = 6
"""Rounds of one look; each is needed only if a folder moved during the round before."""
RETRY_S: Final = 1.0
"""Seconds until something that nothing tells of is tried again (a location that cannot be watched,
a folder that could not be opened for want of descriptors)."""
_SECOND_SCAN_S: Final = 0.25
"""Seconds after which a new folder is listed again where a source watches the whole tree: on Linux
watchfiles tells of the folder before it has marked it, and misses what is made in it meanwhile."""


class DirWatcher:
    """Watches one folder location."""

    expects: Kind = "dir"

    def __init__(
        self, context: DiffContext, path_marks: PathMarks, take_more: Callable[[], PendingHints]
    ) -> None:
        """Examine nothing before ``start``.

        Args:
            context: The index and what else the parts share.
            path_marks: The way to the location.
            take_more: Return the hints that came in since the examination began.
        """
        self.context = context
        self.path_marks = path_marks
        self.root = RootLifecycle(context, path_marks)
        self.again = False
        """Something is left to examine, with or without a hint."""
        self.scans = 0
        self.rescans = 0
        self._take_more = take_more
        self._carry: dict[DirNode, dict[str, int]] = {}
        self._carry_full: set[DirNode] = set()
        options = context.options
        self._poll = context.poll
        self._retry = Timer(min(RETRY_S, max(options.poll_interval, 0.05)))
        self._rescan = Timer(options.rescan_interval)
        self._second_scan = Timer(_SECOND_SCAN_S)
        self._timers = (self._poll, self._retry, self._rescan, self._second_scan)
        self._location_doubt = False
        self._calm = False
        """The last look left nothing open and set no timer: hints are all there is to look at."""

    # -- what the shell calls ------------------------------------------------------------------

    def start(self, *, report: bool, origin: Origin, saved: DirNode | None = None) -> None:
        """Resolve, mark and list.

        Args:
            report: Make created events of what is there.
            origin: What those events say of how the change came to be known.
            saved: What was believed when the watch last ran; the differences to it are told.
        """
        emit = self.context.emit
        emit.muted, emit.existing, emit.origin = not report, report, origin
        if saved is not None:
            emit.muted, emit.existing = False, False
            self._resume(saved)
        else:
            self.root.check("deleted")
        emit.muted, emit.existing, emit.origin = False, False, "live"
        self.context.unsure.clear()  # the source was there first
        self.root.mounted = self.root.mounts_below()
        self.again = bool(self.context.relist)
        self._set_timers()

    def _resume(self, saved: DirNode) -> None:
        """Compare what was believed at the end of the last run with what is there now."""
        context = self.context
        context.index.root = saved
        for directory in saved.walk():
            context.index.add(directory)
        self.root.check("deleted")
        if context.index.root is saved:
            if context.services.tree_source is not None:
                context.services.tree_source.watch(context.base)
            self._rounds({}, set(saved.walk()), {})

    def examine(self, hints: PendingHints, *, force: bool = False) -> None:
        """Take the hints, look, and leave the events with the emitter.

        ``force`` looks at whatever could have changed without a hint, too.
        """
        self.scans += 1
        origins = self._origins(hints)
        if not (self._calm and not force and self._try_fast_path(hints, origins)):
            self._examine_fully(hints, origins, force=force)

    def _try_fast_path(self, hints: PendingHints, origins: dict[EntryRef, EntryRef]) -> bool:
        """Go the short way at once, if there is nothing but names of folders to look at."""
        if hints.lost or hints.paths or hints.mounts_changed or hints.woken:
            return False
        dirty: dict[DirNode, dict[str, int]] = {}
        for subscriber, names in hints.dirty.items():
            if not isinstance(subscriber, DirNode) or "" in names:
                return False
            dirty[subscriber] = names
        if not self._emit_fast(dirty, origins):
            return False
        if self._carry or self._carry_full or self._location_doubt:
            self.again, self._calm = True, False
        return True

    def _examine_fully(
        self, hints: PendingHints, origins: dict[EntryRef, EntryRef], *, force: bool
    ) -> None:
        context = self.context
        self.again = False
        now = context.disk.monotonic()
        self._carry_closed(hints)
        dirty, full, location = self._sort(hints)
        self._add_mounts(hints, dirty)
        location |= hints.lost is not None or hints.mounts_changed or self.path_marks.unstable
        location |= self._location_doubt
        self._location_doubt = False
        if force or self._retry.is_due(now):
            location |= self.root.is_blind
            full.update(context.degradation.retries())
        if force or self._poll.is_due(now):
            location |= self.root.is_blind
            full.update(self._polled())
        if force or self._second_scan.is_due(now):
            full |= context.unsure
            context.unsure = set()
        before = context.index.root
        if location:
            self.root.check(self.root.gone_reason())
        reason: RescanReason | None = hints.lost or (
            "interval" if self._rescan.is_due(now) else None
        )
        if reason is not None:
            self.rescans += 1
            context.emit.rescanned(reason)
            context.emit.origin = "rescan"
        if hints.lost is not None and context.index.root is not None:
            context.doubted.update(context.index.root.walk())
        unreported = reason is not None or (force and not context.services.capabilities.complete)
        if unreported and context.index.root is not None and context.index.root is before:
            full.update(context.index.root.walk())
        if hints.mounts_changed:
            self.root.mounted = self.root.mounts_below()
        for ref in context.debouncer.due(now) if context.debouncer.held else ():
            directory, name = ref
            if isinstance(directory, DirNode):
                dirty.setdefault(directory, {}).setdefault(name, 0)
        if context.degradation.location or self.root.missed:
            self._carry, self._carry_full = dirty, full
        else:
            self._rounds(dirty, full, origins)
        context.emit.origin = "live"
        self._release()
        self._set_timers()

    def deadline(self) -> float | None:
        """When the next look is due without any hint, monotonic seconds."""
        if self.again:
            return self.context.disk.monotonic()
        times = (*(timer.next for timer in self._timers), self.context.debouncer.deadline())
        return min((time for time in times if time is not None), default=None)

    def close(self) -> None:
        """Take every mark away."""
        self.path_marks.close()
        root = self.context.index.root
        if root is not None:
            for directory in list(root.walk()):
                if directory.mark is not None:
                    self.context.router.unmark(
                        directory.mark, directory, self.context.path(directory)
                    )

    def listing(self) -> Iterator[tuple[str, Kind]]:
        """Give what is believed to be there: relative path (``""`` the target), kind."""
        if self.context.index.root is not None:
            yield "", "dir"
            yield from self.context.index.listing()

    def count(self) -> int:
        """Count the entries believed in."""
        return self.context.index.count()

    # -- one look ------------------------------------------------------------------------------

    def _sort(
        self, hints: PendingHints
    ) -> tuple[dict[DirNode, dict[str, int]], set[DirNode], bool]:
        """Split the hints: places to look at, folders to list, and doubts about the location."""
        context = self.context
        dirty, full = self._carry, self._carry_full
        self._carry, self._carry_full = {}, set()
        location = False
        for subscriber, names in hints.dirty.items():
            if isinstance(subscriber, Waypoint):
                for name, bits in names.items():
                    location |= self.path_marks.concerns(subscriber, name, bits)
                continue
            if not isinstance(subscriber, DirNode):
                continue
            own_bits = names.pop("", 0)
            if own_bits:
                location |= self._self_hint(subscriber, own_bits, dirty, full)
            if names:
                _merge(dirty, subscriber, names)
        full |= context.relist
        context.relist = set()
        for directory in context.reexamine:
            if directory.parent is not None:
                dirty.setdefault(directory.parent, {}).setdefault(directory.name, 0)
        context.reexamine = []
        for path in hints.paths:
            location |= self._path_hint(path, dirty, full)
        return dirty, full, location

    def _carry_closed(self, hints: PendingHints) -> None:
        """A file that its writer closed before it was renamed is closed under its new name too."""
        if not self.context.debouncer.quiet:
            return
        for source, name, target, to_name in hints.moves:
            closed = hints.dirty.get(source, {}).get(name, 0) & CLOSED
            if closed:
                names = hints.dirty.setdefault(target, {})
                names[to_name] = names.get(to_name, 0) | closed

    def _self_hint(
        self,
        directory: DirNode,
        bits: int,
        dirty: dict[DirNode, dict[str, int]],
        full: set[DirNode],
    ) -> bool:
        """A marked folder says something of itself; tells whether the location is in doubt."""
        if bits & GONE:
            # The next folder may be given its inode number within the same tick of the clock: only
            # this hint tells the two apart, and the new one has no mark yet.
            self.context.index.lose_identity(directory)
        if directory.parent is None:
            if directory is self.context.index.root:
                self.root.bits |= bits
                if directory.blind is not None:
                    full.add(directory)
            return True
        if bits & (GONE | SELF_MOVED | ATTRIB):
            names = dirty.setdefault(directory.parent, {})
            names[directory.name] = names.get(directory.name, 0) | (bits & (ATTRIB | OTHER))
        return False

    def _path_hint(
        self, path: str, dirty: dict[DirNode, dict[str, int]], full: set[DirNode]
    ) -> bool:
        """Something changed at or below an absolute path (a source that watches whole trees)."""
        directory = self.context.index.root
        if directory is None or not path.startswith(self.context.base + "/"):
            return True
        parts = path[len(self.context.base) + 1 :].split("/")
        for index, part in enumerate(parts):
            entry = directory.entries.get(part)
            if not isinstance(entry, DirNode) or index == len(parts) - 1:
                dirty.setdefault(directory, {}).setdefault(part, 0)
                if isinstance(entry, DirNode):
                    full.add(entry)
                break
            directory = entry
        return False

    def _origins(self, hints: PendingHints) -> dict[EntryRef, EntryRef]:
        """Follow the renames that were seen: for each place now, the place before all of them."""
        origins: dict[EntryRef, EntryRef] = {}
        if not hints.moves:
            return origins
        for source, name, target, to_name in hints.moves:
            if isinstance(source, DirNode) and isinstance(target, DirNode):
                start = origins.pop((source, name), (source, name))
                origins[target, to_name] = start
        return origins

    def _rounds(
        self,
        dirty: dict[DirNode, dict[str, int]],
        full: set[DirNode],
        origins: dict[EntryRef, EntryRef],
    ) -> None:
        context = self.context
        for _ in range(_ROUNDS):
            if not dirty and not full:
                break
            if not full and self._emit_fast(dirty, origins):
                dirty, full = self._with_carried({}, set())
                continue
            comparison = Comparison(context)
            comparison.compare(dirty, full)
            if context.degradation.location:
                break
            if comparison.differences.departures:
                # The other half of a rename may have come in since: then it is one, not two.
                self._add_more(self._take_more(), origins)
            orderer = EventOrderer(context, comparison, origins)
            orderer.run()
            differences = comparison.differences
            self._emit_transient(differences)
            if differences.root_lost:
                self.root.check(self.root.gone_reason())
            dirty, full = self._with_carried(differences.later, differences.later_full)
            if context.own_writes.any_open() and self._all_claimed(dirty) and not full:
                break
            for directory in differences.refilter:
                full.update(directory.walk())
                context.emit.rescanned("ignore-file")
        self._keep(dirty, full)

    def _emit_fast(
        self, dirty: dict[DirNode, dict[str, int]], origins: dict[EntryRef, EntryRef]
    ) -> bool:
        """Go the short way if that is enough; if not, nothing has changed."""
        context = self.context
        if not context.fast:
            return False

        def add_more() -> None:
            self._add_more(self._take_more(), origins)

        return emit_fast(context, dirty, origins, add_more)

    def _keep(self, dirty: dict[DirNode, dict[str, int]], full: set[DirNode]) -> None:
        """Keep for the next look what could not be looked at, and say when that is due."""
        context, index = self.context, self.context.index
        for directory, names in dirty.items():
            if index.contains(directory):
                self._carry.setdefault(directory, {}).update(names)
        self._carry_full = {directory for directory in full if index.contains(directory)}
        is_open = self._all_claimed(self._carry) and not self._carry_full
        self.again = bool(self._carry or self._carry_full or context.relist) and not is_open
        self.again &= not context.degradation.location
        self.again |= self._location_doubt

    def _add_more(self, hints: PendingHints, origins: dict[EntryRef, EntryRef]) -> None:
        """Take hints that came in meanwhile: renames count at once, places in the next round."""
        if hints.lost is not None:
            self.context.services.hints.lose(hints.lost)
        self.context.services.hints.mounts_changed |= hints.mounts_changed
        origins.update(self._origins(hints))
        dirty, full, location = self._sort(hints)
        for directory, names in dirty.items():
            _merge(self._carry, directory, names)
        self._carry_full |= full
        self._location_doubt |= location

    def _with_carried(
        self, dirty: dict[DirNode, dict[str, int]], full: set[DirNode]
    ) -> tuple[dict[DirNode, dict[str, int]], set[DirNode]]:
        """Give what the next round has to look at: what this one left over, and what came in."""
        full = full | self._carry_full | self.context.relist
        self.context.relist = set()
        for directory, names in self._carry.items():
            _merge(dirty, directory, names)
        self._carry, self._carry_full = {}, set()
        return dirty, full

    def _all_claimed(self, dirty: dict[DirNode, dict[str, int]]) -> bool:
        """Whether all that is left waits for own writes to be finished."""
        is_open = self.context.own_writes.is_open
        return all(
            is_open(f"{self.context.path(directory)}/{name}")
            for directory, names in dirty.items()
            for name in names
        )

    def _emit_transient(self, differences: Differences) -> None:
        """Tell of what came and went between two looks, if asked to."""
        context = self.context
        if not context.options.transient:
            return
        for directory, name, bits in differences.fleeting:
            if not bits & CREATE or not context.index.contains(directory):
                continue
            is_dir = bool(bits & ISDIR)
            if context.filter.hides(directory.relative(), name, is_dir=is_dir):
                continue
            relative = f"{directory.relative()}/{name}".lstrip("/")
            form = 0o040000 if is_dir else 0o100000
            facts = StatResult(form, 0, 0, 0, directory.device, 0, 0, 0, 0, 0)
            context.emit.created(relative, facts, foreign=bool(bits & OTHER), transient=True)
            context.emit.deleted(relative, None, kind_of_mode(form), foreign=bool(bits & OTHER))

    def _release(self) -> None:
        """Tell of held files whose time has come."""
        context = self.context
        if not context.debouncer.held:
            return
        for ref in context.debouncer.due(context.disk.monotonic()):
            held = context.debouncer.take(ref)
            directory, name = ref
            if held is None or not isinstance(directory, DirNode):
                continue
            entry = directory.entries.get(name)
            if not isinstance(entry, bytes):
                continue
            relative = f"{directory.relative()}/{name}".lstrip("/")
            if held.created:
                context.emit.created(relative, unpack(entry), foreign=held.foreign)
            else:
                context.emit.updated(
                    relative, unpack(entry), held.previous, held.changes, foreign=held.foreign
                )

    def _add_mounts(self, hints: PendingHints, dirty: dict[DirNode, dict[str, int]]) -> None:
        """After a change of the mount table, look at every folder that was mounted on or off."""
        if not hints.mounts_changed:
            return
        before, now = self.root.mounted, self.root.mounts_below()
        for point in before.keys() | now.keys():
            if before.get(point) != now.get(point) and point.startswith(self.root.real + "/"):
                self._path_hint(self.context.base + point[len(self.root.real) :], dirty, set())

    def _polled(self) -> Iterator[DirNode]:
        for directory in self._poll.directories:
            if isinstance(directory, DirNode):
                yield directory

    # -- timers --------------------------------------------------------------------------------

    def _set_timers(self) -> None:
        """Start each timer that has run out or is newly needed, and stop the others."""
        context, now = self.context, self.context.disk.monotonic()
        blind = self.root.is_blind
        timed = context.services.capabilities.kind == "timer"
        polling = bool(self._poll.directories) or (timed and blind)
        retry = blind or bool(context.degradation.retries())
        self._poll.schedule(now, needed=polling)
        self._retry.schedule(now, needed=retry)
        self._second_scan.schedule(now, needed=bool(context.unsure))
        self._rescan.schedule(now)
        self._calm = not (
            self.again
            or retry
            or polling
            or self._rescan.interval is not None
            or context.debouncer.held
            or context.relist
            or context.reexamine
            or context.unsure
        )


def _merge(dirty: dict[DirNode, dict[str, int]], directory: DirNode, names: dict[str, int]) -> None:
    """Add names with their hints; a mapping that comes first is kept as it is."""
    there = dirty.get(directory)
    if there is None:
        dirty[directory] = names
    else:
        for name, bits in names.items():
            there[name] = there.get(name, 0) | bits
