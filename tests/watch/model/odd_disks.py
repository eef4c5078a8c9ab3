"""File systems that misbehave on demand: the real one below, with other answers."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterable
from typing import Any

from limpet.backends import FileSystemTraits
from limpet.watching.index._entry_record import StatResult, pack
from limpet.watching.index._fs import FileSystemCalls, Handle

SECOND = 10**9


class OddDisk(FileSystemCalls):
    """Changes each stat result on its way; subclasses say how."""

    exact_times = False
    known = FileSystemTraits()

    def changed(self, facts: StatResult) -> StatResult:
        """Return what this file system would have answered."""
        return facts

    def inode(self, inode: int) -> int:
        return inode

    def traits(self, path: str) -> FileSystemTraits:
        return self.known

    def stat(self, handle: Handle) -> StatResult:
        return self.changed(super().stat(handle))

    def directory(self, handle: Handle, now: int) -> tuple[bytes, int, int]:
        facts = self.stat(handle)
        return pack(facts, now), facts.device, facts.inode

    def identity(self, handle: Handle) -> tuple[int, int]:
        facts = self.stat(handle)
        return facts.device, facts.inode

    def stat_at(self, handle: Handle, name: str, *, follow: bool = False) -> StatResult | None:
        facts = super().stat_at(handle, name, follow=follow)
        return None if facts is None else self.changed(facts)

    def records(self, handle: Handle, names: Iterable[str], now: int) -> list[bytes | None]:
        found = [self.stat_at(handle, name) for name in names]
        return [None if facts is None else pack(facts, now) for facts in found]

    def read(self, handle: Handle) -> dict[str, int]:
        return {
            name: self.inode(brief >> 2) << 2 | brief & 3
            for name, brief in super().read(handle).items()
        }

    def stat_path(self, path: str) -> StatResult | None:
        facts = super().stat_path(path)
        return None if facts is None else self.changed(facts)


class WholeSeconds(OddDisk):
    """ext2, ext3, sshfs: no birth times, and stamps of whole seconds."""

    def changed(self, facts: StatResult) -> StatResult:
        return facts._replace(
            mtime=facts.mtime // SECOND * SECOND, ctime=facts.ctime // SECOND * SECOND, birth=0
        )

    def now(self) -> int:
        return super().now()


class NoBirths(OddDisk):
    """ramfs, NFS: no birth times."""

    def changed(self, facts: StatResult) -> StatResult:
        return facts._replace(birth=0)


class BirthsChange(OddDisk):
    """overlay: a file is born again by its first change, here by every one."""

    known = FileSystemTraits(stable_births=False)

    def changed(self, facts: StatResult) -> StatResult:
        return facts._replace(birth=facts.ctime)


class InodesChange(OddDisk):
    """FUSE: inode numbers are given anew whenever the kernel forgets them, and no birth times."""

    known = FileSystemTraits(stable_inodes=False)

    def __init__(self) -> None:
        self.epoch = 0

    def forget(self) -> None:
        self.epoch += 1

    def inode(self, inode: int) -> int:
        return inode * 8191 + self.epoch * 104_729 & 0xFFFFFFFF

    def changed(self, facts: StatResult) -> StatResult:
        return facts._replace(birth=0, inode=self.inode(facts.inode))


class Faulty(FileSystemCalls):
    """Any call may fail, with any errno, for as long as ``errors`` is not empty."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.errors: tuple[int, ...] = ()

    def _fail(self) -> None:
        if self.errors and self.random.random() < 0.3:
            code = self.random.choice(self.errors)
            raise OSError(code, os.strerror(code))

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in _CALLS and super().__getattribute__("errors"):
            self._fail()
        return found


_CALLS = frozenset(
    ("open", "open_in", "stat", "directory", "identity", "stat_at", "records", "read", "stat_path")
)
ALL_ERRORS = tuple(code for code in errno.errorcode if code not in {errno.ENOENT, errno.ENOTDIR})
