"""What an output answers: done, or refused with a reason the program can tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from limpet import errors
from limpet.errors import OutputError
from limpet.events import FileStat
from limpet.output._operations import Operation, verb_of

__all__ = ["Done", "RefusalCode", "Refused", "Result", "RootState"]

RootState = Literal["same", "reopened", "moved"]
"""``same``: the folder that was open; ``reopened``: another one that stands at the root's path now;
``moved``: when it was done, the folder no longer stood at the root's path."""

RefusalCode = Literal[
    "bad-name",
    "busy",
    "closed",
    "denied",
    "durability",
    "encoding",
    "escape",
    "exists",
    "directory-not-empty",
    "hard-link",
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
    "denied": errors.DeniedError,
    "durability": errors.DurabilityError,
    "encoding": errors.ContentError,
    "escape": errors.EscapeError,
    "exists": errors.ExistsError,
    "directory-not-empty": errors.NotAFileError,
    "hard-link": errors.NotAFileError,
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
