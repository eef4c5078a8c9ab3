"""Results that hold what the engine found: path and status are put together when first read.

Both together take as long as a small append, and most programs read neither.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from limpet._file_stat import file_stat
from limpet._lazy_fields import make_lazily
from limpet.output._results import Done

if TYPE_CHECKING:
    from limpet.output._atomic_write import Change
    from limpet.output._operations import Operation
    from limpet.output._output_stats import OutputCounters
    from limpet.output._results import RootState

_Source: TypeAlias = "tuple[Operation, tuple[str, ...], Change, RootState]"
"""The operation, the parts of the name (of a move the new one), what it did, and to which root."""


class DoneMaker:
    """Makes the results of one output; their fields may be read in any thread."""

    __slots__ = ("_counters", "_last", "_root")

    def __init__(self, root: Path, counters: OutputCounters) -> None:
        self._root = root
        self._counters = counters
        self._last: tuple[tuple[str, ...], Path] = ((), root)
        """The last path: often the next one is the same."""

    def done(
        self, operation: Operation, parts: tuple[str, ...], change: Change, root: RootState
    ) -> Done:
        """Return the result of an operation, and count what it has written."""
        counters = self._counters
        counters.operations[operation.__class__] += 1
        counters.bytes_written += change.size
        return make_lazily(Done, self, (operation, parts, change, root))

    def field(self, source: object, name: str) -> object:
        """Return one field of a result."""
        operation, parts, change, root = cast("_Source", source)
        match name:
            case "operation":
                return operation
            case "path":
                return self._path(parts)
            case "bytes":
                return change.size
            case "stat":
                return None if change.stat is None else file_stat(change.stat, change.birth)
            case "existed":
                return change.existed
            case "root":
                return root
            case _:
                return True

    def _path(self, parts: tuple[str, ...]) -> Path:
        known, path = self._last
        if parts != known:
            path = Path(str(self._root), *parts)
            self._last = parts, path
        return path
