"""What can be asked of an output: plain values for bots and for the wire."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, TypeAlias, get_args

from limpet.errors import UsageError
from limpet.output._limits import Rotation

__all__ = [
    "AppendToFile",
    "CreateFile",
    "DeleteDir",
    "DeleteFile",
    "Durability",
    "MakeDir",
    "MoveFile",
    "Name",
    "Operation",
    "OverwriteFile",
    "verb_of",
]

Durability = Literal["none", "file", "full"]
"""What survives a crash of the system (not of the program, which loses nothing that was answered):
``none`` what the system had written by then; ``file`` the content of a file that is there; ``full``
also that it is there, under this name."""

Name: TypeAlias = str | PurePath


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    name: Name
    """Relative to the root; ``/`` between folders on every system. Taken as it is or refused."""
    durability: Durability | None = None
    """``None`` is what the output was opened with."""

    def __post_init__(self) -> None:
        """Refuse a level there is not."""
        if self.durability is not None and self.durability not in get_args(Durability):
            known = ", ".join(get_args(Durability))
            message = f"durability must be one of {known}, not {self.durability!r}"
            raise UsageError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class _WithContent(_Named):
    content: str | bytes
    """Text is encoded strictly; bytes are written as they are."""
    encoding: str = "utf-8"
    newline: Literal["", "\n", "\r\n"] = ""
    """What every line end of a text becomes; empty leaves them as they are."""
    parents: bool = True
    """Make the folders on the way that are missing."""

    def __post_init__(self) -> None:
        """Refuse what no content could be written with."""
        _Named.__post_init__(self)  # super() knows the class before it got its slots
        try:
            codecs.lookup(self.encoding)
        except LookupError as error:
            message = f"cannot encode content: {error}"
            raise UsageError(message) from error
        if self.newline not in {"", "\n", "\r\n"}:
            message = f"newline must be '', '\\n' or '\\r\\n', not {self.newline!r}"
            raise UsageError(message)

    def data(self) -> bytes:
        """Give the bytes to write.

        Raises:
            UnicodeEncodeError: The text does not fit the encoding.
        """
        if isinstance(self.content, bytes):
            return self.content
        text = self.content
        if self.newline:
            text = text.replace("\r\n", "\n").replace("\n", self.newline)
        return text.encode(self.encoding)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateFile(_WithContent):
    """Make a new file, whole at once; refused with ``exists`` if the name is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverwriteFile(_WithContent):
    """Make a file hold this content, all or nothing; it need not be there before.

    Permission bits, extended attributes and, where the system lets us, the owner stay. The file is
    another one afterwards: its other hard links keep the old content, and who has it open reads on
    in the old one.
    """

    replace_link: bool = False
    """Replace a symlink that stands at the name; never what it points to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendToFile(_WithContent):
    """Add one record to the end of a file, in one write that no other's is mixed with."""

    create: bool = True
    """Make the file if it is missing; else that is refused."""
    newline_guard: bool = False
    """If the file does not end in a line end, put one before the record."""
    lock: bool = False
    """Take the file's advisory lock (flock) for it, and wait for others that hold it."""
    rotation: Rotation | None = None
    """Put the file aside before the record if it is time; takes the lock too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteFile(_Named):
    """Remove a file, or a symlink or other node itself; a folder is refused."""

    missing_ok: bool = False
    """That nothing is there is as good as done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteDir(_Named):
    """Remove an empty folder; one that is not empty is refused."""

    missing_ok: bool = False
    """That nothing is there is as good as done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeDir(_Named):
    """Make a folder."""

    exist_ok: bool = False
    """That it is there is as good as done."""
    parents: bool = True
    """Make the folders on the way that are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveFile(_Named):
    """Give a file or folder another name inside the root; ``name`` is the one it has now."""

    target: Name
    """The new name, relative to the root too."""
    overwrite: bool = False
    """Replace a file that stands at the new name; else that is refused with ``exists``."""
    parents: bool = True
    """Make the folders on the way to the new name that are missing."""


Operation: TypeAlias = (
    CreateFile | OverwriteFile | AppendToFile | DeleteFile | DeleteDir | MakeDir | MoveFile
)

_VERBS: dict[type[object], str] = {
    CreateFile: "create",
    OverwriteFile: "overwrite",
    AppendToFile: "append",
    DeleteFile: "delete",
    DeleteDir: "delete_dir",
    MakeDir: "make_dir",
    MoveFile: "move",
}


def verb_of(operation: Operation) -> str:
    """Give the name of the method that does the same."""
    return _VERBS[type(operation)]
