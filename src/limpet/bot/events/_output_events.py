"""Output events: what is to be written, each as the limpet operation that it asks for.

Outputs are broadcast in mewbot: every ``FileSystem`` with an output folder gets each of these. One
that names a ``FileSystem`` in ``io``, by name or uuid, is done by that one alone.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod

from mewbot.core import OutputEvent

from limpet.bot.events._action_result import Outcome
from limpet.bot.events._input_events import WriteOnce
from limpet.output import (
    AppendToFile,
    CreateFile,
    DeleteFile,
    Durability,
    MakeDir,
    MoveFile,
    Operation,
    OverwriteFile,
    Rotation,
)

__all__ = [
    "AppendToFileOutputEvent",
    "CreateFileOutputEvent",
    "DeleteFileOutputEvent",
    "FileSystemOutputEvent",
    "MakeDirOutputEvent",
    "MoveFileOutputEvent",
    "OverwriteFileOutputEvent",
    "PutAwayOutputEvent",
    "WriteToFileOutputEvent",
]


@dataclasses.dataclass(kw_only=True, eq=False)
class FileSystemOutputEvent(WriteOnce, OutputEvent):
    """Something that a ``FileSystem`` with an output folder is to do."""

    io: str | None = None
    """Name or uuid of the ``FileSystem`` that is meant; ``None`` is each with an output folder."""
    outcome: Outcome | None = dataclasses.field(default=None, repr=False)
    """Is told of a failure, so that a later step can act on it."""

    def __eq__(self, other: object) -> bool:
        """Whether both ask for the same."""
        if type(other) is not type(self):
            return NotImplemented
        return all(
            getattr(self, f.name) == getattr(other, f.name) for f in dataclasses.fields(self)
        )

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash((type(self), self.io))

    @abstractmethod
    def operation(self) -> Operation:
        """Give what to do.

        Raises:
            UsageError: The fields do not go together.
        """


@dataclasses.dataclass(kw_only=True, eq=False)
class _Named(FileSystemOutputEvent):
    name: str
    """Relative to the output folder; ``/`` between folders."""
    durability: Durability | None = None


@dataclasses.dataclass(kw_only=True, eq=False)
class _WithContent(_Named):
    content: str | bytes
    encoding: str = "utf-8"


@dataclasses.dataclass(kw_only=True, eq=False)
class CreateFileOutputEvent(_WithContent):
    """Make a new file; refused if the name is taken."""

    def operation(self) -> Operation:
        """Give ``limpet.CreateFile``."""
        return CreateFile(
            name=self.name,
            content=self.content,
            encoding=self.encoding,
            durability=self.durability,
        )


@dataclasses.dataclass(kw_only=True, eq=False)
class AppendToFileOutputEvent(_WithContent):
    """Add one record to the end of a file."""

    newline_guard: bool = False
    lock: bool = False
    rotation: Rotation | None = None

    def operation(self) -> Operation:
        """Give ``limpet.AppendToFile``."""
        return AppendToFile(
            name=self.name,
            content=self.content,
            encoding=self.encoding,
            durability=self.durability,
            newline_guard=self.newline_guard,
            lock=self.lock,
            rotation=self.rotation,
        )


@dataclasses.dataclass(kw_only=True, eq=False)
class OverwriteFileOutputEvent(_WithContent):
    """Make a file hold this content, all or nothing."""

    def operation(self) -> Operation:
        """Give ``limpet.OverwriteFile``."""
        return OverwriteFile(
            name=self.name,
            content=self.content,
            encoding=self.encoding,
            durability=self.durability,
        )


@dataclasses.dataclass(kw_only=True, eq=False)
class DeleteFileOutputEvent(_Named):
    """Remove a file."""

    missing_ok: bool = False

    def operation(self) -> Operation:
        """Give ``limpet.DeleteFile``."""
        return DeleteFile(name=self.name, missing_ok=self.missing_ok, durability=self.durability)


@dataclasses.dataclass(kw_only=True, eq=False)
class MakeDirOutputEvent(_Named):
    """Make a folder."""

    exist_ok: bool = True

    def operation(self) -> Operation:
        """Give ``limpet.MakeDir``."""
        return MakeDir(name=self.name, exist_ok=self.exist_ok, durability=self.durability)


@dataclasses.dataclass(kw_only=True, eq=False)
class MoveFileOutputEvent(_Named):
    """Give what lies in the output folder another name there."""

    target: str
    """The new name."""
    overwrite: bool = False

    def operation(self) -> Operation:
        """Give ``limpet.MoveFile``."""
        return MoveFile(
            name=self.name,
            target=self.target,
            overwrite=self.overwrite,
            durability=self.durability,
        )


@dataclasses.dataclass(kw_only=True, eq=False)
class WriteToFileOutputEvent(FileSystemOutputEvent):
    """What mewbot's own file storage takes, under its names, for programs that move over."""

    path: str
    file_contents: str | bytes
    append: bool = False
    may_overwrite: bool = False

    def operation(self) -> Operation:
        """Give the operation that these flags mean."""
        if self.append:
            return AppendToFile(name=self.path, content=self.file_contents)
        make = OverwriteFile if self.may_overwrite else CreateFile
        return make(name=self.path, content=self.file_contents)


@dataclasses.dataclass(kw_only=True, eq=False)
class PutAwayOutputEvent(FileSystemOutputEvent):
    """Move a file that was dealt with out of the watched folder; ``PutAwayAction`` makes it."""

    path: str
    """The file, absolute."""
    location: str
    """The watched place it was told of by, absolute."""
    done: str
    """Folder it goes to, absolute."""
    failed: str
    """Folder it goes to if something before failed, absolute."""
    name: str
    """What it is called there, relative to that folder."""
    stat: tuple[int, int] | None = None
    """Device and inode it had; another file that stands there now is left alone."""

    def operation(self) -> Operation:
        """It is no operation in the output folder.

        Raises:
            TypeError: Always.
        """
        message = "a file is put away by the output itself"
        raise TypeError(message)
