"""What must reach the disk before a batch is answered: each file and folder once, however often.

Fifty files put into one folder need its entries on the disk once, not fifty times: 37 ms instead of
118 on the disk this was measured on. So an operation only says what it needs, and is answered
after ``finish`` has seen to it.
"""

from __future__ import annotations

from limpet.output._syscalls import Sys

__all__ = ["Syncs"]

_MOST_OPEN = 64
"""Descriptors held for later; with more, those held are seen to at once."""


class Syncs:
    """The files and folders of one batch that are to be synced."""

    def __init__(self, calls: Sys) -> None:
        """Start with none."""
        self._calls = calls
        self._held: dict[tuple[int, int], tuple[int, set[int]]] = {}
        """Device and inode -> descriptor, the operations that need it."""
        self._failed: dict[int, OSError] = {}
        self.current = 0
        """Index of the operation that is being done."""
        self.full = False
        """Whether it wants its folders synced too."""

    def folder(self, folder: int) -> None:
        """The entries of this folder were changed."""
        if self.full:
            self._need(folder, is_folder=True)

    def file(self, fd: int) -> None:
        """This file's bytes were changed."""
        self._need(fd, is_folder=False)

    def _need(self, fd: int, *, is_folder: bool) -> None:
        """Remember it, by a descriptor of our own; what fails here fails like the sync itself."""
        try:
            found = self._calls.stat(fd)
            key = (found.st_dev, found.st_ino)
            if key not in self._held:
                if len(self._held) >= _MOST_OPEN:
                    self.finish()
                own = self._calls.open_again(fd) if is_folder else self._calls.duplicate(fd)
                self._held[key] = (own, set())
            self._held[key][1].add(self.current)
        except OSError as error:
            self._failed[self.current] = error

    def finish(self) -> dict[int, OSError]:
        """Sync all of them; gives the operations for which that failed."""
        while self._held:
            _, (fd, indices) = self._held.popitem()
            try:
                self._calls.sync(fd)
            except OSError as error:
                self._failed.update(dict.fromkeys(indices, error))
            finally:
                self._calls.let_go(fd)
        return self._failed

    def abandon(self) -> None:
        """Close what is held, unsynced: the batch was broken off."""
        for fd, _ in self._held.values():
            self._calls.let_go(fd)
        self._held.clear()
