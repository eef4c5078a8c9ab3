"""The file watch: one location, one file, whichever inode is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from limpet._file_stat import kind_of_mode
from limpet.backends import (
    ATTRIB,
    CLOSED,
    DELETE,
    GONE,
    MOVED,
    OTHER,
    SELF_MOVED,
    WRITE,
    Timer,
    read_mounts,
)  # fmt: skip
from limpet.watching.diff._racy_content import RacyContents
from limpet.watching.index._entry_record import differences, pack, unpack
from limpet.watching.location._file_mark import FileMark
from limpet.watching.location._path_marks import Waypoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limpet.backends import FileSystemTraits, PendingHints
    from limpet.events import Change, GoneReason, Kind, Origin, RescanReason
    from limpet.watching.emit._services import WatchServices
    from limpet.watching.index._entry_record import StatResult
    from limpet.watching.location._path_marks import PathMarks

_PLACE: Final = (None, "")

_TRIES: Final = 3
"""How often a file is examined again because an own write, of any file, began meanwhile."""


class FileWatcher:
    """Watches one file; its siblings are never reported."""

    expects: Kind = "file"

    def __init__(self, services: WatchServices, path_marks: PathMarks) -> None:
        self.path_marks = path_marks
        self._file_mark = FileMark(services)
        self._is_detached = False
        """What is at the location has no name any more where it comes from."""
        self.options = services.options
        self.disk = services.disk
        self.emit = services.emit
        self.debouncer = services.debouncer
        self.own_writes = services.own_writes
        self.degradation = services.degradation
        self._timed = not services.order
        self.again = False
        self.scans = 0
        self.rescans = 0
        self.found: Kind | None = None
        self.record: bytes | None = None
        self._poll = services.poll
        self._rescan = Timer(services.options.rescan_interval)
        self._mounted: set[tuple[str, int]] = set()
        self._parent = ""
        self._racy = RacyContents()
        self._traits: tuple[int, FileSystemTraits] | None = None
        """Device and traits of the file system that the file was on last."""
        self._put_off: int | None = None
        """Hint bits of an examination that waits for an own write to end."""

    def start(self, *, report: bool, origin: Origin, saved: bytes | None = None) -> None:
        """Resolve and mark; ``report`` emits a created event if the file is there.

        ``saved`` is the record when the watch last ran; the difference to it is emitted.
        """
        emit = self.emit
        emit.muted, emit.existing, emit.origin = not report, report, origin
        if saved is not None:
            emit.muted, emit.existing, self.record = False, False, saved
        self._check(0, lost=saved is not None)
        emit.muted, emit.existing, emit.origin = False, False, "live"
        self._mounted = {(mount.point, mount.id) for mount in read_mounts()}
        self._set_timers()

    def examine(self, hints: PendingHints, *, force: bool = False) -> None:
        """Examine what the hints and the timers name; the events are left in the factory."""
        self.scans += 1
        self.again = False
        now = self.disk.monotonic()
        bits, concerned = 0, force or hints.mounts_changed or bool(hints.paths)
        if self._put_off is not None:
            bits, concerned, self._put_off = self._put_off, True, None
        for waypoint, names in hints.dirty.items():
            if waypoint is self._file_mark:
                # Only a difference counts: the same write has left its hint by name, too.
                concerned = True
                bits |= names.get("", 0) & CLOSED
            if not isinstance(waypoint, Waypoint):
                continue
            for hinted, what in names.items():
                if self.path_marks.concerns(waypoint, hinted, what):
                    concerned = True
                    if hinted and hinted in waypoint.names:
                        bits |= what
        reason: RescanReason | None = hints.lost
        if self._rescan.is_due(now):
            reason = reason or "interval"
        if reason is not None:
            self.rescans += 1
            self.emit.rescanned(reason)
            self.emit.origin = "rescan"
        due = self._poll.is_due(now)
        held_due = bool(self.debouncer.due(now))
        if concerned or reason or due or held_due or self.path_marks.unstable:
            self._check(bits, lost=reason is not None)
        self.emit.origin = "live"
        if hints.mounts_changed:
            self._mounted = {(mount.point, mount.id) for mount in read_mounts()}
        self._release()
        self._set_timers()

    def lose_way(self) -> None:
        """Record that another watch of the group has reported a folder on the way here as gone."""
        self._lose("ancestor", 0)

    def deadline(self) -> float | None:
        """Return when the next examination is due without a hint, monotonic seconds."""
        times = (self._poll.next, self._rescan.next, self.held_deadline())
        return min((time for time in times if time is not None), default=None)

    def held_deadline(self) -> float | None:
        """Return when the file is due, if it is held."""
        return self.debouncer.deadline()

    def close(self) -> None:
        """Remove every mark."""
        self.path_marks.close()
        self._file_mark.close()

    @property
    def is_unsure(self) -> bool:
        """Return False: one file is not a mass deletion."""
        return False

    @property
    def is_there(self) -> bool:
        """Return whether the target is there."""
        return self.record is not None

    def listing(self) -> Iterator[tuple[str, Kind]]:
        if self.record is not None:
            yield "", "file"

    def count(self) -> int:
        """Return the number of entries in the index."""
        return int(self.record is not None)

    def _check(self, bits: int, *, lost: bool) -> None:
        """Compare what is at the location with the index."""
        tries = _TRIES
        while True:
            generation = self.own_writes.generation()
            if self.own_writes.is_open(self.path_marks.path):
                self._put_off = bits
                return
            resolution = self.path_marks.update()
            if self._file_mark.follow(resolution):
                resolution = self.path_marks.update()
            tries -= 1
            if self.own_writes.generation() == generation or not tries:
                break  # it was not read in the middle of an own write
        if resolution.trouble:
            self.degradation.location_unreachable(self.emit, resolution.trouble)
            return
        self.degradation.location_reachable(self.emit)
        facts = resolution.facts
        kind = None if facts is None else kind_of_mode(facts.mode)
        if facts is None or kind != "file":
            self._lose("deleted" if facts is None else "replaced", bits)
            if kind is not None and self.found != kind:
                self.emit.mismatched(kind, "file")
            self.found = kind
            self._parent = ""
            return
        self.found = None
        self._report_detached(facts)
        self._parent = os.path.dirname(resolution.path)
        if self.record is None:
            self.record = pack(facts, self.disk.now())
            self._racy.note(
                _PLACE,
                self.record,
                None,
                resolution.path,
                exact=self._exact(facts, resolution.path),
            )
            self._created(facts, bits)
        else:
            self._compare(self.record, facts, bits, resolution.path, lost=lost)

    def _report_detached(self, facts: StatResult) -> None:
        """Report once that the file is mounted, and was replaced or deleted where it comes from."""
        if self._is_detached == (facts.nlink == 0):
            return
        self._is_detached = not self._is_detached
        if self._is_detached:
            path = os.fspath(self.emit.location)
            self.emit.degraded(
                "",
                "unavailable",
                f"the file mounted at {path!r} was replaced or deleted where it comes from, which "
                "a mount of one file does not follow: mount its folder instead",
            )
        else:
            self.emit.recovered("")

    def _compare(
        self, record: bytes, facts: StatResult, bits: int, path: str, *, lost: bool
    ) -> None:
        was = unpack(record)
        self.record = pack(facts, self.disk.now())
        changes: set[Change]
        exact = self._exact(facts, path)
        traits = self._traits_at(os.path.dirname(path), facts.device)
        replaced = was.inode != facts.inode and traits.stable_inodes
        # Between two runs, the same file system may have got another device number.
        replaced |= was.device != facts.device and self.emit.origin != "offline"
        births = was.birth and facts.birth and traits.stable_births and traits.stable_inodes
        replaced |= bool(births) and was.birth != facts.birth
        if replaced:
            changes = {"identity"}
            if was.size != facts.size or was.mtime != facts.mtime:
                changes.add("content")
            if (was.mode ^ facts.mode) & 0o7777:
                changes.add("mode")
            if (was.uid, was.gid) != (facts.uid, facts.gid):
                changes.add("owner")
        else:
            changes = differences(
                record,
                facts,
                written=bool(bits & WRITE),
                touched=bool(bits & ATTRIB),
                hinted=bool(bits & ~OTHER) or (not self._timed and not lost),
                seen=0,
                exact=exact,
            )
        if self._racy.changed(_PLACE, self.record, None, path, exact=exact):
            changes.add("content")
        if not self.options.metadata:
            changes -= {"mode", "owner"}
        if changes:
            self._updated(facts, record, changes, bits)
        elif bits & CLOSED:
            self.debouncer.close(_PLACE)

    def _traits_at(self, folder: str, device: int) -> FileSystemTraits:
        if self._traits is None or self._traits[0] != device:
            self._traits = (device, self.disk.traits(folder))
        return self._traits[1]

    def _exact(self, facts: StatResult, path: str) -> bool:
        """Return whether the file gets another time stamp by each change after a stat."""
        known = self._traits_at(os.path.dirname(path), facts.device)
        return self.disk.exact_times and known.exact_times

    def _created(self, facts: StatResult, bits: int) -> None:
        foreign = bool(bits & OTHER)
        if (
            self.debouncer.quiet
            and not (bits & CLOSED and self.debouncer.ends_at_close)
            and not self.emit.existing
            and not self.emit.muted
        ):
            self.debouncer.hold(_PLACE, self.disk.monotonic(), created=True, foreign=foreign)
        else:
            self.emit.created("", facts, foreign=foreign)

    def _updated(self, facts: StatResult, previous: bytes, changes: set[Change], bits: int) -> None:
        foreign = bool(bits & OTHER)
        if self.debouncer.quiet:
            self.debouncer.hold(
                _PLACE,
                self.disk.monotonic(),
                created=False,
                previous=previous,
                changes=changes,
                foreign=foreign,
                closed=bool(bits & CLOSED),
            )
        else:
            self.emit.updated("", facts, previous, changes, foreign=foreign)

    def _lose(self, reason: GoneReason, bits: int) -> None:
        record, self.record = self.record, None
        if record is None:
            return
        held = self.debouncer.take(_PLACE)
        if held is not None and held.created:
            return
        if reason == "deleted":
            reason = self._gone_reason(bits)
        self.emit.deleted("", record, "file", foreign=bool(bits & OTHER), reason=reason)

    def _gone_reason(self, bits: int) -> GoneReason:
        points = {(mount.point, mount.id) for mount in read_mounts()}
        lost, self._mounted = self._mounted - points, points
        if any(self._parent == point or self._parent.startswith(point + "/") for point, _ in lost):
            return "unmounted"
        if self._parent and not self._is_directory(self._parent):
            return "ancestor"
        if bits & DELETE:
            return "deleted"
        return "moved" if bits & (MOVED | SELF_MOVED) and not bits & GONE else "deleted"

    def _is_directory(self, path: str) -> bool:
        try:
            facts = self.disk.stat_path(path)
        except OSError:
            return True
        return facts is not None and kind_of_mode(facts.mode) == "dir"

    def _release(self) -> None:
        """Emit the event of the file if it is held and due."""
        if not self.debouncer.due(self.disk.monotonic()):
            return
        held = self.debouncer.take(_PLACE)
        if held is None or self.record is None:
            return
        facts = unpack(self.record)
        if held.created:
            self.emit.created("", facts, foreign=held.foreign)
        else:
            self.emit.updated("", facts, held.previous, held.changes, foreign=held.foreign)

    def _set_timers(self) -> None:
        now = self.disk.monotonic()
        blind = self.path_marks.blind or self.path_marks.unstable or bool(self.degradation.location)
        self._poll.schedule(now, needed=self._timed or blind)
        self._rescan.schedule(now)
