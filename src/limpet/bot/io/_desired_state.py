"""What a ``FileSystem`` is to watch and to write into, as values that can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import limpet
from limpet.output import AsyncOutput
from limpet.watch import Watch

__all__ = ["WantedOutput", "WantedWatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedWatch:
    """A watch, or a follower of a file's lines."""

    path: str
    kind: Literal["file", "dir"]
    mode: Literal["events", "lines"]
    options: tuple[tuple[str, Any], ...]

    def open(self, **changes: object) -> Watch:
        """Give the watch, not entered yet; ``changes`` are options that are other than wanted.

        Raises:
            UsageError: An option is out of its range.
        """
        make = limpet.watch_file if self.kind == "file" else limpet.watch_dir
        return make(self.path, **{**dict(self.options), **changes})

    @property
    def state(self) -> str | None:
        """The state file that was asked for."""
        found: str | None = dict(self.options)["state"]
        return found

    @property
    def tells_all(self) -> bool:
        """Whether every start tells of all that is there."""
        return bool(dict(self.options)["existing"]) and self.state is None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedOutput:
    """An output."""

    path: str
    options: tuple[tuple[str, Any], ...]
    timeout: float

    def open(self) -> AsyncOutput:
        """Give the output, not entered yet."""
        return limpet.open_output(self.path, **dict(self.options))
