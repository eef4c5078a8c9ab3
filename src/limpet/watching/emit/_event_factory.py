"""Makes events of what the watch found: numbers, times, paths and origin, in one place.

An event is made with its source, from which its fields are worked out when they are first read
(``make_lazily``). What could come out differently later is fixed when the event is made.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, cast

from limpet import events as ev
from limpet._file_stat import kind_of_mode
from limpet._lazy_fields import make_lazily
from limpet.watching.emit._file_events import FIXED, Makers, emit_rows, set_path
from limpet.watching.emit._path_cache import PathCache
from limpet.watching.index._entry_record import (
    StatResult,
    inode_of,
    is_dir,
    kind_of,
    public_stat,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from limpet._lazy_fields import Maker
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
    from limpet.watching.emit._own_writes import OwnWrites
    from limpet.watching.index._fs import FileSystemCalls
    from limpet.watching.index._rows import Block, Row

Record = int | bytes
Now = StatResult | bytes
"""What is at the name now: a stat result, or a packed record."""


def stat_of(record: Record | None) -> FileStat | None:
    """Return the public form of a record, if it holds more than a listing gives."""
    return public_stat(unpack(record)) if isinstance(record, bytes) else None


def barely_known(record: Record, device: int) -> FileStat:
    """Return what a listing gives of a file that needed no stat: its size is -1."""
    facts = StatResult(_FORMS[kind_of(record)], 0, 0, 0, device, inode_of(record), -1, 0, 0, 0)
    return public_stat(facts)


_WHO: Final = cast("Any", ev.EntryEvent).who
"""The slot, which frozen closes."""
_FORMS: dict[Kind, int] = {"file": 0o100000, "dir": 0o040000, "symlink": 0o120000, "other": 0}
_CONTENT: Final[frozenset[Change]] = frozenset(("content",))

_Source = tuple[int, float, "Origin", bool, str, "Now | None", "Record | None", str]
"""What is an event's own: number, time, origin, own, relative path, record now, record before, and
the relative path before a rename."""

_DEFAULTS: Final[dict[str, object]] = {
    "existing": False,
    "transient": False,
    "replaced": None,
    "who": None,
    "content": None,
    "content_mode": None,
    "content_error": None,
    "content_offset": None,
}


def parts_of(event: Event) -> tuple[str, Now | None, Record | None, str] | None:
    """Return relative path, what is there now, the record before, and the path before a rename.

    ``None`` of an event about the watch itself, and of one from a state file.
    """
    source: _Source | None = getattr(event, "_source", None)
    return None if source is None else source[4:]


def with_number(event: Event, seq: int, time: float) -> Event:
    """Return the event with another place in the order, and another time."""
    source: _Source | None = getattr(event, "_source", None)
    if source is None:
        return dataclasses.replace(event, seq=seq, time=time)
    if source[0] == seq and source[1] == time:
        return event
    made = make_lazily(type(event), event._maker, (seq, time, *source[2:]))  # type: ignore[attr-defined]  # noqa: SLF001
    set_path(made, event.path)  # type: ignore[attr-defined]
    try:
        who = _WHO.__get__(event)
    except AttributeError:  # the slot is not filled: nobody was named
        return made
    _WHO.__set__(made, who)
    return made


class _Maker:
    """Works out the fields of one watch's entry events from what they share.

    Of its watch, a kept event holds only this.
    """

    __slots__ = ("_common", "_paths")

    def __init__(self, refs: PathCache, common: dict[str, object]) -> None:
        """Keep the paths of the watch, and the fields that all its events share."""
        self._paths = refs
        self._common = common

    def field(self, source: _Source, name: str) -> object:
        seq, time, origin, own, relative, now, previous, before = source
        if name == "path":
            return self._paths.path(relative)
        if name in self._common:
            return self._common[name]
        match name:
            case "kind" if now is not None:
                return kind_of(now) if isinstance(now, bytes) else kind_of_mode(now.mode)
            case "stat" if now is not None:
                return public_stat(unpack(now) if isinstance(now, bytes) else now)
            case "previous":
                return stat_of(previous)
            case "source":
                return self._paths.path(before)
            case "location":
                return self._paths.location
            case "time":
                return time
            case "seq":
                return seq
            case "origin":
                return origin
            case "own":
                return own
            case _:
                return _DEFAULTS[name]


class EventFactory:
    """Makes the events of one watch, in its order.

    Relative paths are text; ``""`` is the location itself, for which target events are made.
    """

    def __init__(
        self, location: Path, options: WatchOptions, disk: FileSystemCalls, own_writes: OwnWrites
    ) -> None:
        self.location = location
        self.out: list[Event] = []
        """Events made and not yet fetched, in order."""
        self.origin: Origin = "live"
        self.existing = False
        self.muted = False
        """Make no events of entries: the first scan, unless existing entries are to be reported."""
        self.made = 0
        self._paths = PathCache(location)
        self._prefix = self._paths.prefix
        self.path = self._paths.path
        self._plain = _Maker(self._paths, {})
        self._makers: dict[object, _Maker] = {}
        """What changed, or the kind of what is gone -> the maker of such events."""
        kinds: tuple[Kind, ...] = ("file", "dir", "symlink", "other")
        gone: dict[Kind, Maker] = {kind: self._gone(kind) for kind in kinds}
        written = self._changed(_CONTENT)
        self._file_makers = Makers(self._plain, written, gone, self._changed)
        self._disk = disk
        self._own_writes = own_writes
        self._own = options.own
        self._time = 0.0

    def fetch(self) -> list[Event]:
        """Return what was made since the last call."""
        out, self.out = self.out, []
        return out

    def created(
        self, relative: str, now: Now, *, foreign: bool = False, transient: bool = False
    ) -> None:
        """Emit that an entry was created."""
        own = self._is_own(relative, now, foreign=foreign)
        if own is None:
            return
        if _is_dir(now):
            kind: type[Event] = ev.DirCreated if relative else ev.TargetDirCreated
        else:
            kind = ev.FileCreated if relative else ev.TargetFileCreated
        if self.existing or transient:
            maker = self._maker(existing=self.existing, transient=transient)
        else:
            maker = self._plain
        self._add(kind, maker, own, relative, now, None)

    def updated(
        self,
        relative: str,
        now: Now,
        previous: Record | None,
        changes: AbstractSet[Change] = _CONTENT,
        *,
        foreign: bool = False,
    ) -> None:
        """Emit that an entry changed."""
        own = self._is_own(relative, now, previous, foreign=foreign)
        if own is None:
            return
        if _is_dir(now):
            kind: type[Event] = ev.DirUpdated if relative else ev.TargetDirUpdated
        else:
            kind = ev.FileUpdated if relative else ev.TargetFileUpdated
        maker = self._changed(changes)
        self._add(kind, maker, own, relative, now, previous)

    def renamed(
        self,
        source: str,
        relative: str,
        now: Now,
        previous: Record | None,
        replaced: FileStat | None,
        *,
        foreign: bool = False,
    ) -> None:
        """Emit that an entry has another name."""
        own = self._is_own(relative, now, previous, foreign=foreign)
        if self._own != "keep" and not self._own_writes.is_quiet:
            self._own_writes.explains(self._prefix + source, None)
        if own is None:
            return
        kind: type[Event] = ev.DirRenamed if _is_dir(now) else ev.FileRenamed
        maker = self._plain if replaced is None else self._maker(replaced=replaced)
        self._add(kind, maker, own, relative, now, previous, source)

    def deleted(
        self,
        relative: str,
        record: Record | None,
        kind: Kind,
        *,
        foreign: bool = False,
        reason: GoneReason = "deleted",
    ) -> None:
        """Emit that an entry is gone."""
        own = self._is_own(relative, None, foreign=foreign)
        if own is None:
            return
        if relative:
            maker = self._makers.get(kind) or self._gone(kind)
        else:
            maker = self._maker(kind=kind, reason=reason)
        if kind == "dir":
            made: type[Event] = ev.DirDeleted if relative else ev.TargetDirDeleted
        else:
            made = ev.FileDeleted if relative else ev.TargetFileDeleted
        self._add(made, maker, own, relative, None, record)

    @property
    def is_plain(self) -> bool:
        """Return whether no event can be own, and ``files`` may be used."""
        return self._own == "keep" or self._own_writes.is_quiet

    def directory(self, relative: str) -> tuple[Path, str]:
        """Return the path of a directory below the location, and that as text with a slash."""
        prefix = f"{self._prefix}{relative}/" if relative else self._prefix
        return self._paths.directory(relative), prefix

    def rows(
        self,
        blocks: list[Block],
        pairs: dict[int, int],
        begin: int,
        end: int,
        besides: Callable[[Block, Row, Block, Row], AbstractSet[Change]],
    ) -> None:
        """Record what was found of files, and make its events; see ``emit_rows``.

        As ``created``, ``updated``, ``renamed`` and ``deleted`` for each, at a part of their cost.
        Only where ``is_plain``.
        """
        self._time = time = max(self._disk.time(), self._time)
        self.made = emit_rows(
            self.out, blocks, pairs, begin, end, self.made, time, self.origin, self._file_makers,
            besides, FIXED,
        )  # fmt: skip

    def _gone(self, kind: Kind) -> _Maker:
        """Return the maker of the events of what is gone below the location."""
        maker = self._makers[kind] = self._maker(kind=kind)
        return maker

    def _changed(self, found: AbstractSet[Change]) -> _Maker:
        """Return the maker of the events of what changed so."""
        changes = frozenset(found)
        maker = self._makers.get(changes)
        if maker is None:
            maker = self._makers[changes] = self._maker(changes=changes)
        return maker

    def settled(self, relative: str, now: Now, *, existing: bool) -> None:
        """Emit that a new directory, with all in it, is finished."""
        self._add(ev.DirSettled, self._maker(existing=existing), False, relative, now, None)

    def derived(
        self,
        made: type[Event],
        like: Event,
        relative: str,
        now: Now | None,
        previous: Record | None,
        *,
        own: bool = False,
        **common: object,
    ) -> Event:
        """Return an event that follows from others, with the time and origin of ``like``.

        It has no number of its own: the caller numbers it.
        """
        source: _Source = (like.seq, like.time, like.origin, own, relative, now, previous, "")
        event = make_lazily(made, self._maker(**common), source)
        set_path(event, self._paths.path(relative))
        return event

    def rescanned(self, reason: RescanReason) -> None:
        """Emit that everything was scanned again."""
        self._watch(ev.Rescanned, reason=reason)

    def degraded(self, relative: str, reason: DegradedReason, message: str) -> None:
        """Emit that the watch sees less than it should."""
        self._watch(ev.Degraded, path=self.path(relative), reason=reason, message=message)

    def recovered(self, relative: str) -> None:
        """Emit that it sees again."""
        self._watch(ev.Recovered, path=self.path(relative))

    def mismatched(self, found: Kind, expected: Kind) -> None:
        """Emit that the location is of the wrong kind."""
        self._watch(ev.Mismatched, found=found, expected=expected)

    def _is_own(
        self, relative: str, now: Now | None, previous: Record | None = None, *, foreign: bool
    ) -> bool | None:
        """Return whether to mark the event as own; ``None`` drops it."""
        if self._own == "keep" or self._own_writes.is_quiet:
            return False
        path = self._prefix + relative if relative else str(self.location)
        facts = unpack(now) if isinstance(now, bytes) else now
        if not self._own_writes.explains(path, facts, previous) or foreign:
            return False
        return None if self._own == "drop" else True

    def _maker(self, **common: object) -> _Maker:
        return _Maker(self._paths, common)

    def _add(
        self,
        kind: type[Event],
        maker: _Maker,
        own: bool,  # noqa: FBT001 (made for every change: a keyword costs)
        relative: str,
        now: Now | None,
        previous: Record | None,
        before: str = "",
    ) -> None:
        if self.muted:
            return
        self._time = time = max(self._disk.time(), self._time)
        self.made += 1
        source: _Source = (self.made, time, self.origin, own, relative, now, previous, before)
        event = make_lazily(kind, maker, source)
        set_path(event, self._paths.path(relative))
        self.out.append(event)

    def _watch(self, kind: type[Event], /, **fields: object) -> None:
        """Make an event about the watch itself; few are made."""
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


def _is_dir(now: Now) -> bool:
    return is_dir(now) if isinstance(now, bytes) else now.is_dir
