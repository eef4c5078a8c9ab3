"""The folder watch: hints in, events out; synchronous, without threads or clocks of its own.

One look takes the hints that are waiting, looks at the places they name, and tells the differences
between belief and disk. Rounds repeat while looking shows that a folder was on the move; what is
still not clear after a few is left for the next look, which then comes at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet.backends import ATTRIB, CLOSED, CREATE, GONE, ISDIR, OTHER, SELF_MOVED
from limpet.watch.diff._compare import Observer
from limpet.watch.diff._event_order import Arranger
from limpet.watch.diff._fast_path import tell_plainly
from limpet.watch.index._entry_record import Facts, kind_of_mode, unpack
from limpet.watch.index._index import Folder
from limpet.watch.location._path_marks import Waypoint
from limpet.watch.location._root_lifecycle import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from limpet.backends import Inbox
    from limpet.events import Kind, Origin, RescanReason
    from limpet.watch.diff._compare import Findings, Place
    from limpet.watch.diff._context import Tree
    from limpet.watch.location._path_marks import Tracker

__all__ = ["RETRY_S", "DirEngine"]

_ROUNDS: Final = 6
"""Rounds of one look; each is needed only if a folder moved during the round before."""
RETRY_S: Final = 1.0
"""Seconds until something that nothing tells of is tried again (a location that cannot be watched,
a folder that could not be opened for want of descriptors)."""
_SECOND_LOOK_S: Final = 0.25
"""Seconds after which a new folder is listed again where a source watches the whole tree: on Linux
watchfiles tells of the folder before it has marked it, and misses what is made in it meanwhile."""


class DirEngine:
    """Watches one folder location."""

    expects: Kind = "dir"

    def __init__(self, tree: Tree, tracker: Tracker) -> None:
        """Know the parts; nothing is looked at before ``start``."""
        self.tree = tree
        self.tracker = tracker
        self.target = Target(tree, tracker)
        self.again = False
        """Something is left to look at, hint or no hint."""
        self.looks = 0
        self.rescans = 0
        self.more: Callable[[], Inbox] | None = None
        """Fetches what came in since the look began."""
        self._carry: dict[Folder, dict[str, int]] = {}
        self._carry_full: set[Folder] = set()
        self._next_poll: float | None = None
        self._next_retry: float | None = None
        self._next_rescan: float | None = None
        self._next_second: float | None = None
        self._location_doubt = False
        self._calm = False
        """The last look left nothing open and set no timer: hints are all there is to look at."""

    # -- what the shell calls ------------------------------------------------------------------

    def start(self, *, tell: bool, origin: Origin, saved: Folder | None = None) -> None:
        """Resolve, mark and list.

        Args:
            tell: Make created events of what is there.
            origin: What those events say of how the change came to be known.
            saved: What was believed when the watch last ran; the differences to it are told.
        """
        emit = self.tree.emit
        emit.muted, emit.existing, emit.origin = not tell, tell, origin
        if saved is not None:
            emit.muted, emit.existing = False, False
            self._resume(saved)
        else:
            self.target.check("deleted")
        emit.muted, emit.existing, emit.origin = False, False, "live"
        self.tree.unsure.clear()  # the source was there first
        self.target.mounted = self.target.mounts_below()
        self.again = bool(self.tree.relist)
        self._set_timers()

    def _resume(self, saved: Folder) -> None:
        """Compare what was believed at the end of the last run with what is there now."""
        tree = self.tree
        tree.index.root = saved
        for folder in saved.walk():
            tree.index.add(folder)
        self.target.check("deleted")
        if tree.index.root is saved:
            if tree.watch_whole is not None:
                tree.watch_whole(tree.base)
            self._rounds({}, set(saved.walk()), {})

    def look(self, inbox: Inbox, *, force: bool = False) -> None:
        """Take the hints, look, and leave the events with the emitter.

        ``force`` looks at whatever could have changed without a hint, too.
        """
        self.looks += 1
        origins = self._origins(inbox)
        if not (self._calm and not force and self._look_plainly(inbox, origins)):
            self._look_fully(inbox, origins, force=force)

    def _look_plainly(self, inbox: Inbox, origins: dict[Place, Place]) -> bool:
        """Go the short way at once, if there is nothing but names of folders to look at."""
        if inbox.lost or inbox.paths or inbox.mounts_changed or inbox.woken:
            return False
        dirty: dict[Folder, dict[str, int]] = {}
        for subscriber, names in inbox.dirty.items():
            if not isinstance(subscriber, Folder) or "" in names:
                return False
            dirty[subscriber] = names
        if not self._tell_plainly(dirty, origins):
            return False
        if self._carry or self._carry_full or self._location_doubt:
            self.again, self._calm = True, False
        return True

    def _look_fully(self, inbox: Inbox, origins: dict[Place, Place], *, force: bool) -> None:
        tree = self.tree
        self.again = False
        now = tree.disk.monotonic()
        self._carry_closed(inbox)
        dirty, full, location = self._sort(inbox)
        self._add_mounts(inbox, dirty)
        location |= inbox.lost is not None or inbox.mounts_changed or self.tracker.unstable
        location |= self._location_doubt
        self._location_doubt = False
        if force or self._is_due(self._next_retry, now):
            location |= self.target.is_blind
            full.update(tree.troubles.retries())
        if force or self._is_due(self._next_poll, now):
            location |= self.target.is_blind
            full |= tree.polled
        if force or self._is_due(self._next_second, now):
            full |= tree.unsure
            tree.unsure = set()
        before = tree.index.root
        if location:
            self.target.check(self.target.gone_reason())
        reason: RescanReason | None = inbox.lost or (
            "interval" if self._is_due(self._next_rescan, now) else None
        )
        if reason is not None:
            self.rescans += 1
            tree.emit.rescanned(reason)
            tree.emit.origin = "rescan"
        if inbox.lost is not None and tree.index.root is not None:
            tree.doubted.update(tree.index.root.walk())
        untold = reason is not None or (force and not tree.trusted)
        if untold and tree.index.root is not None and tree.index.root is before:
            full.update(tree.index.root.walk())
        if inbox.mounts_changed:
            self.target.mounted = self.target.mounts_below()
        for place in tree.settler.due(now) if tree.settler.held else ():
            folder, name = place
            if isinstance(folder, Folder):
                dirty.setdefault(folder, {}).setdefault(name, 0)
        if tree.troubles.location or self.target.missed:
            self._carry, self._carry_full = dirty, full
        else:
            self._rounds(dirty, full, origins)
        tree.emit.origin = "live"
        self._release()
        self._set_timers()

    def deadline(self) -> float | None:
        """When the next look is due without any hint, monotonic seconds."""
        if self.again:
            return self.tree.disk.monotonic()
        times = (
            self._next_poll,
            self._next_retry,
            self._next_rescan,
            self._next_second,
            self.tree.settler.deadline(),
        )
        return min((time for time in times if time is not None), default=None)

    def close(self) -> None:
        """Take every mark away."""
        self.tracker.close()
        root = self.tree.index.root
        if root is not None:
            for folder in list(root.walk()):
                if folder.mark is not None:
                    self.tree.hub.unmark(folder.mark, folder, self.tree.path(folder))

    def listing(self) -> Iterator[tuple[str, Kind]]:
        """Give what is believed to be there: relative path (``""`` the target), kind."""
        if self.tree.index.root is not None:
            yield "", "dir"
            yield from self.tree.index.listing()

    def count(self) -> int:
        """Count the entries believed in."""
        return self.tree.index.count()

    # -- one look ------------------------------------------------------------------------------

    def _sort(self, inbox: Inbox) -> tuple[dict[Folder, dict[str, int]], set[Folder], bool]:
        """Split the hints: places to look at, folders to list, and doubts about the location."""
        tree = self.tree
        dirty, full = self._carry, self._carry_full
        self._carry, self._carry_full = {}, set()
        location = False
        for subscriber, names in inbox.dirty.items():
            if isinstance(subscriber, Waypoint):
                for name, bits in names.items():
                    location |= self.tracker.concerns(subscriber, name, bits)
                continue
            if not isinstance(subscriber, Folder):
                continue
            own_bits = names.pop("", 0)
            if own_bits:
                location |= self._self_hint(subscriber, own_bits, dirty, full)
            if names:
                _merge(dirty, subscriber, names)
        full |= tree.relist
        tree.relist = set()
        for folder in tree.relook:
            if folder.parent is not None:
                dirty.setdefault(folder.parent, {}).setdefault(folder.name, 0)
        tree.relook = []
        for path in inbox.paths:
            location |= self._path_hint(path, dirty, full)
        return dirty, full, location

    def _carry_closed(self, inbox: Inbox) -> None:
        """A file that its writer closed before it was renamed is closed under its new name too."""
        if not self.tree.settler.quiet:
            return
        for source, name, target, to_name in inbox.moves:
            closed = inbox.dirty.get(source, {}).get(name, 0) & CLOSED
            if closed:
                names = inbox.dirty.setdefault(target, {})
                names[to_name] = names.get(to_name, 0) | closed

    def _self_hint(
        self, folder: Folder, bits: int, dirty: dict[Folder, dict[str, int]], full: set[Folder]
    ) -> bool:
        """A marked folder says something of itself; tells whether the location is in doubt."""
        if bits & GONE:
            # The next folder may be given its inode number within the same tick of the clock: only
            # this hint tells the two apart, and the new one has no mark yet.
            self.tree.index.lose_identity(folder)
        if folder.parent is None:
            if folder is self.tree.index.root:
                self.target.bits |= bits
                if folder.blind is not None:
                    full.add(folder)
            return True
        if bits & (GONE | SELF_MOVED | ATTRIB):
            names = dirty.setdefault(folder.parent, {})
            names[folder.name] = names.get(folder.name, 0) | (bits & (ATTRIB | OTHER))
        return False

    def _path_hint(self, path: str, dirty: dict[Folder, dict[str, int]], full: set[Folder]) -> bool:
        """Something changed at or below an absolute path (a source that watches whole trees)."""
        folder = self.tree.index.root
        if folder is None or not path.startswith(self.tree.base + "/"):
            return True
        parts = path[len(self.tree.base) + 1 :].split("/")
        for index, part in enumerate(parts):
            entry = folder.entries.get(part)
            if not isinstance(entry, Folder) or index == len(parts) - 1:
                dirty.setdefault(folder, {}).setdefault(part, 0)
                if isinstance(entry, Folder):
                    full.add(entry)
                break
            folder = entry
        return False

    def _origins(self, inbox: Inbox) -> dict[Place, Place]:
        """Follow the renames that were seen: for each place now, the place before all of them."""
        origins: dict[Place, Place] = {}
        if not inbox.moves:
            return origins
        for source, name, target, to_name in inbox.moves:
            if isinstance(source, Folder) and isinstance(target, Folder):
                start = origins.pop((source, name), (source, name))
                origins[target, to_name] = start
        return origins

    def _rounds(
        self,
        dirty: dict[Folder, dict[str, int]],
        full: set[Folder],
        origins: dict[Place, Place],
    ) -> None:
        tree = self.tree
        for _ in range(_ROUNDS):
            if not dirty and not full:
                break
            if not full and self._tell_plainly(dirty, origins):
                dirty, full = self._with_carried({}, set())
                continue
            observer = Observer(tree)
            observer.look_at(dirty, full)
            if tree.troubles.location:
                break
            if observer.findings.departures and self.more is not None:
                # The other half of a rename may have come in since: then it is one, not two.
                self._add_more(self.more(), origins)
            arranger = Arranger(tree, observer, origins)
            arranger.run()
            findings = observer.findings
            self._tell_fleeting(findings)
            if findings.root_lost:
                self.target.check(self.target.gone_reason())
            dirty, full = self._with_carried(findings.later, findings.later_full)
            if tree.ledger.any_claims() and self._all_claimed(dirty) and not full:
                break
            for folder in findings.refilter:
                full.update(folder.walk())
                tree.emit.rescanned("ignore-file")
        self._keep(dirty, full)

    def _tell_plainly(
        self, dirty: dict[Folder, dict[str, int]], origins: dict[Place, Place]
    ) -> bool:
        """Go the short way if that is enough; if not, nothing has changed."""
        tree = self.tree
        if not tree.plain:
            return False

        def add_more() -> None:
            if self.more is not None:
                self._add_more(self.more(), origins)

        return tell_plainly(tree, dirty, origins, add_more)

    def _keep(self, dirty: dict[Folder, dict[str, int]], full: set[Folder]) -> None:
        """Keep for the next look what could not be looked at, and say when that is due."""
        tree, index = self.tree, self.tree.index
        for folder, names in dirty.items():
            if index.contains(folder):
                self._carry.setdefault(folder, {}).update(names)
        self._carry_full = {folder for folder in full if index.contains(folder)}
        claimed = self._all_claimed(self._carry) and not self._carry_full
        self.again = bool(self._carry or self._carry_full or tree.relist) and not claimed
        self.again &= not tree.troubles.location
        self.again |= self._location_doubt

    def _add_more(self, inbox: Inbox, origins: dict[Place, Place]) -> None:
        """Take hints that came in meanwhile: renames count at once, places in the next round."""
        if inbox.lost is not None:
            self.tree.inbox.lose(inbox.lost)
        self.tree.inbox.mounts_changed |= inbox.mounts_changed
        origins.update(self._origins(inbox))
        dirty, full, location = self._sort(inbox)
        for folder, names in dirty.items():
            _merge(self._carry, folder, names)
        self._carry_full |= full
        self._location_doubt |= location

    def _with_carried(
        self, dirty: dict[Folder, dict[str, int]], full: set[Folder]
    ) -> tuple[dict[Folder, dict[str, int]], set[Folder]]:
        """Give what the next round has to look at: what this one left over, and what came in."""
        full = full | self._carry_full | self.tree.relist
        self.tree.relist = set()
        for folder, names in self._carry.items():
            _merge(dirty, folder, names)
        self._carry, self._carry_full = {}, set()
        return dirty, full

    def _all_claimed(self, dirty: dict[Folder, dict[str, int]]) -> bool:
        """Whether all that is left waits for own writes to be finished."""
        claimed = self.tree.ledger.claimed
        return all(
            claimed(f"{self.tree.path(folder)}/{name}")
            for folder, names in dirty.items()
            for name in names
        )

    def _tell_fleeting(self, findings: Findings) -> None:
        """Tell of what came and went between two looks, if asked to."""
        tree = self.tree
        if not tree.options.transient:
            return
        for folder, name, bits in findings.fleeting:
            if not bits & CREATE or not tree.index.contains(folder):
                continue
            is_dir = bool(bits & ISDIR)
            if tree.filter.hides(folder.relative(), name, is_dir=is_dir):
                continue
            relative = f"{folder.relative()}/{name}".lstrip("/")
            form = 0o040000 if is_dir else 0o100000
            facts = Facts(form, 0, 0, 0, folder.device, 0, 0, 0, 0, 0)
            tree.emit.created(relative, facts, foreign=bool(bits & OTHER), transient=True)
            tree.emit.deleted(relative, None, kind_of_mode(form), foreign=bool(bits & OTHER))

    def _release(self) -> None:
        """Tell of held files whose time has come."""
        tree = self.tree
        if not tree.settler.held:
            return
        for place in tree.settler.due(tree.disk.monotonic()):
            held = tree.settler.take(place)
            folder, name = place
            if held is None or not isinstance(folder, Folder):
                continue
            entry = folder.entries.get(name)
            if not isinstance(entry, bytes):
                continue
            relative = f"{folder.relative()}/{name}".lstrip("/")
            if held.created:
                tree.emit.created(relative, unpack(entry), foreign=held.foreign)
            else:
                tree.emit.updated(
                    relative, unpack(entry), held.previous, held.changes, foreign=held.foreign
                )

    def _add_mounts(self, inbox: Inbox, dirty: dict[Folder, dict[str, int]]) -> None:
        """After a change of the mount table, look at every folder that was mounted on or off."""
        if not inbox.mounts_changed:
            return
        before, now = self.target.mounted, self.target.mounts_below()
        for point in before.keys() | now.keys():
            if before.get(point) != now.get(point) and point.startswith(self.target.real + "/"):
                self._path_hint(self.tree.base + point[len(self.target.real) :], dirty, set())

    # -- timers --------------------------------------------------------------------------------

    @staticmethod
    def _is_due(time: float | None, now: float) -> bool:
        return time is not None and now >= time

    def _set_timers(self) -> None:
        """Set each timer that has run out or is newly needed, and stop those that are not."""
        tree, now = self.tree, self.tree.disk.monotonic()
        options = tree.options
        polling = bool(tree.polled) or (tree.polling and self.target.is_blind)
        if not polling:
            self._next_poll = None
        elif self._next_poll is None or now >= self._next_poll:
            self._next_poll = now + options.poll_interval
        retry = bool(tree.troubles.retries()) or self.target.is_blind
        if not retry:
            self._next_retry = None
        elif self._next_retry is None or now >= self._next_retry:
            self._next_retry = now + min(RETRY_S, max(options.poll_interval, 0.05))
        if not tree.unsure:
            self._next_second = None
        elif self._next_second is None or now >= self._next_second:
            self._next_second = now + _SECOND_LOOK_S
        if options.rescan_interval is not None and (
            self._next_rescan is None or now >= self._next_rescan
        ):
            self._next_rescan = now + options.rescan_interval
        self._calm = not (
            self.again
            or retry
            or polling
            or options.rescan_interval is not None
            or tree.settler.held
            or tree.relist
            or tree.relook
            or tree.unsure
        )


def _merge(dirty: dict[Folder, dict[str, int]], folder: Folder, names: dict[str, int]) -> None:
    """Add names with their hints; a mapping that comes first is kept as it is."""
    there = dirty.get(folder)
    if there is None:
        dirty[folder] = names
    else:
        for name, bits in names.items():
            there[name] = there.get(name, 0) | bits
