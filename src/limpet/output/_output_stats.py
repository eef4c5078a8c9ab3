"""Figures of an output, and how they are counted."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from limpet.output._operations import Operation, verb_of
from limpet.output._results import RefusalCode


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputStats:
    """Figures of an output since it was made, for operators and tests."""

    operations: dict[str, int]
    """Method (``create``, ``append``, …) -> operations that are done."""
    refusals: dict[RefusalCode, int]
    """Code -> operations that were refused with it."""
    bytes_written: int
    """Bytes of content."""


def added(first: OutputStats, second: OutputStats) -> OutputStats:
    """Return the figures of two outputs, one after the other, as those of one."""
    operations, refusals = dict(first.operations), dict(first.refusals)
    for verb, count in second.operations.items():
        operations[verb] = operations.get(verb, 0) + count
    for code, count in second.refusals.items():
        refusals[code] = refusals.get(code, 0) + count
    return OutputStats(
        operations=operations,
        refusals=refusals,
        bytes_written=first.bytes_written + second.bytes_written,
    )


class OutputCounters:
    """Counts operations; one thread at a time adds, any thread may read."""

    __slots__ = ("bytes_written", "operations", "refusals")

    def __init__(self) -> None:
        self.operations: defaultdict[type[Operation], int] = defaultdict(int)
        """Those that are done."""
        self.refusals: defaultdict[RefusalCode, int] = defaultdict(int)
        self.bytes_written = 0

    def stats(self) -> OutputStats:
        """Return what was counted."""
        operations: dict[str, int] = {}
        for kind, count in list(self.operations.items()):
            if count:
                verb = verb_of(kind)
                operations[verb] = operations.get(verb, 0) + count
        return OutputStats(
            operations=operations,
            refusals=dict(self.refusals),
            bytes_written=self.bytes_written,
        )
