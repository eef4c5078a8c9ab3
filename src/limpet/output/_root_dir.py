"""The root directory: opened once, verified at every operation, and the directories below it.

The root is a path, not an inode, as the location of a watch is: if another directory is at its path
later, writes go there and not into the one that was moved away, and the result says so. The path is
resolved once, when it is opened; a symlink that comes to its place later is not followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Literal

from limpet._file_stat import identity_of
from limpet.output._own_write_reporter import state_of
from limpet.output._refusals import RefusalError
from limpet.output._resolve import Resolver, RootHandle, Walk
from limpet.output._resolve_openat2 import Openat2, works
from limpet.output._results import RootState
from limpet.output._syscalls import Syscalls
from limpet.output._write_context import WriteContext

Moved = Literal["reopen", "refuse", "stay"]
"""What to do once the directory that was opened is no longer at the root's path."""

ResolverName = Literal["auto", "openat2", "walk"]
"""How the path down to a directory is resolved; ``auto`` is openat2 where it works."""


class RootDir:
    """One root, open or to be opened."""

    def __init__(
        self,
        calls: Syscalls,
        path: str,
        *,
        create: bool,
        moved: Moved,
        cross_mounts: bool,
        way: ResolverName,
    ) -> None:
        self.calls = calls
        self.path = path
        self._real = path
        self._create = create
        self._moved = moved
        self._cross_mounts = cross_mounts
        self._way = way
        self._handle: RootHandle | None = None
        self._resolver: Resolver = Walk()
        self._walk = Walk()

    @property
    def way(self) -> str:
        """The name of the resolver that is used."""
        return self._resolver.name

    @property
    def bases(self) -> tuple[str, ...]:
        """The spellings of the root's path: as it was given, and resolved."""
        return (self.path,) if self.path == self._real else (self.path, self._real)

    @property
    def handle(self) -> RootHandle:
        """The open root."""
        if self._handle is None:
            raise RefusalError("closed", "the output is closed")
        return self._handle

    def open(self) -> None:
        """Open the root for the first time; symlinks in its path are followed, this once.

        Raises:
            RefusalError: ``root-gone``, or ``not-a-file`` if it is not a directory.
            OSError: As the system has it.
        """
        if self._create:
            with contextlib.suppress(FileExistsError):
                self.calls.make_root(self.path)
        try:
            fd = self.calls.open_root(self.path, follow=True)
        except FileNotFoundError as error:
            raise RefusalError("root-gone", "there is no such directory", error.errno) from error
        except NotADirectoryError as error:
            raise RefusalError("not-a-file", "that is not a directory", error.errno) from error
        self._take(fd)
        self._real = os.path.realpath(self.path)
        if self._way != "walk" and works(self.calls, self.handle.fd):
            self._resolver = Openat2()
        elif self._way == "openat2":
            self.close()
            raise RefusalError("io", "openat2 does not work here: use way='walk'", errno.ENOSYS)

    def close(self) -> None:
        """Close the root; may be called twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self.calls.close_quietly(handle.fd)

    def ensure(self) -> RootState:
        """Verify, right before an operation, that the open directory is the one at the path.

        RACE: it may be moved away between this and the operation, some microseconds later; then
        ``is_at_path`` is false afterwards and the result says so. No system call closes that
        window.

        Raises:
            RefusalError: ``root-gone``: it is not, and none is or may be opened in its place.
        """
        found = self._found()
        handle = self.handle
        if found is not None and identity_of(found) == (handle.device, handle.inode):
            return "same"
        if self._moved == "stay":
            return "moved"
        if self._moved == "refuse":
            what = "is gone" if found is None else "was replaced by another"
            raise RefusalError("root-gone", f"the directory {what}")
        if found is None and self._create:
            with contextlib.suppress(FileExistsError):
                self.calls.make_root(self._real)
        self._reopen()
        return "reopened"

    def is_at_path(self) -> bool:
        """Return whether the open directory is at the path, right after an operation."""
        try:
            found = self._found()
        except OSError:
            return False
        return found is not None and identity_of(found) == (
            self.handle.device,
            self.handle.inode,
        )

    def enter(self, parts: tuple[str, ...], *, create_with: WriteContext | None = None) -> int:
        """Open the directory that ``parts`` lead to; ``leave`` it afterwards.

        Args:
            parts: From the root; none is the root itself.
            create_with: Create what is missing, with this context; ``None``: it must be there.

        Raises:
            RefusalError: As ``Resolver.open``.
            OSError: As ``Resolver.open``.
        """
        root = self.handle
        if not parts:
            return root.fd
        try:
            return self._resolver.open(self.calls, root, parts)
        except FileNotFoundError:
            if create_with is None:
                raise
        self._create_dirs(parts, create_with)
        return self._resolver.open(self.calls, root, parts)

    def leave(self, fd: int) -> None:
        """Close what ``enter`` opened, unless it is the root."""
        if fd != self.handle.fd:
            self.calls.close_quietly(fd)

    def _create_dirs(self, parts: tuple[str, ...], context: WriteContext) -> None:
        """Create the directories that are missing, each in the open one above it.

        Raises:
            RefusalError: As ``Resolver.open``.
            OSError: As the system has it; those created until then stay.
        """
        calls, root, report = self.calls, self.handle, context.report
        fd = root.fd
        try:
            for depth, part in enumerate(parts, 1):
                try:
                    inner = self._walk.step(calls, root, fd, part)
                except FileNotFoundError:
                    report.begin(parts[:depth])
                    with contextlib.suppress(FileExistsError):
                        calls.make_dir(fd, part)
                        report.wrote(parts[:depth], None, state_of(calls.stat_at(fd, part)))
                        context.fsyncs.dir(fd)
                    inner = self._walk.step(calls, root, fd, part)
                if fd != root.fd:
                    calls.close_quietly(fd)
                fd = inner
        finally:
            if fd != root.fd:
                calls.close_quietly(fd)

    def _found(self) -> os.stat_result | None:
        try:
            return self.calls.stat_path(self._real)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _take(self, fd: int) -> None:
        try:
            found = self.calls.stat(fd)
            device, inode = identity_of(found)
            self._handle = RootHandle(
                fd=fd,
                device=device,
                inode=inode,
                mount=self.calls.mount_of(fd),
                cross_mounts=self._cross_mounts,
            )
        except BaseException:
            self.calls.close_quietly(fd)
            raise

    def _reopen(self) -> None:
        """Open what is at the path now, by components: none of them was a symlink before."""
        try:
            fd = self._open_real()
        except FileNotFoundError as error:
            raise RefusalError("root-gone", "the directory is gone", error.errno) from error
        except (NotADirectoryError, OSError) as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            why = "a symlink or a file is on the path of the directory now"
            raise RefusalError("root-gone", why, error.errno) from error
        old = self._handle
        self._take(fd)
        if old is not None:
            self.calls.close_quietly(old.fd)

    def _open_real(self) -> int:
        drive, rest = os.path.splitdrive(self._real)
        fd = self.calls.open_root(drive + os.sep, follow=False)
        for part in [part for part in rest.split(os.sep) if part]:
            try:
                inner = self.calls.open_dir(fd, part)
            finally:
                self.calls.close_quietly(fd)
            fd = inner
        return fd
