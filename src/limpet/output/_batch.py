"""What the operations that are done in one go share, and what must be let go of after them."""

from __future__ import annotations

from limpet.output._append import Appender
from limpet.output._fsync_batch import Syncs
from limpet.output._own_write_reporter import open_journal
from limpet.output._results import Result, RootState
from limpet.output._syscalls import Sys

__all__ = ["Batch"]


class Batch:
    """What the operations of one go share."""

    def __init__(self, calls: Sys, bases: tuple[str, ...], patience: float) -> None:
        """Start with nothing held."""
        self.journal = open_journal(bases)
        self.syncs = Syncs(calls)
        self.appender = Appender(calls, patience=patience, journal=self.journal, syncs=self.syncs)
        self.answers: list[Result] = []
        self.unseen: list[int] = []
        """Those done since the root was last looked at."""
        self.sure = False
        """The root was just seen at its path."""
        self.state: RootState = "same"

    def close(self) -> None:
        """Let go of everything and tell the watches, however the batch ended."""
        self.appender.close()
        self.syncs.abandon()
        self.journal.close()
