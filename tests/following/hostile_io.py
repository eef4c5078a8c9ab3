"""A disk that misbehaves on demand: it fails, gives other numbers, or changes in the middle."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from limpet.following._file_io import Entry
from tests.following.driver import SteppedFileIO


def altered(
    status: os.stat_result, *, device: int, inode: int, seconds: bool = False
) -> os.stat_result:
    """Return a status with other numbers, and times in whole seconds."""
    numbers = list(status)
    numbers[1], numbers[2] = inode, device
    times = {f"st_{one}time_ns": getattr(status, f"st_{one}time_ns") for one in "amc"}
    if seconds:
        times = {name: time - time % 1_000_000_000 for name, time in times.items()}
    return os.stat_result(numbers, times)


class HostileIO(SteppedFileIO):
    """The real disk, made worse."""

    def __init__(self) -> None:
        super().__init__()
        self.device = 0
        """Added to each device number."""
        self.inode = 0
        """Added to each inode number."""
        self.seconds = False
        """Times are in whole seconds."""
        self.errno = 0
        self.failures = 0
        """How many calls fail from now on."""
        self.skip = 0
        """Calls before the first failure, or before ``then``."""
        self.then: Callable[[], None] | None = None
        """Done once, in the middle of something."""

    def _next(self, *, may_fail: bool = True) -> None:
        if self.skip:
            self.skip -= 1
            return
        then, self.then = self.then, None
        if then is not None:
            then()
        if self.failures and may_fail:
            self.failures -= 1
            raise OSError(self.errno, os.strerror(self.errno))

    def _altered(self, status: os.stat_result) -> os.stat_result:
        if not (self.device or self.inode or self.seconds):
            return status
        return altered(
            status,
            device=status.st_dev + self.device,
            inode=status.st_ino + self.inode,
            seconds=self.seconds,
        )

    def stat(self, path: str) -> os.stat_result:
        self._next()
        return self._altered(super().stat(path))

    def fstat(self, fd: int) -> os.stat_result:
        self._next()
        return self._altered(super().fstat(fd))

    def open(self, path: str) -> int:
        self._next()
        return super().open(path)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._next()
        return super().pread(fd, size, offset)

    def entries(self, directory: str) -> list[Entry]:
        self._next()
        return [one._replace(inode=one.inode + self.inode) for one in super().entries(directory)]

    def inode_generation(self, fd: int) -> int | None:
        return None if self.inode else super().inode_generation(fd)

    def calm(self) -> None:
        """Behave from now on; the numbers stay."""
        self.failures = self.skip = 0
        then: Any = self.then
        self.then = None
        if then is not None:
            then()
