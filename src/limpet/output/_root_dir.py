"""The root folder: opened once, looked after at every operation, and the folders below it.

The root is a place, not an inode, as a watch's location is: if another folder stands at its path
later, writes go there and not into the one that was moved away, and the answer says so. The path is
resolved once, when it is opened; a symlink that comes to stand on it later is not followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Literal

from limpet.output._fsync_batch import Syncs
from limpet.output._own_write_reporter import Silent, state_of
from limpet.output._refusals import RefusalError
from limpet.output._resolve import Resolver, Start, Walk
from limpet.output._resolve_openat2 import Openat2, works
from limpet.output._results import RootState
from limpet.output._syscalls import Sys

__all__ = ["Ground", "Moved", "Way"]

Moved = Literal["reopen", "refuse", "stay"]
"""What to do once the folder that was opened no longer stands at the root's path."""

Way = Literal["auto", "openat2", "walk"]
"""How to get down to a folder; ``auto`` takes openat2 where it works."""


class Ground:
    """One root, open or to be opened."""

    def __init__(
        self,
        calls: Sys,
        path: str,
        *,
        create: bool,
        moved: Moved,
        cross_mounts: bool,
        way: Way,
    ) -> None:
        """Remember what was asked for; the disk is not touched."""
        self.calls = calls
        self.path = path
        self._real = path
        self._create = create
        self._moved = moved
        self._cross_mounts = cross_mounts
        self._way = way
        self._start: Start | None = None
        self._resolver: Resolver = Walk()
        self._walk = Walk()

    @property
    def way(self) -> str:
        """The way down that is used."""
        return self._resolver.name

    @property
    def bases(self) -> tuple[str, ...]:
        """The spellings of the root's path: as it was given, and resolved."""
        return (self.path,) if self.path == self._real else (self.path, self._real)

    @property
    def start(self) -> Start:
        """The open root."""
        if self._start is None:
            raise RefusalError("closed", "the output is closed")
        return self._start

    def open(self) -> None:
        """Open the root for the first time; symlinks in its path are followed, this once.

        Raises:
            RefusalError: ``root-gone``, or ``not-a-file`` if something else stands there.
            OSError: As the system has it.
        """
        if self._create:
            with contextlib.suppress(FileExistsError):
                self.calls.make_root(self.path)
        try:
            fd = self.calls.open_root(self.path, follow=True)
        except FileNotFoundError as error:
            raise RefusalError("root-gone", "there is no such folder", error.errno) from error
        except NotADirectoryError as error:
            raise RefusalError("not-a-file", "that is no folder", error.errno) from error
        self._take(fd)
        self._real = os.path.realpath(self.path)
        if self._way != "walk" and works(self.calls, self.start.fd):
            self._resolver = Openat2()
        elif self._way == "openat2":
            self.close()
            raise RefusalError("io", "openat2 does not work here: take way='walk'", errno.ENOSYS)

    def close(self) -> None:
        """Close the root; twice is as good as once."""
        start, self._start = self._start, None
        if start is not None:
            self.calls.let_go(start.fd)

    def ensure(self) -> RootState:
        """Make sure, right before an operation, that what is open is what stands at the path.

        RACE: it may be moved away between this and the operation, some microseconds later;
        ``still`` then says so in the answer. No system call closes that window.

        Raises:
            RefusalError: ``root-gone``: it is not, and nothing was or may be put in its place.
        """
        found = self._found()
        start = self.start
        if found is not None and (found.st_dev, found.st_ino) == (start.device, start.inode):
            return "same"
        if self._moved == "stay":
            return "moved"
        if self._moved == "refuse":
            what = "is gone" if found is None else "was replaced by another"
            raise RefusalError("root-gone", f"the folder {what}")
        if found is None and self._create:
            with contextlib.suppress(FileExistsError):
                self.calls.make_root(self._real)
        self._reopen()
        return "reopened"

    def still(self) -> bool:
        """Whether what is open was seen to stand at the path, right after an operation."""
        try:
            found = self._found()
        except OSError:
            return False
        return found is not None and (found.st_dev, found.st_ino) == (
            self.start.device,
            self.start.inode,
        )

    def enter(
        self,
        parts: tuple[str, ...],
        *,
        make: bool = False,
        journal: Silent | None = None,
        syncs: Syncs | None = None,
    ) -> int:
        """Give the open folder that ``parts`` lead to; ``leave`` it afterwards.

        Args:
            parts: From the root; none is the root itself.
            make: Make what is missing; then both of the others are needed.
            journal: Hears of it.
            syncs: Sees to it.

        Raises:
            RefusalError: As ``Resolver.open``.
            OSError: As ``Resolver.open``.
        """
        start = self.start
        if not parts:
            return start.fd
        try:
            return self._resolver.open(self.calls, start, parts)
        except FileNotFoundError:
            if not make or journal is None or syncs is None:
                raise
        self.make(parts, journal=journal, syncs=syncs)
        return self._resolver.open(self.calls, start, parts)

    def leave(self, fd: int) -> None:
        """Close what ``enter`` gave, unless it is the root."""
        if fd != self.start.fd:
            self.calls.let_go(fd)

    def make(self, parts: tuple[str, ...], *, journal: Silent, syncs: Syncs) -> None:
        """Make the folders that are missing, one by one, each in the open one above it.

        Raises:
            RefusalError: As ``Resolver.open``.
            OSError: As the system has it; those made until then stay.
        """
        calls, start = self.calls, self.start
        fd = start.fd
        try:
            for depth, part in enumerate(parts, 1):
                try:
                    inner = self._walk.step(calls, start, fd, part)
                except FileNotFoundError:
                    journal.claim(parts[:depth])
                    with contextlib.suppress(FileExistsError):
                        calls.make_folder(fd, part)
                        journal.note(parts[:depth], None, state_of(calls.stat_at(fd, part)))
                        syncs.folder(fd)
                    inner = self._walk.step(calls, start, fd, part)
                if fd != start.fd:
                    calls.let_go(fd)
                fd = inner
        finally:
            if fd != start.fd:
                calls.let_go(fd)

    def _found(self) -> os.stat_result | None:
        try:
            return self.calls.stat_path(self._real)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _take(self, fd: int) -> None:
        try:
            found = self.calls.stat(fd)
            self._start = Start(
                fd=fd,
                device=found.st_dev,
                inode=found.st_ino,
                mount=self.calls.mount_of(fd),
                cross_mounts=self._cross_mounts,
            )
        except BaseException:
            self.calls.let_go(fd)
            raise

    def _reopen(self) -> None:
        """Open what stands at the path now; its every component, for none was a symlink before."""
        try:
            fd = self._open_real()
        except FileNotFoundError as error:
            raise RefusalError("root-gone", "the folder is gone", error.errno) from error
        except (NotADirectoryError, OSError) as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            why = "a symlink or a file stands on the folder's path now"
            raise RefusalError("root-gone", why, error.errno) from error
        old = self._start
        self._take(fd)
        if old is not None:
            self.calls.let_go(old.fd)

    def _open_real(self) -> int:
        drive, rest = os.path.splitdrive(self._real)
        fd = self.calls.open_root(drive + os.sep, follow=False)
        for part in [part for part in rest.split(os.sep) if part]:
            try:
                inner = self.calls.open_folder(fd, part)
            finally:
                self.calls.let_go(fd)
            fd = inner
        return fd
