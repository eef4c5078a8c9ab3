"""How much may be written, and when a growing file is rotated, as a program sets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limpet._option_fields import check_options, option
from limpet.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """When a file that is appended to is rotated, and what is done with the rotated files.

    ``log.txt`` becomes ``log.txt.1``, the next one ``log.txt.2``: the highest number is the newest,
    and no rotated file is renamed. Only files that this rotated are packed or removed, and only
    while no other process has changed them; a manifest beside the file
    (``.limpet-rotation.log.txt``) lists them.

    Raises:
        UsageError: A bound is not positive, or there is no condition to rotate.
    """

    max_bytes: int | None = option(None, "rotate before a file is larger than this", above=0)
    """Rotate before a record that would make the file larger than this."""
    daily: bool = False
    """Rotate before the first record of a day (UTC) later than that of the last change."""
    compress: bool = False
    """Pack rotated files with gzip, as ``log.txt.1.gz``."""
    keep: int | None = option(None, "most rotated files that are kept", least=0)
    """Most rotated files that are kept."""
    max_age: float | None = option(
        None, "remove rotated files after this long", unit="SECONDS", above=0
    )
    """Longest time they are kept, in seconds since they were rotated."""
    max_total_bytes: int | None = option(None, "most bytes of rotated files", above=0)
    """Most bytes they may take together; the oldest are removed first."""

    def __post_init__(self) -> None:
        check_options(self)
        if self.max_bytes is None and not self.daily:
            message = "a rotation needs max_bytes or daily: nothing says when to rotate"
            raise UsageError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLimits:
    """How much an output may write; what would exceed a limit is refused, and not begun.

    Raises:
        UsageError: A limit is not positive.
    """

    max_write_bytes: int | None = option(None, "most bytes of one operation", above=0)
    """Most bytes of one operation's content, encoded."""
    max_total_bytes: int | None = option(None, "most bytes of all files", above=0)
    """Most bytes of all files below the root together. They are counted at the first write and
    every ``recount`` seconds; in between, limpet adds what it writes itself."""
    max_files: int | None = option(None, "most files", above=0)
    """Most files below the root, counted likewise."""
    recount: float = option(5.0, "seconds for which a count holds", unit="SECONDS", above=0)
    """Seconds for which a count holds while other processes may write into the folder too."""
    max_in_flight: int = option(1024, "most operations at a time", above=0)
    """Most operations that wait or run at a time in an async output."""
    when_full: Literal["wait", "refuse"] = "wait"
    """What happens to the next one: it waits its turn, or is refused with ``busy``."""

    def __post_init__(self) -> None:
        check_options(self)
