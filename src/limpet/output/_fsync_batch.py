"""What must reach the disk before a batch is answered: each file and directory once.

Fifty files put into one directory need its names on the disk once, not fifty times: 37 ms instead
of 118 on the disk this was measured on. So an operation only registers what it needs, and is
answered after ``finish`` has synced it.
"""

from __future__ import annotations

from limpet._file_stat import identity_of
from limpet.output._syscalls import Syscalls

_MOST_OPEN = 64
"""Descriptors held for later; with more, those held are synced at once."""


class FsyncBatch:
    """The files and directories of one batch that are to be synced."""

    def __init__(self, calls: Syscalls) -> None:
        self._calls = calls
        self._held: dict[tuple[int, int], tuple[int, bool, set[int]]] = {}
        """Device and inode -> descriptor, is it a directory, the operations that need it."""
        self._failed: dict[int, OSError] = {}
        self.current = 0
        """Index of the operation that is being done."""
        self.with_dirs = False
        """Whether that operation needs its directories synced too."""

    def dir(self, dir_fd: int) -> None:
        """Register a directory in which names were changed."""
        if self.with_dirs:
            self._need(dir_fd, is_dir=True)

    def file(self, fd: int) -> None:
        """Register a file of which bytes were changed."""
        self._need(fd, is_dir=False)

    def _need(self, fd: int, *, is_dir: bool) -> None:
        """Keep a descriptor of its own; a failure here counts like one of the sync itself."""
        try:
            found = self._calls.stat(fd)
            key = identity_of(found)
            if key not in self._held:
                if len(self._held) >= _MOST_OPEN:
                    self.finish()
                own = self._calls.open_again(fd) if is_dir else self._calls.duplicate(fd)
                self._held[key] = (own, is_dir, set())
            self._held[key][2].add(self.current)
        except OSError as error:
            self._failed[self.current] = error

    def finish(self) -> dict[int, OSError]:
        """Sync all of them; return the operations for which that failed."""
        while self._held:
            _, (fd, is_dir, indices) = self._held.popitem()
            try:
                self._calls.sync(fd)
            except OSError as error:
                self._failed.update(dict.fromkeys(indices, error))
                self._calls.close_quietly(fd)
                continue
            if is_dir:
                self._calls.close_quietly(fd)
                continue
            try:
                self._calls.close(fd)
            except OSError as error:
                self._failed.update(dict.fromkeys(indices, error))
        return self._failed

    def abandon(self) -> None:
        """Close what is held without a sync: the batch was aborted."""
        while self._held:
            _, (fd, _, _) = self._held.popitem()
            self._calls.close_quietly(fd)
