"""Output events: what to write, each with the limpet operation that performs it.

mewbot broadcasts outputs: every ``FileSystem`` with an output directory gets each of them. One that
addresses a ``FileSystem`` in ``io``, by name or uuid, is performed by that one alone.
"""

from __future__ import annotations

import dataclasses
import uuid
from abc import abstractmethod
from functools import cached_property

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


@dataclasses.dataclass(kw_only=True, eq=False)
class FileSystemOutputEvent(WriteOnce, OutputEvent):
    """An operation for a ``FileSystem`` with an output directory."""

    io: str | None = None
    """Name or uuid of the ``FileSystem``; ``None`` is each with an output directory."""
    outcome: Outcome | None = dataclasses.field(default=None, repr=False)
    """Notes a failure, so that a later action can react to it."""

    @cached_property
    def command_id(self) -> str:
        """Identifies the command to another host: the same at each try, so it is done once."""
        return uuid.uuid4().hex

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(
            getattr(self, f.name) == getattr(other, f.name) for f in dataclasses.fields(self)
        )

    def __hash__(self) -> int:
        return hash((type(self), self.io))

    @abstractmethod
    def operation(self) -> Operation:
        """Return the operation.

        Raises:
            UsageError: The fields do not go together.
        """


@dataclasses.dataclass(kw_only=True, eq=False)
class _Named(FileSystemOutputEvent):
    name: str
    """Relative to the output directory; ``/`` separates directories."""
    durability: Durability | None = None


@dataclasses.dataclass(kw_only=True, eq=False)
class _WithContent(_Named):
    content: str | bytes
    encoding: str = "utf-8"


@dataclasses.dataclass(kw_only=True, eq=False)
class CreateFileOutputEvent(_WithContent):
    """Create a new file; refused if the name is taken."""

    def operation(self) -> Operation:
        """Return ``limpet.CreateFile``."""
        return CreateFile(
            name=self.name,
            content=self.content,
            encoding=self.encoding,
            durability=self.durability,
        )


@dataclasses.dataclass(kw_only=True, eq=False)
class AppendToFileOutputEvent(_WithContent):
    """Append one record to a file."""

    newline_guard: bool = False
    lock: bool = False
    rotation: Rotation | None = None

    def operation(self) -> Operation:
        """Return ``limpet.AppendToFile``."""
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
    """Replace the content of a file in one step."""

    def operation(self) -> Operation:
        """Return ``limpet.OverwriteFile``."""
        return OverwriteFile(
            name=self.name,
            content=self.content,
            encoding=self.encoding,
            durability=self.durability,
        )


@dataclasses.dataclass(kw_only=True, eq=False)
class DeleteFileOutputEvent(_Named):
    """Delete a file."""

    missing_ok: bool = False

    def operation(self) -> Operation:
        """Return ``limpet.DeleteFile``."""
        return DeleteFile(name=self.name, missing_ok=self.missing_ok, durability=self.durability)


@dataclasses.dataclass(kw_only=True, eq=False)
class MakeDirOutputEvent(_Named):
    """Create a directory."""

    exist_ok: bool = True

    def operation(self) -> Operation:
        """Return ``limpet.MakeDir``."""
        return MakeDir(name=self.name, exist_ok=self.exist_ok, durability=self.durability)


@dataclasses.dataclass(kw_only=True, eq=False)
class MoveFileOutputEvent(_Named):
    """Rename an entry below the output directory."""

    target: str
    """The new name."""
    overwrite: bool = False

    def operation(self) -> Operation:
        """Return ``limpet.MoveFile``."""
        return MoveFile(
            name=self.name,
            target=self.target,
            overwrite=self.overwrite,
            durability=self.durability,
        )


@dataclasses.dataclass(kw_only=True, eq=False)
class WriteToFileOutputEvent(FileSystemOutputEvent):
    """The event of mewbot's own file storage, with its field names, for programs that migrate."""

    path: str
    file_contents: str | bytes
    append: bool = False
    may_overwrite: bool = False

    def operation(self) -> Operation:
        """Return the operation that the flags stand for."""
        if self.append:
            return AppendToFile(name=self.path, content=self.file_contents)
        make = OverwriteFile if self.may_overwrite else CreateFile
        return make(name=self.path, content=self.file_contents)


@dataclasses.dataclass(kw_only=True, eq=False)
class MoveProcessedFileOutputEvent(FileSystemOutputEvent):
    """Move a processed file out of the watched directory; see ``MoveProcessedFileAction``."""

    path: str
    """The file, absolute."""
    location: str
    """The watched directory that it was reported from, absolute."""
    done: str
    """Directory it moves to, absolute."""
    failed: str
    """Directory it moves to if an earlier action failed, absolute."""
    name: str
    """Its new name, relative to that directory."""
    stat: tuple[int, int] | None = None
    """Device and inode of the file; another file at this path is left alone."""
    note: bool = False
    """Write a note why beside a file that failed."""

    def operation(self) -> Operation:
        """Raise: it is not an operation below the output directory.

        Raises:
            TypeError: Always.
        """
        message = "the output itself moves a processed file"
        raise TypeError(message)
