"""The operations of an output: plain values for bots and for the wire."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, TypeAlias, get_args

from limpet._option_fields import option
from limpet.errors import UsageError
from limpet.output._limits import Rotation

Durability = Literal["none", "file", "full"]
"""What survives a crash of the system (not of the program, which loses nothing that was answered):
``none`` what the system had written by then; ``file`` the content of an existing file; ``full``
also that the file exists, under this name."""

Name: TypeAlias = str | PurePath


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    name: Name
    """Relative to the root; ``/`` between directories on every system. Accepted as it is or
    refused."""
    durability: Durability | None = None
    """``None`` is that of the output."""

    def __post_init__(self) -> None:
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
    parents: bool = option(
        True,
        "create the folders on the way that are missing",
        help_off="do not create the folders on the way",
    )

    def __post_init__(self) -> None:
        _Named.__post_init__(self)  # super() has the class as it was before it got its slots
        try:
            codecs.lookup(self.encoding)
        except LookupError as error:
            message = f"cannot encode content: {error}"
            raise UsageError(message) from error
        if self.newline not in {"", "\n", "\r\n"}:
            message = f"newline must be '', '\\n' or '\\r\\n', not {self.newline!r}"
            raise UsageError(message)

    def data(self) -> bytes:
        """Return the bytes to write.

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
    """Create a new file, complete at once; refused with ``exists`` if the name is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverwriteFile(_WithContent):
    """Replace the content of a file, all or nothing; it need not exist before.

    Permission bits, extended attributes and, where the system permits it, the owner stay. The file
    is another one afterwards: its other hard links keep the old content, and a program that has it
    open reads on in the old one.
    """

    replace_link: bool = False
    """Replace a symlink at the name; never what it points to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendToFile(_WithContent):
    """Append one record to a file, in one write that is not mixed with any other."""

    create: bool = option(
        True, "create the file if it is missing", help_off="refuse a file that is missing"
    )
    newline_guard: bool = option(False, "first end an unfinished last line of the file")
    """If the file does not end in a line end, write one before the record."""
    lock: bool = option(False, "take the file's advisory lock")
    """Take the file's advisory lock (flock) for it, and wait for other processes that hold it."""
    rotation: Rotation | None = None
    """Rotate the file before the record if it is time; takes the lock too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteFile(_Named):
    """Remove a file, or a symlink or other node itself; a directory is refused."""

    missing_ok: bool = option(False, "a name that does not exist counts as done")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteDir(_Named):
    """Remove an empty directory; one that is not empty is refused."""

    missing_ok: bool = option(False, "a name that does not exist counts as done")


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeDir(_Named):
    """Create a directory."""

    exist_ok: bool = option(False, "a folder that exists counts as done")
    parents: bool = option(
        True,
        "create the folders on the way that are missing",
        help_off="do not create the folders on the way",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveFile(_Named):
    """Rename a file or directory inside the root; ``name`` is the one it has now."""

    target: Name
    """The new name, relative to the root too."""
    overwrite: bool = False
    """Replace a file at the new name; otherwise that is refused with ``exists``."""
    parents: bool = option(
        True,
        "create the folders on the way to the new name that are missing",
        help_off="do not create the folders on the way",
    )


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
    """Return the name of the method that does the same."""
    return _VERBS[type(operation)]
