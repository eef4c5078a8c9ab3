"""What a ``FileSystem`` should watch and write into, as values that can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import limpet
from limpet.output import AsyncOutput
from limpet.watching import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredWatch:
    """A watch, or a follower of a file's lines."""

    path: str
    kind: Literal["file", "dir"]
    mode: Literal["events", "lines"]
    options: tuple[tuple[str, Any], ...]

    def open(self, **changes: object) -> Watch:
        """Return the watch, not entered yet; ``changes`` are options that differ.

        Raises:
            UsageError: An option is out of its range.
        """
        make = limpet.watch_file if self.kind == "file" else limpet.watch_dir
        return make(self.path, **{**dict(self.options), **changes})

    @property
    def state(self) -> str | None:
        """The path of the checkpoint, if there is to be one."""
        found: str | None = dict(self.options)["state"]
        return found

    @property
    def reports_all(self) -> bool:
        """Return whether every start reports everything that exists."""
        return bool(dict(self.options)["existing"]) and self.state is None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredOutput:
    """An output."""

    path: str
    options: tuple[tuple[str, Any], ...]
    timeout: float

    def open(self) -> AsyncOutput:
        """Return the output, not entered yet."""
        return limpet.open_output(self.path, **dict(self.options))
