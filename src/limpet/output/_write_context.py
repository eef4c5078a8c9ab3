"""What the operations of one batch write with, passed as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limpet.output._fsync_batch import FsyncBatch
    from limpet.output._operations import Durability
    from limpet.output._own_write_reporter import NoReport
    from limpet.output._syscalls import Syscalls


@dataclass(slots=True, eq=False)
class WriteContext:
    """Where system calls go, who receives own writes, what must reach the disk, and how surely."""

    calls: Syscalls
    report: NoReport
    """Receives every change, for the watches of this process."""
    fsyncs: FsyncBatch
    """Collects the files and directories to sync."""
    lock_timeout: float
    """Seconds to wait for a file's lock."""
    durability: Durability = "none"
    """Of the operation that is being done; see ``set_durability``."""

    def set_durability(self, durability: Durability) -> None:
        """Set what must survive a crash of the system, for the next operation."""
        self.durability = durability
        self.fsyncs.with_dirs = durability == "full"
