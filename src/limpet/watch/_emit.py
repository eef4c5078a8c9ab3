"""Turns what the engine found into events: numbers, times, paths and who did it, in one place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpet import events as ev
from limpet.watch._record import Facts, file_stat, inode_of, kind_of, unpack

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from limpet.config import WatchOptions
    from limpet.events import (
        Change,
        DegradedReason,
        Event,
        FileStat,
        GoneReason,
        Kind,
        Origin,
        RescanReason,
    )
    from limpet.watch._disk import Disk
    from limpet.watch._own import Ledger

__all__ = ["Emitter"]

Record = int | bytes


def stat_of(record: Record | None) -> FileStat | None:
    """Give the public form of a record, if it holds more than a listing told."""
    return file_stat(unpack(record)) if isinstance(record, bytes) else None


def barely_known(record: Record, device: int) -> FileStat:
    """Give what a listing told of a file that nobody had reason to stat: its size is -1."""
    facts = Facts(_FORMS[kind_of(record)], 0, 0, 0, device, inode_of(record), -1, 0, 0, 0)
    return file_stat(facts)


_FORMS: dict[Kind, int] = {"file": 0o100000, "dir": 0o040000, "symlink": 0o120000, "other": 0}


class Emitter:
    """Makes the events of one watch, in its order.

    Relative paths are text; ``""`` is the location itself, for which target events are made.
    """

    def __init__(self, location: Path, options: WatchOptions, disk: Disk, ledger: Ledger) -> None:
        """Start at sequence number 1."""
        self.location = location
        self.out: list[Event] = []
        """Events made and not yet fetched, in order."""
        self.origin: Origin = "live"
        self.existing = False
        self.muted = False
        """Make no events of entries: the first listing when nobody asked for what exists."""
        self.made = 0
        self._prefix = str(location).rstrip("/") + "/"
        self._head, self._head_path = "", location
        """The folder of the last event: to join a name is half the cost of parsing a path."""
        self._disk = disk
        self._ledger = ledger
        self._own = options.own
        self._time = 0.0

    def fetch(self) -> list[Event]:
        """Take what was made since the last call."""
        out, self.out = self.out, []
        return out

    def path(self, relative: str) -> Path:
        """Join the location with a relative path."""
        if not relative:
            return self.location
        head, _, name = relative.rpartition("/")
        if head != self._head:
            self._head, self._head_path = head, Path(self._prefix + head)
        return self._head_path / name

    def created(
        self, relative: str, facts: Facts, *, foreign: bool = False, transient: bool = False
    ) -> None:
        """Something is there that was not."""
        own = self._is_own(relative, facts, foreign=foreign)
        if own is None:
            return
        kind = file_stat(facts)
        fields = {"stat": kind, "kind": kind.kind, "own": own, "existing": self.existing}
        if transient:
            fields["transient"] = True
        if kind.kind == "dir":
            self._add(ev.DirCreated if relative else ev.TargetDirCreated, relative, **fields)
        else:
            self._add(ev.FileCreated if relative else ev.TargetFileCreated, relative, **fields)

    def updated(
        self,
        relative: str,
        facts: Facts,
        previous: Record | None,
        changes: AbstractSet[Change],
        *,
        foreign: bool = False,
    ) -> None:
        """Something that was there differs."""
        own = self._is_own(relative, facts, previous, foreign=foreign)
        if own is None:
            return
        stat = file_stat(facts)
        types = (
            (ev.DirUpdated, ev.TargetDirUpdated)
            if stat.kind == "dir"
            else (ev.FileUpdated, ev.TargetFileUpdated)
        )
        self._add(
            types[not relative],
            relative,
            stat=stat,
            kind=stat.kind,
            previous=stat_of(previous),
            changes=frozenset(changes),
            own=own,
        )

    def renamed(
        self,
        source: str,
        relative: str,
        facts: Facts,
        previous: Record | None,
        replaced: FileStat | None,
        *,
        foreign: bool = False,
    ) -> None:
        """Something has another name."""
        own = self._is_own(relative, facts, previous, foreign=foreign)
        if self._own != "keep":
            self._ledger.settles(self._prefix + source, None)
        if own is None:
            return
        stat = file_stat(facts)
        self._add(
            ev.DirRenamed if stat.kind == "dir" else ev.FileRenamed,
            relative,
            source=self.path(source),
            stat=stat,
            kind=stat.kind,
            previous=stat_of(previous),
            replaced=replaced,
            own=own,
        )

    def deleted(
        self,
        relative: str,
        record: Record | None,
        kind: Kind,
        *,
        foreign: bool = False,
        reason: GoneReason = "deleted",
    ) -> None:
        """Something is there no more."""
        own = self._is_own(relative, None, foreign=foreign)
        if own is None:
            return
        fields: dict[str, Any] = {"previous": stat_of(record), "kind": kind, "own": own}
        if not relative:
            fields["reason"] = reason
        if kind == "dir":
            self._add(ev.DirDeleted if relative else ev.TargetDirDeleted, relative, **fields)
        else:
            self._add(ev.FileDeleted if relative else ev.TargetFileDeleted, relative, **fields)

    def rescanned(self, reason: RescanReason) -> None:
        """Everything was looked at again."""
        self._watch(ev.Rescanned, reason=reason)

    def degraded(self, relative: str, reason: DegradedReason, message: str) -> None:
        """The watch sees less than it should."""
        self._watch(ev.Degraded, path=self.path(relative), reason=reason, message=message)

    def recovered(self, relative: str) -> None:
        """It sees again."""
        self._watch(ev.Recovered, path=self.path(relative))

    def mismatched(self, found: Kind, expected: Kind) -> None:
        """The wrong kind of thing stands at the location."""
        self._watch(ev.Mismatched, found=found, expected=expected)

    def _is_own(
        self,
        relative: str,
        facts: Facts | None,
        previous: Record | None = None,
        *,
        foreign: bool,
    ) -> bool | None:
        """Tell whether to mark the event as own; ``None`` is to drop it."""
        if self._own == "keep":
            return False
        path = self._prefix + relative if relative else str(self.location)
        if not self._ledger.settles(path, facts, previous) or foreign:
            return False
        return None if self._own == "drop" else True

    def _add(self, kind: type[Event], relative: str, /, **fields: object) -> None:
        if not self.muted:
            self._watch(kind, path=self.path(relative), **fields)

    def _watch(self, kind: type[Event], /, **fields: object) -> None:
        self._time = max(self._time, self._disk.time())
        self.made += 1
        self.out.append(
            kind(
                location=self.location,
                time=self._time,
                seq=self.made,
                origin=self.origin,
                **fields,
            )
        )
