"""The operations of an output: plain values for bots and for the wire."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Final, Literal, TypeAlias

from limpet._option_fields import check_encoding, check_options, option
from limpet.errors import UsageError
from limpet.output._content import Content, Record, check_content, pieces
from limpet.output._limits import Rotation
from limpet.output._text_encoding import going_on

Durability = Literal["none", "file", "full"]
"""What survives a crash of the system (not of the program, which loses nothing that was answered):
``none`` what the system had written by then; ``file`` the content of an existing file; ``full``
also that the file exists, under this name."""

Name: TypeAlias = str | PurePath

_NAMES: Final = (str, PurePath)
_MOST_MODE: Final = 0o777
_PLAIN: Final = frozenset((str, bytes))
_VERIFIED: Final[set[object]] = set()
"""Kinds of operations with options that were found right: to check them again takes longer than a
small append (18 microseconds)."""
_MOST_VERIFIED: Final = 1024
_READERS: Final[dict[type, Callable[[object], tuple[object, ...]]]] = {}
_VALUES: Final = frozenset(("name", "target", "content"))
"""Fields that are another value each time."""


def _check(operation: _Named) -> None:
    """Verify an operation's name and options where it is made, and not where it is done.

    Raises:
        UsageError: A value is of another type or out of its range; the message names the option.
    """
    kind = type(operation)
    options = (_READERS.get(kind) or _options_of(kind))(operation)
    key = (kind, options, tuple(map(type, options)))  # True is not 1
    named = isinstance(operation.name, _NAMES)
    if kind is MoveFile:
        named = named and isinstance(operation.target, _NAMES)  # type: ignore[attr-defined]
    try:
        if named and key in _VERIFIED:
            return
    except TypeError:  # a value that cannot be hashed is a wrong one
        pass
    check_options(operation)
    if isinstance(operation, _WithContent):
        check_encoding(operation.encoding, "strict")
        if operation.mode is not None and operation.mode > _MOST_MODE:
            message = f"mode must be permission bits, 0 to 0o777, not {operation.mode:#o}"
            raise UsageError(message)
    if len(_VERIFIED) < _MOST_VERIFIED:
        _VERIFIED.add(key)


def _options_of(kind: type[_Named]) -> Callable[[object], tuple[object, ...]]:
    """Return what reads all options of a kind of operation at once."""
    names = (one.name for one in fields(kind) if one.name not in _VALUES)
    found = _READERS[kind] = operator.attrgetter(*names)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    name: Name
    """Relative to the root; ``/`` between directories on every system. Accepted as it is or
    refused."""
    durability: Durability | None = None
    """``None`` is that of the output."""

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _WithContent(_Named):
    content: Content
    """Text is encoded strictly; bytes are written as they are. A stream (a file open for reading
    bytes, or anything that yields bytes) is read when the operation is done, once, in the output's
    thread: operations behind it wait for it."""
    encoding: str = "utf-8"
    """Encoding of text; its byte order mark, if any, is written at the start of a file only."""
    newline: Literal["", "\n", "\r\n"] = ""
    """What every line end of a text becomes; empty leaves them as they are."""
    parents: bool = option(
        True,
        "create the folders on the way that are missing",
        help_off="do not create the folders on the way",
    )

    mode: int | None = option(None, "permission bits of a file that is created", least=0)
    """Permission bits of a file that is created, whatever the umask; ``None`` leaves them to it. A
    file that is there keeps its own."""

    def __post_init__(self) -> None:
        if type(self.content) not in _PLAIN:
            check_content(self.content, stream=not isinstance(self, AppendToFile))
        _check(self)

    def stream(self) -> Iterable[bytes] | None:
        """Return the content's pieces if it is a stream, which is read but once."""
        return None if isinstance(self.content, (str, bytes)) else pieces(self.content)

    def data(self, start: bytes = b"") -> bytes:
        """Return the bytes to write.

        Args:
            start: The first bytes of the file to which it is added.

        Raises:
            UnicodeError: The text does not fit the encoding.
            UsageError: The content is a stream.
        """
        text = self.content
        if isinstance(text, bytes):
            return text
        if not isinstance(text, str):
            message = "content that is a stream is written by a local output only: give bytes"
            raise UsageError(message)
        if self.newline:
            text = text.replace("\r\n", "\n").replace("\n", self.newline)
        return text.encode(going_on(self.encoding, start) if start else self.encoding)


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
    replace_read_only: bool = False
    """Replace a file that nobody may write (mode 0444); refused with ``denied`` otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendToFile(_WithContent):
    """Append one record to a file, in one write that is not mixed with any other."""

    content: Record
    """Text is encoded strictly; bytes are written as they are."""
    create: bool = option(
        True, "create the file if it is missing", help_off="refuse a file that is missing"
    )
    newline_guard: bool = option(False, "first end an unfinished last line of the file")
    """If the file does not end in a line end, write one before the record. What a line end is
    depends on ``encoding``, also for bytes."""
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
    replace_read_only: bool = False
    """With ``overwrite``, also one that nobody may write (mode 0444)."""
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


_KINDS: Final = tuple(_VERBS)


def verb_of(operation: Operation | type[Operation]) -> str:
    """Return the name of the method that does the same as an operation, or as those of a class."""
    kind = operation if isinstance(operation, type) else type(operation)
    return next(_VERBS[one] for one in kind.__mro__ if one in _VERBS)


def check_operation(value: object) -> None:
    """Verify that a value is an operation.

    Raises:
        UsageError: It is something else.
    """
    if not isinstance(value, _KINDS):
        message = (
            "an operation must be a value such as limpet.CreateFile(name=..., content=...), not "
            f"{type(value).__name__}"
        )
        raise UsageError(message)


def shown_name(operation: Operation) -> str:
    """Return the name as text; its ``repr`` shows control characters, bidi marks and surrogates."""
    try:
        return str(operation.name)
    except Exception:  # noqa: BLE001 - a name that passed no check, for instance from a pickle
        return f"<{type(operation.name).__name__}>"
