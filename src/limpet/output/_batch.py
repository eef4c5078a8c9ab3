"""What the operations of one batch share, and what must be released after them."""

from __future__ import annotations

from limpet.output._append import Appender
from limpet.output._fsync_batch import FsyncBatch
from limpet.output._own_write_reporter import open_report
from limpet.output._results import Result, RootState
from limpet.output._syscalls import Syscalls
from limpet.output._write_context import WriteContext


class Batch:
    """What the operations of one batch share."""

    def __init__(self, calls: Syscalls, bases: tuple[str, ...], lock_timeout: float) -> None:
        self.context = WriteContext(calls, open_report(bases), FsyncBatch(calls), lock_timeout)
        self.appender = Appender(self.context)
        self.results: list[Result] = []
        self.unverified: list[int] = []
        """Operations done since the root was last examined."""
        self.sure = False
        """The root was just found at its path."""
        self.state: RootState = "same"

    def close(self) -> None:
        """Release everything and report to the watches, however the batch ended."""
        self.appender.close()
        self.context.fsyncs.abandon()
        self.context.report.close()
