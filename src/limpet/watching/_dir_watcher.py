"""The directory watch: hints in, events out; synchronous, without threads or clocks of its own.

One examination takes the pending hints, compares the names they name with the disk, and emits the
differences between index and disk as events. It goes in rounds for as long as a round finds that a
directory moved meanwhile; what is still open after a few is left for the next examination, which
then follows at once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from limpet._file_stat import kind_of_mode
from limpet.backends import CREATE, ISDIR, OTHER, Timer
from limpet.watching._hint_intake import (
    carry_closed,
    only_names,
    rename_origins,
    take_hints,
)
from limpet.watching._path_hints import locate_moves, take_again, take_path
from limpet.watching.diff._agenda import Agenda
from limpet.watching.diff._compare import Comparison
from limpet.watching.diff._event_order import EventOrderer
from limpet.watching.diff._fast_path import emit_fast
from limpet.watching.diff._settled import add_last_scan, emit_settled
from limpet.watching.index._entry_record import RACY_NS, StatResult, unpack
from limpet.watching.index._index import DirNode
from limpet.watching.location._outer_ignore_file import OuterIgnoreFile
from limpet.watching.location._root_lifecycle import RootLifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from limpet.backends import Mount, PendingHints
    from limpet.events import Kind, Origin, RescanReason
    from limpet.watching.diff._compare import Differences, EntryRef
    from limpet.watching.diff._context import DiffContext
    from limpet.watching.location._path_marks import PathMarks

_ROUNDS: Final = 6
"""Rounds of one examination; each is needed only if a directory moved during the one before."""
RETRY_S: Final = 1.0
"""Seconds until something that leaves no hint is tried again (a location that cannot be marked, a
directory that could not be opened for want of descriptors)."""
_DEVICE_TRIES: Final = 64
"""Directories of one file system that are examined to find its device number."""
_SECOND_SCAN_S: Final = 0.25
"""Seconds after which a new directory is listed again under a source of whole trees: on Linux,
watchfiles reports the directory before it has marked it, and misses what is created meanwhile."""


class DirWatcher:
    """Watches one directory."""

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
        self.outer_ignore_file: OuterIgnoreFile | None = None
        ignore_file = context.options.ignore_file
        if ignore_file is not None and os.path.isabs(ignore_file):
            self.outer_ignore_file = OuterIgnoreFile(context.services, ignore_file, context.filter)
        self.again = False
        """Something is left to examine, with or without a hint."""
        self.scans = 0
        self.rescans = 0
        self._take_more = take_more
        self._left = Agenda()
        """What the examinations before have left to do, and what came in during this one."""
        options = context.options
        self._poll = context.poll
        self._retry = Timer(min(RETRY_S, max(options.poll_interval, 0.05)))
        self._rescan = Timer(options.rescan_interval)
        self._second_scan = Timer(_SECOND_SCAN_S)
        self._recheck_young = Timer(2 * RACY_NS / 1e9)
        self._timers = (
            self._poll, self._retry, self._rescan, self._second_scan, self._recheck_young,
        )  # fmt: skip
        self._taken_at = 0
        """When hints by path were taken last, by the clock that stamps files."""
        self._only_hints = False
        """The last examination left nothing open and no timer runs: hints name all there is."""

    # -- what the watcher calls ----------------------------------------------------------------

    def start(self, *, report: bool, origin: Origin, saved: DirNode | None = None) -> None:
        """Resolve the location, mark its directories and list them.

        Args:
            report: Emit created events for what is there; ignored with ``saved``.
            origin: The ``origin`` of the events that are emitted.
            saved: The index at the end of the last run; its differences to the disk are emitted.
        """
        emit = self.context.emit
        emit.muted, emit.existing, emit.origin = not report, report, origin
        if self.outer_ignore_file is not None:
            self.outer_ignore_file.update()
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
        """Compare the index of the last run with what is on disk now."""
        context = self.context
        context.index.root = saved
        self._take_devices_of_now(saved)
        context.trusts_hints = False
        for directory in saved.walk():
            context.index.add(directory)
        self.root.check("deleted")
        if context.index.root is saved:
            context.watch_tree()
            self._rounds(Agenda(listings=set(saved.walk())), {})

    def _take_devices_of_now(self, saved: DirNode) -> None:
        """Change the device numbers of the last run to those that the file systems have now.

        A number means nothing after a reboot or a new mount (stat(2)); inode and birth time tell
        whether a directory is the one that was there.
        """
        context = self.context
        now: dict[int, int] = {}
        tries: dict[int, int] = {}
        for directory in saved.walk():
            device = directory.device
            if device in now or tries.get(device, 0) > _DEVICE_TRIES:
                continue
            tries[device] = tries.get(device, 0) + 1
            try:
                handle = context.disk.open(context.path(directory), follow=True)
            except OSError:
                continue
            try:
                facts = context.disk.stat(handle)
            except OSError:
                continue
            finally:
                context.disk.close(handle)
            was = unpack(directory.record)
            if facts.inode == directory.inode and (not was.birth or facts.birth == was.birth):
                now[device] = facts.device
        for directory in saved.walk():
            directory.device = now.get(directory.device, directory.device)

    def examine(self, hints: PendingHints, *, force: bool = False) -> None:
        """Examine what the hints and the timers name; the events are left in the factory.

        ``force`` also examines what could have changed without a hint.
        """
        self.scans += 1
        locate_moves(hints, self.context)
        origins = rename_origins(hints.moves)
        plain = self._only_hints and not force and not (hints.moves and self.root.has_mounts_below)
        names = only_names(hints) if plain else None
        self.context.believes_gone = not hints.early
        if names is None or not self._emit_fast(names, origins):
            self._examine_fully(hints, origins, force=force)
        elif self._left or self._left.location:
            self.again, self._only_hints = True, False

    def examine_names(self, pending: PendingHints) -> bool:
        """Examine what waits if these are names of files on file systems that answer at once.

        Returns:
            Whether it was done; if not, ``pending`` is as before, and so is the index.
        """
        context = self.context
        if not self._only_hints or (pending.moves and self.root.has_mounts_below):
            return False
        names = only_names(pending)
        if names is None or not context.answer_at_once(names):
            return False
        own_writes = context.own_writes.lock
        if not own_writes.acquire(blocking=False):
            return False
        try:
            return self._emit_taken(pending, names)
        finally:
            own_writes.release()

    def _emit_taken(self, pending: PendingHints, names: dict[DirNode, dict[str, int]]) -> bool:
        """Take what is pending and emit what is found; put it back if that is not all."""
        dirty, moves, early = pending.take_names()
        origins = rename_origins(moves) if moves else {}
        self.context.believes_gone = not early

        def add_more() -> None:
            more = self._take_more()
            origins.update(rename_origins(more.moves))
            pending.put_back(more)

        done = False
        try:
            done = self._emit_fast(names, origins, add_more, at_once=True)
        finally:
            if done:
                self.scans += 1
            else:
                pending.put_names_back(dirty, moves, early=early)
        return done

    def _examine_fully(
        self, hints: PendingHints, origins: dict[EntryRef, EntryRef], *, force: bool
    ) -> None:
        context = self.context
        context.believes_gone = False
        self.again = False
        now = context.disk.monotonic()
        agenda, self._left = self._left, Agenda()
        mounted = self.root.mounted
        if context.debouncer.quiet:
            carry_closed(hints)
        self._take_hints(hints, agenda)
        if hints.mounts_changed:
            self._add_mounts(agenda, mounted)
        agenda.location |= hints.lost is not None or hints.mounts_changed
        agenda.location |= self.path_marks.unstable
        self._add_due(agenda, now, force=force)
        before = context.index.root
        if agenda.location:
            self.root.check(self.root.gone_reason())
            agenda.location = False
            agenda.listings |= context.relist
            context.relist = set()
        reason: RescanReason | None = hints.lost or (
            "interval" if self._rescan.is_due(now) else None
        )
        if reason is not None:
            self.rescans += 1
            context.emit.rescanned(reason)
            context.emit.origin = "rescan"
        context.trusts_hints = reason is None
        root = context.index.root
        if hints.lost is not None and root is not None:
            context.doubted.update(root.walk())
        everything = reason is not None or (force and not context.services.capabilities.complete)
        if everything and root is not None and root is before:
            agenda.listings.update(root.walk())
        if hints.mounts_changed:
            self.root.mounted = self.root.mounts_below()
        if self._ignore_file_changed(now, force=force or everything or hints.mounts_changed):
            context.emit.rescanned("ignore-file")
            if root is not None:
                agenda.listings.update(root.walk())
        if context.degradation.location or self.root.missed:
            self._left = agenda
        else:
            self._rounds(agenda, origins)
            if hints.moves and self.root.has_mounts_below:
                self._follow_mounts(mounted)
        context.emit.origin = "live"
        self._emit_debounced()
        if context.settling:
            emit_settled(context, self._left, now)
        self._set_timers()

    def lose_way(self) -> None:
        """Record that another watch of the group has reported a folder on the way here as gone.

        What was here went with it, so it is gone for the consumer, whatever is here now.
        """
        self.root.lose("ancestor")
        self._left.location = True

    def deadline(self) -> float | None:
        """Return when the next examination is due without a hint, in monotonic seconds."""
        if self.again:
            return self.context.disk.monotonic()
        times = (*(timer.next for timer in self._timers), self.held_deadline())
        return min((time for time in times if time is not None), default=None)

    def held_deadline(self) -> float | None:
        """Return when the next file or directory that is held is due."""
        held = (self.context.debouncer.deadline(), self.context.settling.deadline())
        return min((time for time in held if time is not None), default=None)

    def close(self) -> None:
        """Remove every mark."""
        self.path_marks.close()
        if self.outer_ignore_file is not None:
            self.outer_ignore_file.close()
        context, root = self.context, self.context.index.root
        if root is not None:
            for directory in list(root.walk()):
                if directory.mark is not None:
                    context.router.unmark(directory.mark, directory, context.path(directory))

    @property
    def is_unsure(self) -> bool:
        """Return whether a target on a network mount was gone once: it must be checked again."""
        return self.root.missed

    @property
    def is_there(self) -> bool:
        """Return whether the target is there."""
        return self.context.index.root is not None

    def listing(self) -> Iterator[tuple[str, Kind]]:
        """Yield what is in the index: relative path (``""`` is the location), kind."""
        if self.context.index.root is not None:
            yield "", "dir"
            yield from self.context.index.listing()

    def count(self) -> int:
        """Return the number of entries in the index."""
        return self.context.index.count()

    # -- one examination -----------------------------------------------------------------------

    def _add_due(self, agenda: Agenda, now: float, *, force: bool) -> None:
        """Add what timers name."""
        context = self.context
        if force or self._retry.is_due(now):
            agenda.location |= self.root.is_blind
            agenda.listings.update(context.degradation.retries())
            for parent, name in context.degradation.unknown:
                agenda.add_name(parent, name)
        if force or self._poll.is_due(now):
            agenda.location |= self.root.is_blind
            agenda.listings.update(d for d in self._poll.directories if isinstance(d, DirNode))
        if force or self._second_scan.is_due(now):
            agenda.listings |= context.unsure
            context.unsure = set()
        if context.young and (force or self._recheck_young.is_due(now)):
            young, context.young = context.young, {}
            for parent, names in young.items():
                agenda.add_names(parent, names)
        for directory, name in context.debouncer.due(now) if context.debouncer.held else ():
            if isinstance(directory, DirNode):
                agenda.add_name(directory, name)
        if context.settling:
            add_last_scan(context, agenda, now)

    def _ignore_file_changed(self, now: float, *, force: bool) -> bool:
        """Read the ignore file of the whole tree again if there is a reason to."""
        outer = self.outer_ignore_file
        if outer is None:
            return False
        due = outer.is_blind and (self._poll.is_due(now) or self._retry.is_due(now))
        return (force or due or outer.stale) and outer.update()

    def _follow_mounts(self, before: dict[str, Mount]) -> None:
        """Examine what mounts were moved to by a rename of a directory above them.

        The kernel reports no change of the mount table then. Through another mount of the same
        directory the rename may have been seen without what is mounted below it here.
        """
        agenda = Agenda()
        self._add_mounts(agenda, before)
        self.root.mounted = self.root.mounts_below()
        if agenda:
            self._rounds(agenda, {})

    def _add_mounts(self, agenda: Agenda, before: dict[str, Mount]) -> None:
        """Add every directory on which something was mounted or unmounted since ``before``.

        A mount at the location, or above, changes what is mounted anywhere below it.
        """
        now, real = self.root.mounts_below(), self.root.real
        mounts = Agenda()
        for point in before.keys() | now.keys():
            if before.get(point) == now.get(point):
                continue
            if not point.startswith(real + "/") and self.context.index.root is not None:
                agenda.listings.update(self.context.index.root.walk())
            elif point.startswith(real + "/"):
                take_path(self.context.base + point[len(real) :], mounts, self.context)
        for directory, names in mounts.names.items():
            agenda.add_names(directory, names)

    def _rounds(self, agenda: Agenda, origins: dict[EntryRef, EntryRef]) -> None:
        context = self.context
        for _ in range(_ROUNDS):
            if not agenda:
                break
            if not agenda.listings and self._emit_fast(agenda.names, origins):
                agenda = self._with_left(Agenda())
                continue
            comparison = Comparison(context)
            comparison.compare(agenda)
            if context.settling:
                refs = comparison.differences.order
                context.settling.note_differences(refs, context.disk.monotonic())
            if context.degradation.location:
                break
            if comparison.differences.departures:
                # The other half of a rename may have come in since: then it is one, not two.
                self._add_more(origins)
            EventOrderer(context, comparison, origins).run()
            differences = comparison.differences
            self._emit_transient(differences)
            if differences.root_lost:
                self.root.check(self.root.gone_reason())
            agenda = self._with_left(differences.later)
            if context.own_writes.any_open() and self._awaits_own_writes(agenda):
                break
            for directory in differences.refilter:
                agenda.listings.update(directory.walk())
                context.emit.rescanned("ignore-file")
        self._leave(agenda)

    def _emit_fast(
        self,
        names: dict[DirNode, dict[str, int]],
        origins: dict[EntryRef, EntryRef],
        add_more: Callable[[], None] | None = None,
        *,
        at_once: bool = False,
    ) -> bool:
        """Take the fast path if it suffices; if not, nothing has changed."""
        context = self.context
        if not context.fast or context.settling:
            return False
        more = add_more or (lambda: self._add_more(origins))
        return emit_fast(context, names, origins, more, at_once=at_once)

    def _leave(self, agenda: Agenda) -> None:
        """Leave for the next examination what could not be done, and set when that is due."""
        contains = self.context.index.contains
        for directory, names in agenda.names.items():
            if contains(directory):
                self._left.put_off(directory, names, listing=False)
        self._left.listings = {one for one in agenda.listings if contains(one)}
        self.again = bool(self._left or self.context.relist)
        self.again &= not self._awaits_own_writes(self._left)
        self.again &= not self.context.degradation.location
        self.again |= self._left.location
        outer = self.outer_ignore_file
        self.again |= outer is not None and outer.stale

    def _add_more(self, origins: dict[EntryRef, EntryRef]) -> None:
        """Take hints that came in meanwhile: renames count at once, names in the next round."""
        hints = self._take_more()
        own = self.context.services.hints
        if hints.lost is not None:
            own.lose(hints.lost)
        own.mounts_changed |= hints.mounts_changed
        locate_moves(hints, self.context)
        origins.update(rename_origins(hints.moves))
        self._take_hints(hints, self._left)

    def _take_hints(self, hints: PendingHints, agenda: Agenda) -> None:
        context = self.context
        if hints.paths:
            self._taken_at = context.disk.now()
        take_hints(hints, agenda, context, self.root, self.path_marks, self.outer_ignore_file)
        if context.settling:
            now = context.disk.monotonic()
            context.settling.note_hints(agenda, now)
            if hints.lost is not None:
                context.settling.disturb_all(now)

    def _with_left(self, agenda: Agenda) -> Agenda:
        """Return what the next round examines: what this one left over, and what came in."""
        context = self.context
        agenda.listings |= context.relist
        context.relist = set()
        left, self._left = self._left, Agenda(location=self._left.location)
        left.location = False
        agenda.add(left)
        if context.unplaced:
            take_again(agenda, context, self._taken_at)
        return agenda

    def _awaits_own_writes(self, agenda: Agenda) -> bool:
        """Return whether all that is left waits for own writes to end."""
        is_open, path = self.context.own_writes.is_open, self.context.path
        return not agenda.listings and all(
            is_open(f"{path(directory)}/{name}")
            for directory, names in agenda.names.items()
            for name in names
        )

    # -- events that no comparison finds -------------------------------------------------------

    def _emit_transient(self, differences: Differences) -> None:
        """Emit what was created and deleted between two examinations, if that is an option."""
        context = self.context
        if not context.options.transient:
            return
        for directory, name, bits in differences.fleeting:
            if not bits & CREATE or not context.index.contains(directory):
                continue
            is_dir = bool(bits & ISDIR)
            if context.filter.hides(directory.relative(), name, is_dir=is_dir):
                continue
            relative = directory.relative_of(name)
            form = 0o040000 if is_dir else 0o100000
            facts = StatResult(form, 0, 0, 0, directory.device, 0, 0, 0, 0, 0)
            context.emit.created(relative, facts, foreign=bool(bits & OTHER), transient=True)
            context.emit.deleted(relative, None, kind_of_mode(form), foreign=bool(bits & OTHER))

    def _emit_debounced(self) -> None:
        """Emit the events of files that have been quiet for long enough."""
        context = self.context
        if not context.debouncer.held:
            return
        for ref in context.debouncer.due(context.disk.monotonic()):
            held = context.debouncer.take(ref)
            directory, name = ref
            if held is None or not isinstance(directory, DirNode):
                continue
            context.settling.disturb(directory, context.disk.monotonic())
            entry = directory.entries.get(name)
            if not isinstance(entry, bytes):
                continue
            relative, facts = directory.relative_of(name), unpack(entry)
            if held.created:
                context.emit.created(relative, facts, foreign=held.foreign)
            else:
                context.emit.updated(
                    relative, facts, held.previous, held.changes, foreign=held.foreign
                )

    # -- timers --------------------------------------------------------------------------------

    def _set_timers(self) -> None:
        """Start each timer that has run out or is newly needed, and stop the others."""
        context, now = self.context, self.context.disk.monotonic()
        for directory in context.index.one_of_each_device():
            context.traits(directory)  # for the event loop, which may not read the mount table
        blind = self.root.is_blind
        timed = context.services.capabilities.kind == "timer"
        polling = bool(self._poll.directories) or (timed and blind)
        outer = self.outer_ignore_file
        retry = blind or bool(context.degradation.retries() or context.degradation.unknown)
        retry |= outer is not None and outer.is_blind
        self._poll.schedule(now, needed=polling)
        self._retry.schedule(now, needed=retry)
        self._second_scan.schedule(now, needed=bool(context.unsure))
        self._recheck_young.schedule(now, needed=bool(context.young))
        self._rescan.schedule(now)
        self._only_hints = not (
            self.again
            or retry
            or polling
            or self._rescan.interval is not None
            or context.debouncer.held
            or context.settling
            or context.relist
            or context.reexamine
            or context.unsure
            or context.young
        )
