"""What handlers are called with: one class for each kind of change, of a file or a directory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

EVENT_TYPE_MOVED: Final = "moved"
EVENT_TYPE_DELETED: Final = "deleted"
EVENT_TYPE_CREATED: Final = "created"
EVENT_TYPE_MODIFIED: Final = "modified"
EVENT_TYPE_CLOSED: Final = "closed"
EVENT_TYPE_CLOSED_NO_WRITE: Final = "closed_no_write"
EVENT_TYPE_OPENED: Final = "opened"
EVENT_TYPE_ATTRIB: Final = "attrib"


@dataclass(unsafe_hash=True)
class FileSystemEvent:
    """A change of a file or a directory."""

    src_path: bytes | str
    """Where; of a rename the old path."""
    dest_path: bytes | str = ""
    """The new path of a rename."""
    event_type: str = field(default="", init=False)
    is_directory: bool = field(default=False, init=False)
    is_synthetic: bool = field(default=False)
    """It follows from another event: what is in a folder that was renamed."""


class FileSystemMovedEvent(FileSystemEvent):
    """A file or a directory has another path."""

    event_type = EVENT_TYPE_MOVED


class FileCreatedEvent(FileSystemEvent):
    """A file came."""

    event_type = EVENT_TYPE_CREATED


class FileDeletedEvent(FileSystemEvent):
    """A file went."""

    event_type = EVENT_TYPE_DELETED


class FileModifiedEvent(FileSystemEvent):
    """A file has other content."""

    event_type = EVENT_TYPE_MODIFIED


class FileAttribEvent(FileSystemEvent):
    """A file has another mode or owner."""

    event_type = EVENT_TYPE_ATTRIB


class FileMovedEvent(FileSystemMovedEvent):
    """A file has another path."""


class FileClosedEvent(FileSystemEvent):
    """A file was closed by its writer; reported where a handler has ``on_closed``."""

    event_type = EVENT_TYPE_CLOSED


class FileClosedNoWriteEvent(FileSystemEvent):
    """A file was closed by a reader; not reported."""

    event_type = EVENT_TYPE_CLOSED_NO_WRITE


class FileOpenedEvent(FileSystemEvent):
    """A file was opened; not reported."""

    event_type = EVENT_TYPE_OPENED


class DirCreatedEvent(FileSystemEvent):
    """A directory came."""

    event_type = EVENT_TYPE_CREATED
    is_directory = True


class DirDeletedEvent(FileSystemEvent):
    """A directory went."""

    event_type = EVENT_TYPE_DELETED
    is_directory = True


class DirModifiedEvent(FileSystemEvent):
    """Something came into a directory, went out of it, or has another name in it."""

    event_type = EVENT_TYPE_MODIFIED
    is_directory = True


class DirAttribEvent(FileSystemEvent):
    """A directory has another mode or owner."""

    event_type = EVENT_TYPE_ATTRIB
    is_directory = True


class DirMovedEvent(FileSystemMovedEvent):
    """A directory has another path."""

    is_directory = True
