"""What the operations of one batch share, and what must be released after them."""

from __future__ import annotations

from limpet.output._append import Appender
from limpet.output._fsync_batch import FsyncBatch
from limpet.output._own_write_reporter import open_report
from limpet.output._quota import Quota
from limpet.output._results import Result, RootState
from limpet.output._syscalls import Syscalls
from limpet.output._unnamed_file import UnnamedFiles
from limpet.output._write_context import WriteContext


class Batch:
    """What the operations of one batch share."""

    def __init__(
        self, calls: Syscalls, bases: tuple[str, ...], quota: Quota, unnamed: UnnamedFiles
    ) -> None:
        self.context = WriteContext(calls, open_report(bases), FsyncBatch(calls), quota, unnamed)
        self.appender = Appender(self.context)
        self.results: list[Result | None] = []
        """The result of each operation; ``None`` if it was put off."""
        self.unverified: list[int] = []
        """Operations done since the root was last examined."""
        self.sure = False
        """The root was just found at its path."""
        self.state: RootState = "same"
        self._waiting: set[tuple[str, ...]] = set()
        """Names that operations which were put off write to, and the directories above them."""
        self._exact: set[tuple[str, ...]] = set()

    def put_off(self, names: list[tuple[str, ...]]) -> None:
        """Note that an operation on these names is done later, and so is what follows on them."""
        self._exact.update(names)
        for parts in names:
            self._waiting.update(parts[:depth] for depth in range(1, len(parts) + 1))

    @property
    def has_waiting(self) -> bool:
        """Return whether any operation was put off."""
        return bool(self._exact)

    def must_wait(self, parts: tuple[str, ...]) -> bool:
        """Return whether an operation on a name comes after one that was put off.

        It does if that one is on the same name, above it or below it: a directory must not be moved
        or removed before the record that was to go into it.
        """
        return parts in self._waiting or any(
            parts[:depth] in self._exact for depth in range(1, len(parts))
        )

    def close(self) -> None:
        """Release everything and report to the watches, however the batch ended."""
        try:
            self.appender.close()
            self.context.fsyncs.abandon()
        finally:
            self.context.report.close()
