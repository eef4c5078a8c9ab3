"""Every event that limpet delivers: plain, frozen values, independent of how they are found.

The promise behind each type is the event contract in ``docs/reference/semantics.md``; a rule number
there (S1 to S27) says what happens on disk and which of these is delivered for it.
"""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, dataclass, fields
from pathlib import Path
from typing import Literal

from limpet._lazy_fields import Lazy

__all__ = [
    "Change",
    "Degraded",
    "DegradedReason",
    "DirCreated",
    "DirDeleted",
    "DirEvent",
    "DirRenamed",
    "DirSettled",
    "DirUpdated",
    "EntryEvent",
    "Event",
    "FileCreated",
    "FileDeleted",
    "FileEvent",
    "FileRenamed",
    "FileStat",
    "FileUpdated",
    "GoneReason",
    "Kind",
    "Mismatched",
    "Origin",
    "Recovered",
    "RescanReason",
    "Rescanned",
    "TargetDirCreated",
    "TargetDirDeleted",
    "TargetDirUpdated",
    "TargetEvent",
    "TargetFileCreated",
    "TargetFileDeleted",
    "TargetFileUpdated",
    "WatchEvent",
    "Who",
    "event_name",
]

Kind = Literal["file", "dir", "symlink", "other"]
"""What an entry is; ``other`` is a FIFO, a socket or a device (``stat.mode`` says which)."""

Change = Literal["content", "identity", "mode", "owner"]
"""What differs after an update; ``identity`` means that another inode is at the path: replaced."""

Origin = Literal["live", "initial", "offline", "rescan"]
"""How the change was found: seen as it happened, there when the watch began, happened while no
watch was running (``state=``), or found by a full scan."""

GoneReason = Literal["deleted", "moved", "ancestor", "replaced", "unmounted"]
"""Why the target is gone: itself deleted or moved away, a directory above it was, something else
took its place in one step, or its file system was unmounted."""

RescanReason = Literal["overflow", "backend", "interval", "ignore-file"]
"""Why everything was scanned again: the kernel's queue overflowed, a backend had to be started
again, ``rescan_interval``, or an ignore file changed."""

DegradedReason = Literal[
    "permission", "limit", "unreadable", "unsupported", "descriptors", "path-too-long", "state",
    "unavailable",
]  # fmt: skip
"""What limits the watch; each is a heading in ``docs/troubleshooting.md``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStat:
    """The status of an entry at one moment."""

    size: int
    """Bytes; of a directory or a symlink what the system reports."""
    mtime: float
    """Last change of the content, unix seconds."""
    ctime: float
    """Last change of content, mode, owner, name or link count, unix seconds (Linux, macOS)."""
    birthtime: float | None
    """Creation, unix seconds; ``None`` where the file system does not keep it."""
    mode: int
    """As ``os.stat_result.st_mode``: kind and permission bits."""
    uid: int
    gid: int
    inode: int
    device: int
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """The process that made a change, as the kernel named it."""

    pid: int
    """Its number when it made the change; another process may have it since."""
    program: str | None
    """Path of the program it ran; ``None`` if it had ended before that could be read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Event(Lazy):
    """Something that the watch at ``location`` reports."""

    location: Path
    """The watch it belongs to: the path as given, made absolute, not resolved."""
    time: float
    """Unix seconds when limpet observed it; never decreases within a watch."""
    seq: int
    """Position in this watch's order; starts at 1, no gaps, no repeats."""
    origin: Origin = "live"

    # The same for every type, so that they need not be generated for each: loading these types
    # would otherwise be a third of what it takes to start a watch.

    def __repr__(self) -> str:
        shown = ", ".join(f"{item.name}={getattr(self, item.name)!r}" for item in fields(self))
        return f"{type(self).__qualname__}({shown})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in fields(self))

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, item.name) for item in fields(self))))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class EntryEvent(Event):
    """Something changed on disk: the entry at ``path``."""

    path: Path
    """The location joined with the name below it; no symlink on the way is resolved."""
    kind: Kind
    """What the entry is or, once it is deleted, was."""
    own: bool = False
    """limpet's own output in this process caused it."""
    who: Who | None = None
    """Who made the last change of those that this event stands for, with ``who=True`` where the
    kernel says it: fanotify and CAP_SYS_ADMIN. Else ``None``."""


class FileEvent(EntryEvent):
    """An event about a file, symlink or other node that is not a directory."""

    __slots__ = ()


