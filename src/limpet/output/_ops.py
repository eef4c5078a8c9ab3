"""What can be asked of an output, and what it answers: plain values for bots and for the wire."""

from __future__ import annotations

import codecs
import math
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, TypeAlias, get_args

from limpet import errors
from limpet.errors import OutputError, UsageError
from limpet.events import FileStat

__all__ = [
    "AppendToFile",
    "CreateFile",
    "DeleteDir",
    "DeleteFile",
    "Done",
    "Durability",
    "MakeDir",
    "MoveFile",
    "Operation",
    "OutputLimits",
    "OverwriteFile",
    "RefusalCode",
    "Refused",
    "Result",
    "RootState",
    "Rotation",
]

Durability = Literal["none", "file", "full"]
"""What survives a crash of the system (not of the program, which loses nothing that was answered):
``none`` what the system had written by then; ``file`` the content of a file that is there; ``full``
also that it is there, under this name."""

RootState = Literal["same", "reopened", "moved"]
"""``same``: the folder that was open; ``reopened``: another one that stands at the root's path now;
``moved``: when it was done, the folder no longer stood at the root's path."""

Name: TypeAlias = str | PurePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """When a file that is appended to is put aside, and what becomes of those put aside.

    ``log.txt`` becomes ``log.txt.1``, the next one ``log.txt.2``: the highest is the newest, and
    none is ever renamed. Only files that this put aside are packed or removed, and only as long as
    nobody else has changed them; a note beside the file (``.limpet-rotation.log.txt``) says which.

    Raises:
        UsageError: A bound is not positive, or nothing says when to rotate.
    """

    max_bytes: int | None = None
    """Put aside before a record that would make the file larger than this."""
    daily: bool = False
    """Put aside before the first record of a day (UTC) later than that of the last change."""
    compress: bool = False
    """Pack what was put aside with gzip, as ``log.txt.1.gz``."""
    keep: int | None = None
    """Most files put aside that are kept."""
    max_age: float | None = None
    """Longest time they are kept, in seconds since they were put aside."""
    max_total_bytes: int | None = None
    """Most bytes they may take together; the oldest go first."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if self.max_bytes is None and not self.daily:
            message = "a rotation needs max_bytes or daily: nothing says when to rotate"
            raise UsageError(message)
        for name in ("max_bytes", "max_age", "max_total_bytes"):
            _positive(name, getattr(self, name))
        if self.keep is not None and self.keep < 0:
            message = f"keep must not be negative, got {self.keep!r}"
            raise UsageError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLimits:
    """How much an output may write; what would pass a limit is refused before anything is written.

    Raises:
        UsageError: A limit is not positive.
    """

    max_write_bytes: int | None = None
    """Most bytes of one operation's content, encoded."""
    max_total_bytes: int | None = None
    """Most bytes of all files below the root together. They are counted at the first write and
    every ``recount`` seconds; in between, limpet adds what it writes itself."""
    max_files: int | None = None
    """Most files below the root, counted likewise."""
    recount: float = 5.0
    """Seconds a count is believed while others may write into the folder too."""
    max_in_flight: int = 1024
    """Most operations that wait or run at a time in an async output."""
    when_full: Literal["wait", "refuse"] = "wait"
    """What the next one does: wait its turn, or be refused with ``busy``."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name in ("max_write_bytes", "max_total_bytes", "max_files", "recount", "max_in_flight"):
            _positive(name, getattr(self, name))
        if self.when_full not in {"wait", "refuse"}:
            message = f"when_full must be 'wait' or 'refuse', not {self.when_full!r}"
            raise UsageError(message)


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

RefusalCode = Literal[
    "bad-name",
    "busy",
    "closed",
    "denied",
    "durability",
    "encoding",
    "escape",
    "exists",
    "folder-not-empty",
    "hard-link",
    "io",
    "is-folder",
    "missing",
    "mount",
    "no-space",
    "not-a-file",
    "over-cap",
    "read-only",
    "root-gone",
    "symlink",
]
"""Stable across releases; each names a heading in ``docs/troubleshooting.md``."""

_CLASSES: dict[RefusalCode, type[OutputError]] = {
    "bad-name": errors.NameRefusedError,
    "busy": errors.BusyError,
    "closed": errors.BusyError,
    "denied": errors.DeniedError,
    "durability": errors.DurabilityError,
    "encoding": errors.ContentError,
    "escape": errors.EscapeError,
    "exists": errors.ExistsError,
    "folder-not-empty": errors.NotAFileError,
    "hard-link": errors.NotAFileError,
    "io": errors.OutputFailedError,
    "is-folder": errors.NotAFileError,
    "missing": errors.MissingError,
    "mount": errors.EscapeError,
    "no-space": errors.NoSpaceError,
    "not-a-file": errors.NotAFileError,
    "over-cap": errors.CapError,
    "read-only": errors.DeniedError,
    "root-gone": errors.RootGoneError,
    "symlink": errors.EscapeError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """It is done."""

    operation: Operation
    path: Path
    """Absolute: the root as it was given, and the name (of a move the new one)."""
    bytes: int
    """Written, of the content; 0 where there is none."""
    stat: FileStat | None
    """What stood there right after; ``None`` of a deletion."""
    existed: bool
    """Whether something stood at the name before (of a move, at the new name)."""
    root: RootState = "same"

    @property
    def ok(self) -> Literal[True]:
        """It was done."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """It was not done; nothing changed on disk unless ``code`` is ``durability``."""

    operation: Operation
    code: RefusalCode
    message: str
    """What was tried, on what, why not, and what to do next."""
    errno: int | None = None
    """The system's word, where there is one."""

    @property
    def ok(self) -> Literal[False]:
        """It was not done."""
        return False

    def error(self) -> OutputError:
        """Give the exception that the method of this operation raises for it."""
        return _CLASSES[self.code](
            self.message,
            code=self.code,
            name=str(self.operation.name),
            operation=verb_of(self.operation),
            errno=self.errno,
        )


Result: TypeAlias = Done | Refused


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


def _positive(name: str, value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        message = f"{name} must be more than 0, got {value!r}"
        raise UsageError(message)
