"""What the operations of one batch write with, passed as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limpet.output._fsync_batch import FsyncBatch
    from limpet.output._limits import Rotation
    from limpet.output._operations import Durability
    from limpet.output._own_write_reporter import NoReport
    from limpet.output._quota import Quota
    from limpet.output._resolve import RootHandle
    from limpet.output._syscalls import Syscalls
    from limpet.output._unnamed_file import UnnamedFiles


@dataclass(slots=True, eq=False)
class WriteContext:
    """Where system calls go, who receives own writes, what must reach the disk, and how surely."""

    calls: Syscalls
    report: NoReport
    """Receives every change, for the watches of this process."""
    fsyncs: FsyncBatch
    """Collects the files and directories to sync."""
    quota: Quota
    """Has room for what a rotation adds, and counts it."""
    unnamed: UnnamedFiles
    """Creates new files, where that works."""
    durability: Durability = "none"
    """Durability of the current operation; see ``set_durability``."""
    unstored: dict[int, Exception] = field(default_factory=dict)
    """Index of an operation -> what close(2) said of the file that it wrote."""
    rotated: dict[tuple[str, ...], Rotation] = field(default_factory=dict)
    """Name of a file that was rotated and whose rotated files are to be packed."""

    def set_durability(self, durability: Durability) -> None:
        """Set what must survive a crash of the system, for the next operation."""
        self.durability = durability
        self.fsyncs.with_dirs = durability == "full"

    def check_files(self, root: RootHandle, adds: int) -> None:
        """Refuse more files than the limits allow.

        Raises:
            RefusalError: ``over-cap``.
        """
        if self.quota.needed:
            self.quota.check_room(root, 0, adds)
