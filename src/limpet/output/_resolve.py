"""Resolves the path from the root down to a directory, one component at a time, confined.

Each directory is opened in the one before by its descriptor and not through a symlink. So whatever
is renamed or swapped meanwhile, what was opened was below the root, component by component. This
runs wherever directories have descriptors; the fast resolver (``_resolve_openat2``) is tested
against it.
"""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass
from typing import Protocol

from limpet._file_stat import identity_of
from limpet.output._refusals import RefusalError
from limpet.output._syscalls import Syscalls


@dataclass(frozen=True, slots=True, kw_only=True)
class RootHandle:
    """An open root, and what identifies its mount."""

    fd: int
    device: int
    inode: int
    mount: int
    """0 where mounts have no numbers: then the device decides."""
    cross_mounts: bool


class Resolver(Protocol):
    """Resolves a path below the root."""

    name: str

    def open(self, calls: Syscalls, root: RootHandle, parts: tuple[str, ...]) -> int:
        """Open the directory that ``parts`` (at least one) lead to; the caller closes it.

        Raises:
            RefusalError: ``symlink``, ``mount`` or ``not-a-file``: something on the way is no
                directory of the root's own.
            OSError: ENOENT: it does not exist. Others as the system has them.
        """
        ...


def same_mount(calls: Syscalls, root: RootHandle, fd: int) -> bool:
    """Return whether an open file is on the root's mount, or need not be."""
    if root.cross_mounts:
        return True
    if root.mount:
        return calls.mount_of(fd) == root.mount
    return identity_of(calls.stat(fd))[0] == root.device


class Walk:
    """Resolves component by component."""

    name = "walk"

    def open(self, calls: Syscalls, root: RootHandle, parts: tuple[str, ...]) -> int:
        fd = root.fd
        try:
            for part in parts:
                inner = self.step(calls, root, fd, part)
                if fd != root.fd:
                    calls.close_quietly(fd)
                fd = inner
        except BaseException:
            if fd != root.fd:
                calls.close_quietly(fd)
            raise
        return fd

    @staticmethod
    def step(calls: Syscalls, root: RootHandle, fd: int, part: str) -> int:
        """Open one directory in another.

        Raises:
            RefusalError: As ``Resolver.open``.
            OSError: As ``Resolver.open``.
        """
        try:
            inner = calls.open_dir(fd, part)
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            # The errno of O_NOFOLLOW for a symlink differs between systems, and with O_DIRECTORY.
            if stat.S_ISLNK(calls.stat_at(fd, part).st_mode):
                why = f"{part!r} is a symlink, and none is followed"
                raise RefusalError("symlink", why, error.errno) from error
            why = f"{part!r} is not a directory"
            raise RefusalError("not-a-file", why, error.errno) from error
        try:
            if not same_mount(calls, root, inner):
                why = f"another file system is mounted at {part!r}"
                raise RefusalError("mount", why, errno.EXDEV)
        except BaseException:
            calls.close_quietly(inner)
            raise
        return inner
