"""The options of an inbox, as frozen values that are checked when they are created."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from limpet._gitignore import check_globs
from limpet._option_fields import check_options, option, options_from, texts_of
from limpet.config import BackendName, SettleUntil
from limpet.errors import UsageError

Unit = Literal["file", "dir"]


class Options(TypedDict, total=False):
    """The keyword arguments of ``inbox``; ``InboxOptions`` explains each."""

    attempts: int
    backoff: float
    backoff_max: float
    settle: float
    settle_max: float | None
    settle_until: SettleUntil
    concurrency: int
    unit: Unit
    recursive: bool
    existing: bool
    include: str | Iterable[str]
    exclude: str | Iterable[str]
    default_ignores: bool
    backend: BackendName
    poll_interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxOptions:
    """Every option of an inbox.

    Raises:
        UsageError: A value is of another type or out of its range; the message names it.
    """

    attempts: int = option(3, "tries before a job goes to the failed folder", unit="N", least=1)
    """Tries of a job; after the last it goes to ``failed``. A process that is killed has used one:
    a file that kills its process must not come for ever."""
    backoff: float = option(
        1.0, "pause before the second try; doubles with each further one", unit="SECONDS", least=0.0
    )
    """Seconds before the second try; they double with each further one, up to ``backoff_max``."""
    backoff_max: float = option(60.0, "longest pause before another try", unit="SECONDS", least=0.0)
    settle: float = option(
        2.0, "take a file once it is closed or quiet for this long", unit="SECONDS", least=0.0
    )
    """A file is a job once its writer closed it or it was quiet for this many seconds; a folder
    once nothing happened in it, or below it, for that long."""
    settle_max: float | None = option(
        None, "never hold a file longer than this", unit="SECONDS", least=0.0, shown="10 x settle"
    )
    settle_until: SettleUntil = option(
        "closed", "what ends the hold: the writer's close or a quiet time, or a quiet time alone"
    )
    concurrency: int = option(4, "jobs that may be open at a time", unit="N", least=1)
    """Jobs that may be open at a time, in this process; the iterator waits before it takes more."""
    unit: Unit = option("file", "what a job is: each file, or each folder with all in it")
    """``file``: each file. ``dir``: each folder directly in the inbox, with all in it; files beside
    them stay."""
    recursive: bool = option(False, "take files of the folders below too")
    """Take files of the folders below too; they keep their folder in ``done`` and ``failed``."""
    existing: bool = option(True, "begin with what is there", help_off="leave what is there now")
    """Begin with what is there at the start, the oldest first."""
    include: tuple[str, ...] = option((), "only files that match (gitignore syntax)", unit="GLOB")
    exclude: tuple[str, ...] = option((), "leave matching entries in the inbox", unit="GLOB")
    default_ignores: bool = option(
        True,
        "leave partial downloads, editor swap files and system files",
        help_off="take partial downloads, editor swap files and system files too",
    )
    backend: BackendName = option("auto", "source of hints", unit="NAME")
    poll_interval: float = option(
        1.0, "time between two scans where the system gives no hints", unit="SECONDS", least=0.001
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.settle_max is not None and self.settle_max < self.settle:
            message = f"settle_max must be at least settle ({self.settle:g}), got {self.settle_max}"
            raise UsageError(message)
        for name in ("include", "exclude"):
            check_globs(name, getattr(self, name))
        if self.unit == "dir":
            self._check_dirs()

    def _check_dirs(self) -> None:
        if not self.settle:
            message = "settle must be more than 0 with unit='dir': a folder is complete when quiet"
            raise UsageError(message)
        if self.include:
            message = "include is about files: with unit='dir' use exclude"
            raise UsageError(message)
        if self.recursive:
            message = (
                "recursive is about files: with unit='dir' a job has all that is in the folder"
            )
            raise UsageError(message)


def make_options(given: dict[str, Any]) -> InboxOptions:
    """Return checked options.

    Raises:
        UsageError: An option does not exist or is out of its range.
    """
    for name in ("include", "exclude"):
        if name in given:
            given[name] = texts_of(name, given[name])
    return options_from(InboxOptions, given)
