"""One operation on its way to its result."""

from __future__ import annotations

from limpet.output._operations import Operation
from limpet.output._results import Result


class Task:
    """One operation; it may be tried several times before it has a result."""

    __slots__ = ("deadline", "operation", "result")

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.result: Result | None = None
        self.deadline: float | None = None
        """When it is refused if a lock is still held; ``None`` until it met one that is."""