class DirEvent(EntryEvent):
    """An event about a directory."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class FileCreated(FileEvent):
    """A file exists that did not exist before."""

    stat: FileStat
    existing: bool = False
    """It was there when the watch began (reported with ``existing=True``)."""
    transient: bool = False
    """It was created and deleted before it could be examined (reported with ``transient=True``);
    ``stat`` then has the kind alone, and a deleted event follows at once."""
    content: str | bytes | None = None
    """The file's content if it is an option and readable; text in mode ``r``, bytes in mode ``rb``.
    """
    content_mode: Literal["r", "rb"] | None = None
    content_error: str | None = None
    """Why there is no content although it is an option: ``too_large``, ``vanished``, ``denied``,
    ``undecodable``, ``not_regular`` or ``error``; of what was appended also ``start_unknown``."""
    content_offset: int | None = None
    """Offset in the file at which appended content begins, in bytes; 0 if all of it is new."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class FileUpdated(FileEvent):
    """The content of a file changed, or it was replaced."""

    stat: FileStat
    previous: FileStat | None
    """The status before; ``None`` if it was not needed until now."""
    changes: frozenset[Change]
    content: str | bytes | None = None
    content_mode: Literal["r", "rb"] | None = None
    content_error: str | None = None
    content_offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class FileRenamed(FileEvent):
    """A file has another name: ``source`` before, ``path`` now.

    Both are below the location; of a watch of several places, ``source`` may be in another place.
    """

    source: Path
    stat: FileStat
    previous: FileStat | None
    replaced: FileStat | None = None
    """What was at ``path`` and is gone by the rename; it gets no event of its own. Its ``size`` is
    -1 and its times are 0 if it was there when the watch began and needed no stat since."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class FileDeleted(FileEvent):
    """A file is gone: deleted, or moved out of the watched directory."""

    previous: FileStat | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class DirCreated(DirEvent):
    """A directory exists; its entries follow as events of their own."""

    stat: FileStat
    existing: bool = False
    transient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class DirUpdated(DirEvent):
    """A directory's mode or owner changed (reported with ``metadata=True``)."""

    stat: FileStat
    previous: FileStat | None
    changes: frozenset[Change]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class DirRenamed(DirEvent):
    """A directory has another name and kept its entries, for which no events follow."""

    source: Path
    stat: FileStat
    previous: FileStat | None
    replaced: FileStat | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class DirSettled(DirEvent):
    """A folder that came is finished: nothing happened in it, or below it, for a while.

    Reported with ``settle_dir``, once for each folder that came, after the events of all in it.
    """

    stat: FileStat
    existing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class DirDeleted(DirEvent):
    """A directory is gone; the deleted events of its entries came before."""

    previous: FileStat | None


class TargetEvent:
    """Mixin of the events about the watched location itself; each also is the type it names."""

    __slots__ = ()


class TargetFileCreated(FileCreated, TargetEvent):
    """The watched file appeared."""

    __slots__ = ()


class TargetFileUpdated(FileUpdated, TargetEvent):
    """The watched file changed or was replaced."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class TargetFileDeleted(FileDeleted, TargetEvent):
    """The watched file is gone; the watch waits for it to come back."""

    reason: GoneReason


class TargetDirCreated(DirCreated, TargetEvent):
    """The watched directory appeared; its entries follow."""

    __slots__ = ()


class TargetDirUpdated(DirUpdated, TargetEvent):
    """The watched directory's mode or owner changed (``metadata=True``)."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class TargetDirDeleted(DirDeleted, TargetEvent):
    """The watched directory is gone, after its entries; the watch waits for it to come back."""

    reason: GoneReason


class WatchEvent(Event):
    """An event about the watch, not the disk."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rescanned(WatchEvent):
    """Detail was lost, so everything was scanned again; the differences follow."""

    reason: RescanReason


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Degraded(WatchEvent):
    """The watch sees less than it should at ``path``; it goes on with the rest."""

    path: Path
    reason: DegradedReason
    message: str
    """What was tried, what it means, and what to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Recovered(WatchEvent):
    """What a ``Degraded`` for ``path`` reported no longer holds."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Mismatched(WatchEvent):
    """The location is of the wrong kind; nothing is reported of it until that changes."""

    found: Kind
    expected: Kind


def _refuse_set(self: object, name: str, value: object) -> None:
    message = f"cannot assign to field {name!r}: events are shared, make another with replace()"
    del self, value
    raise FrozenInstanceError(message)


def _refuse_delete(self: object, name: str) -> None:
    message = f"cannot delete field {name!r}: events are shared"
    del self
    raise FrozenInstanceError(message)


for _kind in [one for one in tuple(globals().values()) if isinstance(one, type)]:
    if issubclass(_kind, Event) or _kind in {FileStat, Who}:
        # What dataclass writes for a frozen class with slots asks super() with the class as it was
        # before it had slots, and fails for a name that is not a field (python/cpython#105936).
        type.__setattr__(_kind, "__setattr__", _refuse_set)
        type.__setattr__(_kind, "__delattr__", _refuse_delete)
del _kind


def event_name(kind: type[Event]) -> str:
    """Return the type's name on the wire: ``FileUpdated`` is ``file.updated``.

    A target event has the name of the type it also is; watch events start with ``watch.``.
    """
    name = kind.__name__.removeprefix("Target")
    if issubclass(kind, WatchEvent):
        return "watch." + name.lower()
    return ".".join(re.findall("[A-Z][a-z]+", name)).lower()
