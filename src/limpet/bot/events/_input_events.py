"""Input events: what happened on disk, in the classes that mewbot hands to behaviours.

Each carries the limpet event that it is about. Matching is by class, as everywhere in mewbot: a
trigger on ``FileInputEvent`` sees all that happens to files, one on ``FileSystemInputEvent`` all
there is. No class belongs to two families, for mewbot would hand its events out twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from mewbot.core import InputEvent

from limpet import events as ev
from limpet.events import Event, FileStat

__all__ = [
    "DirCreatedInputEvent",
    "DirDeletedInputEvent",
    "DirInputEvent",
    "DirRenamedInputEvent",
    "DirUpdatedInputEvent",
    "FileCreatedInputEvent",
    "FileDeletedInputEvent",
    "FileInputEvent",
    "FileRenamedInputEvent",
    "FileSystemInputEvent",
    "FileUpdatedInputEvent",
    "LinesAddedInputEvent",
    "TargetDirCreatedInputEvent",
    "TargetDirDeletedInputEvent",
    "TargetDirUpdatedInputEvent",
    "TargetFileCreatedInputEvent",
    "TargetFileDeletedInputEvent",
    "TargetFileUpdatedInputEvent",
    "WatchInputEvent",
    "WriteOnce",
    "wrap",
]


class WriteOnce:
    """Fields that are set once; a frozen dataclass cannot derive from mewbot's plain ones."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set a field that was not set before.

        Raises:
            dataclasses.FrozenInstanceError: It was.
        """
        if name in self.__dict__:
            message = f"cannot assign to field {name!r}"
            raise dataclasses.FrozenInstanceError(message)
        self.__dict__[name] = value


@dataclasses.dataclass(kw_only=True, eq=False)
class FileSystemInputEvent(WriteOnce, InputEvent):
    """Something that a ``FileSystem`` has to say."""

    event: Event
    """What happened, as limpet tells it."""
    io: str = ""
    """Which ``FileSystem`` it comes from: its name or, if it has none, its uuid."""
    session: str = ""
    """Which run of its watch it comes from; with ``event.seq`` it makes an id."""

    kind: ClassVar[type[Event]] = Event

    def __eq__(self, other: object) -> bool:
        """Whether both are about the same happening, told by the same ``FileSystem``."""
        if not isinstance(other, FileSystemInputEvent):
            return NotImplemented
        return (type(self), self.io, self.event) == (type(other), other.io, other.event)

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash((type(self), self.io, self.event))

    @property
    def path(self) -> Path:
        """What it is about; the watched place, where there is nothing nearer."""
        return getattr(self.event, "path", self.event.location)

    @property
    def time(self) -> float:
        """When limpet saw it, unix seconds."""
        return self.event.time

    @property
    def is_target(self) -> bool:
        """Whether it is about the watched place itself, not about what is in it."""
        return isinstance(self.event, ev.TargetEvent)

    @property
    def stat(self) -> FileStat | None:
        """What the entry is now or, once it is gone, what was last known of it."""
        found: FileStat | None = getattr(self.event, "stat", None)
        return getattr(self.event, "previous", None) if found is None else found


class FileInputEvent(FileSystemInputEvent):
    """Something happened to a file (or a symlink, or another node that is no folder)."""


class FileCreatedInputEvent(FileInputEvent):
    """A file is there that was not."""

    kind = ev.FileCreated


class FileUpdatedInputEvent(FileInputEvent):
    """A file holds something else."""

    kind = ev.FileUpdated


class FileRenamedInputEvent(FileInputEvent):
    """A file has another name; ``event.source`` is the one before."""

    kind = ev.FileRenamed


class FileDeletedInputEvent(FileInputEvent):
    """A file is gone."""

    kind: ClassVar[type[Event]] = ev.FileDeleted


class DirInputEvent(FileSystemInputEvent):
    """Something happened to a folder."""


class DirCreatedInputEvent(DirInputEvent):
    """A folder is there that was not."""

    kind = ev.DirCreated


class DirUpdatedInputEvent(DirInputEvent):
    """A folder's mode or owner changed (``metadata: true``)."""

    kind = ev.DirUpdated


class DirRenamedInputEvent(DirInputEvent):
    """A folder has another name and kept what it holds."""

    kind = ev.DirRenamed


class DirDeletedInputEvent(DirInputEvent):
    """A folder is gone."""

    kind: ClassVar[type[Event]] = ev.DirDeleted


class TargetFileCreatedInputEvent(FileCreatedInputEvent):
    """The watched file came to be."""

    kind = ev.TargetFileCreated


class TargetFileUpdatedInputEvent(FileUpdatedInputEvent):
    """The watched file changed or was replaced."""

    kind = ev.TargetFileUpdated


class TargetFileDeletedInputEvent(FileDeletedInputEvent):
    """The watched file is gone."""

    kind: ClassVar[type[Event]] = ev.TargetFileDeleted


class TargetDirCreatedInputEvent(DirCreatedInputEvent):
    """The watched folder came to be."""

    kind = ev.TargetDirCreated


class TargetDirUpdatedInputEvent(DirUpdatedInputEvent):
    """The watched folder's mode or owner changed (``metadata: true``)."""

    kind = ev.TargetDirUpdated


class TargetDirDeletedInputEvent(DirDeletedInputEvent):
    """The watched folder is gone."""

    kind: ClassVar[type[Event]] = ev.TargetDirDeleted


class WatchInputEvent(FileSystemInputEvent):
    """About the watch, not the disk: it sees less, sees all again, or looked at everything."""

    kind = ev.WatchEvent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lines:
    """What one read of a followed file gave."""

    location: Path
    """The place that is followed."""
    path: Path
    """The same."""
    time: float
    """When it was read, unix seconds."""
    generation: int
    """Number of the file: after a rotation it is another."""
    start: int
    """Where in the file the lines begin, in bytes."""
    end: int
    """Where they end."""
    lines: tuple[str, ...]
    """The lines, without their line ends."""


@dataclasses.dataclass(kw_only=True, eq=False)
class LinesAddedInputEvent(FileSystemInputEvent):
    """Lines came to the end of a followed file (``input_mode: lines``)."""

    event: Any

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, without their line ends."""
        found: tuple[str, ...] = self.event.lines
        return found


_CLASSES: dict[type[Event], type[FileSystemInputEvent]] = {
    one.kind: one
    for one in (
        FileCreatedInputEvent, FileUpdatedInputEvent, FileRenamedInputEvent, FileDeletedInputEvent,
        DirCreatedInputEvent, DirUpdatedInputEvent, DirRenamedInputEvent, DirDeletedInputEvent,
        TargetFileCreatedInputEvent, TargetFileUpdatedInputEvent, TargetFileDeletedInputEvent,
        TargetDirCreatedInputEvent, TargetDirUpdatedInputEvent, TargetDirDeletedInputEvent,
    )
}  # fmt: skip

_new: Callable[[Any], Any] = object.__new__


def wrap(event: Event, io: str, session: str) -> FileSystemInputEvent:
    """Give a limpet event in the class that mewbot's triggers look for."""
    made: FileSystemInputEvent = _new(_CLASSES.get(type(event), WatchInputEvent))
    fields = made.__dict__
    fields["event"], fields["io"], fields["session"] = event, io, session
    return made
