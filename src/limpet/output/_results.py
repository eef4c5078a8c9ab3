"""The results of an output: done, or refused with a code that a program can decide by."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from limpet import errors
from limpet._lazy_fields import Lazy
from limpet.errors import OutputError
from limpet.events import FileStat
from limpet.output._operations import Operation, shown_name, verb_of

RootState = Literal["same", "reopened", "moved"]
"""``same``: the directory that was open; ``reopened``: another one, which is at the root's path
now; ``moved``: when it was done, the directory was no longer at the root's path."""

RefusalCode = Literal[
    "bad-name",
    "busy",
    "closed",
    "content",
    "denied",
    "durability",
    "encoding",
    "escape",
    "exists",
    "directory-not-empty",
    "hard-link",
    "internal",
    "io",
    "is-directory",
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
    "content": errors.ContentError,
    "denied": errors.DeniedError,
    "durability": errors.DurabilityError,
    "encoding": errors.ContentError,
    "escape": errors.EscapeError,
    "exists": errors.ExistsError,
    "directory-not-empty": errors.NotAFileError,
    "hard-link": errors.NotAFileError,
    "internal": errors.OutputFailedError,
    "io": errors.OutputFailedError,
    "is-directory": errors.NotAFileError,
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
class Done(Lazy):
    """The operation is done."""

    operation: Operation
    path: Path
    """Absolute: the root as it was given, and the name (of a move the new one)."""
    bytes: int
    """Bytes of content that were written; 0 where there is none."""
    stat: FileStat | None
    """The status right after; ``None`` of a deletion."""
    existed: bool
    """Whether the name was taken before (of a move, the new name)."""
    root: RootState = "same"
    ok: Literal[True] = field(default=True, init=False, repr=False)
    """mypy distinguishes a ``Result`` by its truth; pyright by ``is True``, or ``isinstance``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The operation was not done.

    Nothing changed on disk, unless ``code`` is ``durability`` or the message says how much of a
    record is in the file. After ``internal`` that is not known.
    """

    operation: Operation
    code: RefusalCode
    message: str
    """What was tried, on what, why not, and what to do next."""
    errno: int | None = None
    """The system's errno, where there is one."""
    ok: Literal[False] = field(default=False, init=False, repr=False)
    cause: Exception | None = field(default=None, repr=False, compare=False)
    """What a stream of content raised (``content``), or limpet itself (``internal``)."""

    def error(self) -> OutputError:
        """Return the exception that the method of this operation raises."""
        raised = _CLASSES[self.code](
            self.message,
            code=self.code,
            name=shown_name(self.operation),
            operation=verb_of(self.operation),
            errno=self.errno,
        )
        raised.__cause__ = self.cause
        return raised


Result: TypeAlias = Done | Refused
