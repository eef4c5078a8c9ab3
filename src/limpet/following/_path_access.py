"""Which files a follower may open: every name that it examines or opens goes through here.

With ``follow_symlinks=True`` the system resolves names. Otherwise they are resolved one component
at a time, each in the directory that was opened before it. What is swapped meanwhile cannot lead
elsewhere: the component that was judged is the one that is held open, and the last one is opened
without following a symlink. A check of the name beforehand (``lstat``) would leave a window between
check and opening in which another process can put a symlink there.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from limpet._file_stat import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limpet.following._file_io import FileIO

SymlinkPolicy = bool | Literal["same-owner"]

_MAX_LINKS: Final = 40
"""As the kernel has it: path_resolution(7)."""


class NotRegularError(OSError):
    """The name leads to something else than a regular file."""


class SymlinkRefusedError(OSError):
    """The name leads through a symlink that may not be followed."""


class _Located(NamedTuple):
    """The last component of a path, in its open directory."""

    dir_fd: int
    name: str
    owners: tuple[int, ...]
    """Owners of the symlinks that led to it; each must be the owner of the file."""


class _LinkEnd(NamedTuple):
    """Stands on the stack of components where the target of a symlink ends."""

    owner: int


class PathAccess:
    """Examines and opens files by name, as ``follow_symlinks`` permits."""

    def __init__(self, io: FileIO, policy: SymlinkPolicy) -> None:
        self._io = io
        self._policy = policy

    def stat(self, path: str) -> os.stat_result:
        """Return the status of what a path leads to.

        Raises:
            OSError: As the system has it; ELOOP for a symlink that may not be followed.
        """
        if self._policy is True:
            return self._io.stat(path)
        if not self._io.has_dir_fd:
            return self._stat_by_path(path)
        with self._located(path) as (dir_fd, name, owners):
            status = self._io.stat_at(dir_fd, name)
            if modes.S_ISLNK(status.st_mode):
                raise _changed(path)
            _check_owners(status, owners, path)
            return status

    def open(self, path: str, *, fifo: bool = False) -> tuple[int, os.stat_result]:
        """Open a regular file; return its descriptor and the descriptor's status.

        Args:
            path: Absolute.
            fifo: Open a FIFO instead.

        Raises:
            NotRegularError: It is a directory, FIFO or device; nothing is open.
            OSError: As ``stat``; nothing is open.
        """
        io = self._io
        before: os.stat_result | None = None
        owners: tuple[int, ...] = ()
        if self._policy is True:
            fd = io.open(path)
        elif not io.has_dir_fd:
            before = self._stat_by_path(path)
            fd = io.open(path)
        else:
            with self._located(path) as (dir_fd, name, owners):
                fd = io.open_at(dir_fd, name)
        try:
            status = io.fstat(fd)
            _check_owners(status, owners, path)
            if not (modes.S_ISFIFO if fifo else modes.S_ISREG)(status.st_mode):
                raise not_regular(status, path)
            if before is not None:
                after = self._stat_by_path(path)
                if len({identity_of(one) for one in (before, status, after)}) > 1:
                    raise _changed(path)
        except BaseException:
            io.close(fd)
            raise
        return fd, status

    @contextmanager
    def _located(self, path: str) -> Iterator[_Located]:
        """Resolve all of a path except its last component; that directory is open in the block."""
        io = self._io
        rest: list[str | _LinkEnd] = _components(path)
        links = 0
        fd = io.open_root(path)
        try:
            while True:
                part = rest.pop() if rest else "."
                if isinstance(part, _LinkEnd):
                    _check_owners(io.fstat(fd), (part.owner,), path)
                    continue
                is_last = all(isinstance(one, _LinkEnd) for one in rest)
                link = self._link(fd, part, path)
                if link is None:
                    if is_last:
                        owners = tuple(one.owner for one in rest if isinstance(one, _LinkEnd))
                        yield _Located(fd, part, owners)
                        return
                    inner = io.open_dir_at(fd, part)
                    io.close(fd)
                    fd = inner
                    continue
                links += 1
                if links > _MAX_LINKS:
                    raise _too_many(path)
                owner, target = link
                rest.append(_LinkEnd(owner))
                rest += _components(target)
                if target.startswith("/"):
                    io.close(fd)
                    fd = io.open_root(path)
        finally:
            io.close(fd)

    def _link(self, dir_fd: int, name: str, path: str) -> tuple[int, str] | None:
        """Return owner and target of a symlink that may be followed; ``None`` for all else."""
        if not modes.S_ISLNK(self._io.stat_at(dir_fd, name).st_mode):
            return None
        if self._policy is False:
            raise _refused(name, path)
        return self._io.read_link_at(dir_fd, name)

    def _stat_by_path(self, path: str) -> os.stat_result:
        """Return the status where directories have no descriptors, with a check of each component.

        RACE: what is swapped between the checks is followed. ``open`` checks again afterwards and
        compares with the open file, so that a swap has to come and go in the right order within
        microseconds.
        """
        io = self._io
        parent, drive = path, os.path.dirname(path)
        links = []
        while parent != drive:
            status = io.lstat(parent)
            if modes.S_ISLNK(status.st_mode):
                links.append((parent, status))
            parent, drive = drive, os.path.dirname(drive)
        if links and self._policy is False:
            raise _refused(links[0][0], path)
        for link, status in links:
            _check_owners(io.stat(link), (status.st_uid,), path)
        return io.stat(path)


def not_regular(status: os.stat_result, path: str) -> NotRegularError:
    """Return the error for something else than a regular file."""
    number = errno.EISDIR if modes.S_ISDIR(status.st_mode) else errno.EINVAL
    kind = modes.filemode(status.st_mode)[0]
    return NotRegularError(number, f"it is not a regular file ({kind})", path)


def _components(path: str) -> list[str | _LinkEnd]:
    """Return the components of a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in {"", "."}]


def _check_owners(status: os.stat_result, owners: tuple[int, ...], path: str) -> None:
    if any(owner != status.st_uid for owner in owners):
        raise _another_owner(path)


def _refused(link: str, path: str) -> SymlinkRefusedError:
    why = f"{link!r} is a symlink, and follow_symlinks=False follows none"
    return _error(f"{why}: give the path without symlinks", path)


def _another_owner(path: str) -> SymlinkRefusedError:
    return _error("a symlink on the way has another owner than what it leads to", path)


def _too_many(path: str) -> SymlinkRefusedError:
    return _error("too many symlinks", path)


def _changed(path: str) -> SymlinkRefusedError:
    return _error("it was replaced while it was opened; it is tried again", path)


def _error(why: str, path: str) -> SymlinkRefusedError:
    return SymlinkRefusedError(errno.ELOOP, why, path)
