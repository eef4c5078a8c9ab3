"""Figures of an output, and how they are counted."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

from limpet.output._operations import Operation, verb_of
from limpet.output._results import RefusalCode, Refused, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputStats:
    """Figures of an output since it was made, for operators and tests."""

    operations: dict[str, int]
    """Method (``create``, ``append``, …) -> operations that are done."""
    refusals: dict[RefusalCode, int]
    """Code -> operations that were refused with it."""
    bytes_written: int
    """Bytes of content."""
    last_operation: float | None
    """When the last batch was over, in Unix seconds."""


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
        last_operation=second.last_operation or first.last_operation,
    )


class OutputCounters:
    """Counts results; one thread at a time adds, any thread may read."""

    __slots__ = ("bytes_written", "last", "operations", "refusals")

    def __init__(self) -> None:
        self.operations: defaultdict[type[Operation], int] = defaultdict(int)
        self.refusals: defaultdict[RefusalCode, int] = defaultdict(int)
        self.bytes_written = 0
        self.last: float | None = None

    def add(self, operation: Operation, result: Result) -> None:
        """Count one operation; its result's fields are not read, which would make them."""
        if isinstance(result, Refused):
            self.refusals[result.code] += 1
        else:
            self.operations[operation.__class__] += 1

    def over(self) -> None:
        """Note that a batch is over now."""
        self.last = time.time()

    def stats(self) -> OutputStats:
        """Return what was counted."""
        operations: dict[str, int] = {}
        for kind, count in list(self.operations.items()):
            verb = verb_of(kind)
            operations[verb] = operations.get(verb, 0) + count
        return OutputStats(
            operations=operations,
            refusals=dict(self.refusals),
            bytes_written=self.bytes_written,
            last_operation=self.last,
        )
