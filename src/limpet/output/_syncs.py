"""What must reach the disk before a batch is answered: each file and folder once, however often.

Fifty files put into one folder need its entries on the disk once, not fifty times: 37 ms instead of
118 on the disk this was measured on. So an operation only says what it needs, and is answered
after ``finish`` has seen to it.
"""

from __future__ import annotations

import contextlib
import os

from limpet.output._sys import Sys

__all__ = ["Syncs"]

_MOST_OPEN = 64
"""Descriptors held for later; with more, those held are seen to at once."""


class Syncs:
    """The files and folders of one batch that are to be synced."""

    def __init__(self, calls: Sys) -> None:
        """Start with none."""
        self._calls = calls
        self._held: dict[tuple[int, int, bool], tuple[int, set[int]]] = {}
        """Device, inode, whether a folder -> descriptor, the operations that need it."""
        self._failed: dict[int, OSError] = {}
        self.current = 0
        """Index of the operation that is being done."""
        self.full = False
        """Whether it wants its folders synced too."""

    def folder(self, folder: int) -> None:
        """The entries of this folder were changed."""
        if not self.full or os.name == "nt":  # Windows has no way to, and no need: NTFS logs names
            return
        found = self._calls.stat(folder)
        key = (found.st_dev, found.st_ino, True)
        if key not in self._held:
            self._make_room()
            self._held[key] = (self._calls.open_again(folder), set())
        self._held[key][1].add(self.current)

    def file(self, fd: int, found: os.stat_result) -> bool:
        """This file's bytes were changed; True if its descriptor is kept, and closed later."""
        key = (found.st_dev, found.st_ino, False)
        if key in self._held:
            self._held[key][1].add(self.current)
            return False
        self._make_room()
        self._held[key] = (fd, {self.current})
        return True

    def finish(self) -> dict[int, OSError]:
        """Sync all of them; gives the operations for which that failed."""
        while self._held:
            _, (fd, indices) = self._held.popitem()
            try:
                self._calls.sync(fd)
            except OSError as error:
                self._failed.update(dict.fromkeys(indices, error))
            finally:
                with contextlib.suppress(OSError):
                    self._calls.close(fd)
        return self._failed

    def abandon(self) -> None:
        """Close what is held, unsynced: the batch was broken off."""
        for fd, _ in self._held.values():
            with contextlib.suppress(OSError):
                self._calls.close(fd)
        self._held.clear()

    def _make_room(self) -> None:
        if len(self._held) >= _MOST_OPEN:
            self.finish()
