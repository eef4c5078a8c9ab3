"""What an async output gives to its threads: operations with what to call, and packings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limpet.output._operations import Operation
from limpet.output._pack import Packing
from limpet.output._task import Task


class Job(Task):
    """One operation in the output's thread."""

    __slots__ = ("_end", "_leave", "error")

    def __init__(
        self, operation: Operation, leave: Callable[[], object], end: Callable[[], object]
    ) -> None:
        """Keep what to call once it is answered: first ``leave``, then ``end``."""
        super().__init__(operation)
        self.error: BaseException | None = None
        self._leave = leave
        self._end = end

    def on_done(self) -> None:
        """Make room for the next operation, and wake the task that waits for this one."""
        self._leave()
        self._end()


class PackingJob:
    """One packing in a thread of its own."""

    __slots__ = ("error", "packing", "result")

    def __init__(self, packing: Packing) -> None:
        self.packing = packing
        self.result: bool | None = None
        self.error: BaseException | None = None

    def on_done(self) -> None:
        """Do nothing: only the end of the block waits for a packing."""


def pack(jobs: Sequence[PackingJob]) -> None:
    """Pack what waits, one log after the other; nothing is raised."""
    for job in jobs:
        try:
            job.packing.run()
        finally:
            job.packing.close()
            job.result = True
