"""Input events: changes on disk, in the classes that mewbot passes to behaviours.

Each wraps a limpet event. Triggers match by class, as everywhere in mewbot: one on
``FileInputEvent`` gets all changes of files, one on ``FileSystemInputEvent`` all events. No class
belongs to two families, because mewbot would deliver its events twice.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from mewbot.core import InputEvent

from limpet import events as ev
from limpet.events import Event, FileStat

if TYPE_CHECKING:
    from limpet.remote import RemoteEvent

_CLASSES: Final[dict[type[Event], type[FileSystemInputEvent]]] = {}
"""Class of a limpet event -> the class that wraps it."""


class WriteOnce:
    """Fields that are set once; a frozen dataclass cannot derive from mewbot's unfrozen ones."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set a field that was not set before.

        Raises:
            dataclasses.FrozenInstanceError: The field was set before.
        """
        if name in self.__dict__:
            message = f"cannot assign to field {name!r}"
            raise dataclasses.FrozenInstanceError(message)
        self.__dict__[name] = value


@dataclasses.dataclass(kw_only=True, eq=False)
class FileSystemInputEvent(WriteOnce, InputEvent):
    """An event that a ``FileSystem`` reports."""

    event: Event
    """What happened, as limpet reports it."""
    io: str = ""
    """The ``FileSystem`` it comes from: its name or, without one, its uuid."""
    session: str = ""
    """The run of the watch it comes from; together with ``event.seq`` it identifies the event."""
    remote: RemoteEvent | None = dataclasses.field(default=None, repr=False)
    """The event as another host sent it; ``None`` for one of this host."""
    moved: Path | None = None
    """Where the file is since ``MoveProcessedFileAction`` moved it away: a replay processes it
    there. ``event`` stays as it was reported."""

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401 - whatever a base takes
        """Register a class of this module for the limpet event whose name it extends."""
        super().__init_subclass__(**options)
        kind = getattr(ev, cls.__name__.removesuffix("InputEvent"), None)
        if kind is not None and cls.__module__ == __name__:
            _CLASSES[kind] = cls

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FileSystemInputEvent):
            return NotImplemented
        return (type(self), self.io, self.event) == (type(other), other.io, other.event)

    def __hash__(self) -> int:
        return hash((type(self), self.io, self.event))

    @property
    def path(self) -> Path:
        """The path of the event or, if it has none, the watched path; ``moved``, if that is set."""
        if self.moved is not None:
            return self.moved
        return getattr(self.event, "path", self.event.location)

    def at(self, moved: Path | None) -> Self:
        """Return the same event about a file that is elsewhere now."""
        made = copy.copy(self)
        made.__dict__["moved"] = moved
        return made

    @property
    def time(self) -> float:
        """When limpet noticed it, in Unix seconds."""
        return self.event.time

    @property
    def is_target(self) -> bool:
        """Return whether it is about the watched path itself, not about an entry in it."""
        return isinstance(self.event, ev.TargetEvent)

    @property
    def stat(self) -> FileStat | None:
        """The current status of the entry or, once it is deleted, the last known one."""
        found: FileStat | None = getattr(self.event, "stat", None)
        return getattr(self.event, "previous", None) if found is None else found


class FileInputEvent(FileSystemInputEvent):
    """An event about a file (or a symlink, or another node that is not a directory)."""


class FileCreatedInputEvent(FileInputEvent):
    """A file was created."""


class FileUpdatedInputEvent(FileInputEvent):
    """The content of a file changed."""


class FileRenamedInputEvent(FileInputEvent):
    """A file was renamed; ``event.source`` is the old path."""


class FileDeletedInputEvent(FileInputEvent):
    """A file was deleted."""


class DirInputEvent(FileSystemInputEvent):
    """An event about a directory."""


class DirCreatedInputEvent(DirInputEvent):
    """A directory was created."""


class DirUpdatedInputEvent(DirInputEvent):
    """The mode or owner of a directory changed (``metadata: true``)."""


class DirRenamedInputEvent(DirInputEvent):
    """A directory was renamed, with its content."""


class DirSettledInputEvent(DirInputEvent):
    """A directory that came is finished, with all in it (``settle_dir``)."""


class DirDeletedInputEvent(DirInputEvent):
    """A directory was deleted."""


class TargetFileCreatedInputEvent(FileCreatedInputEvent):
    """The watched file was created."""


class TargetFileUpdatedInputEvent(FileUpdatedInputEvent):
    """The watched file changed or was replaced."""


class TargetFileDeletedInputEvent(FileDeletedInputEvent):
    """The watched file was deleted."""


class TargetDirCreatedInputEvent(DirCreatedInputEvent):
    """The watched directory was created."""


class TargetDirUpdatedInputEvent(DirUpdatedInputEvent):
    """The mode or owner of the watched directory changed (``metadata: true``)."""


class TargetDirDeletedInputEvent(DirDeletedInputEvent):
    """The watched directory was deleted."""


class WatchInputEvent(FileSystemInputEvent):
    """An event about the watch: it is degraded, has recovered, or has rescanned everything."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lines:
    """The lines that one read of a followed file found."""

    location: Path
    """The path that is followed."""
    path: Path
    """The same path."""
    time: float
    """When they were read, in Unix seconds."""
    generation: int
    """Number of the file; it changes with each rotation."""
    start: int
    """Offset in the file at which the lines begin, in bytes."""
    end: int
    """Offset at which they end."""
    lines: tuple[str, ...]
    """The lines, without their line ends."""


@dataclasses.dataclass(kw_only=True, eq=False)
class LinesAddedInputEvent(FileSystemInputEvent):
    """Lines were added to a followed file (``input_mode: lines``)."""

    event: Any

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, without their line ends."""
        found: tuple[str, ...] = self.event.lines
        return found


_new: Callable[[Any], Any] = object.__new__


def wrap(event: Event, io: str, session: str) -> FileSystemInputEvent:
    """Return a limpet event in the class that mewbot's triggers match."""
    made: FileSystemInputEvent = _new(_CLASSES.get(type(event), WatchInputEvent))
    fields = made.__dict__
    fields["event"], fields["io"], fields["session"] = event, io, session
    return made
