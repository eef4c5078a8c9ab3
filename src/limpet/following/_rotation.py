"""Files of one path that were put aside under other names without having been seen at the path."""

from __future__ import annotations

import os
import stat as modes
from contextlib import suppress
from glob import escape, has_magic
from typing import TYPE_CHECKING, Final

from limpet.following._file_io import Identity, Stamp, identity_of, stamp_of
from limpet.following._open_files import make_room
from limpet.following._truncation import go_on_from_any

if TYPE_CHECKING:
    from limpet.following._followed_file import FollowedFile
    from limpet.following._followed_path import FollowedPath

__all__ = ["COMPRESSED", "Known", "Rotations"]

COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
_COARSE_S: Final = 0.1
"""A folder that changed so shortly before it was listed may have changed again since without a
later date (the clock of a file system may tick in steps of some milliseconds)."""

Known = tuple[int | None, Stamp]
"""Inode generation and stamp of a file that is not delivered (again)."""


class Rotations:
    """The files under ``rotated``, as one target sees them."""

    def __init__(self, target: FollowedPath) -> None:
        """Know the pattern."""
        world = target.world
        pattern = world.options.rotated or ""
        folder = os.path.dirname(target.path)
        self.pattern = os.path.join(escape(folder), pattern)
        self.folder = os.path.dirname(os.path.join(folder, pattern))
        self.known: dict[Identity, Known] = {}
        """What was there at the start, or is delivered."""
        self._target = target
        self._listed: tuple[int, float] | None = None

    def names(self) -> list[str]:
        """Give the paths that match, compressed files left out."""
        path = self._target.path
        return [
            name
            for name in self._target.world.disk.glob(self.pattern)
            if name != path and not name.endswith(COMPRESSED)
        ]

    def baseline(self) -> None:
        """Take what is there for delivered long ago."""
        disk = self._target.world.disk
        for name in self.names():
            with suppress(OSError):
                fd = disk.open(name)
                try:
                    status = disk.fstat(fd)
                    if modes.S_ISREG(status.st_mode):
                        inode_generation = disk.inode_generation(fd)
                        self.known[identity_of(status)] = (inode_generation, stamp_of(status))
                finally:
                    disk.close(fd)

    def remember(self, file: FollowedFile) -> None:
        """A file of this path is closed: it is not delivered again."""
        with suppress(OSError):
            if file.fd is not None and file.nlink:
                stamp = stamp_of(self._target.world.disk.fstat(file.fd))
                self.known[file.identity] = (file.inode_generation, stamp)

    def scan(self, now: float, *, surely: bool = False) -> bool:
        """Hold every file that is new under the pattern; tells whether there was one.

        Those that were put aside come before the file at the path, in the order they were last
        written in.
        """
        if not (self._is_due() or surely):
            return False
        target, disk = self._target, self._target.world.disk
        fresh: list[tuple[int, str]] = []
        seen: set[Identity] = set()
        for name in self.names():
            opened = self._open(name, seen)
            if opened is None:
                continue
            fd, status = opened
            disk.close(fd)  # there may be thousands
            fresh.append((status.st_mtime_ns, name))
        self.known = {key: value for key, value in self.known.items() if key in seen}
        for _, name in sorted(fresh):
            opened = self._open(name, seen)
            if opened is None:
                self._listed = None  # it has another name by now
                continue
            self._hold(*opened, name, now)
            make_room(target)
        return bool(fresh)

    def _is_due(self) -> bool:
        if has_magic(self.folder):
            return True
        disk = self._target.world.disk
        try:
            changed = disk.stat(self.folder).st_mtime_ns
        except OSError:
            return False
        listed = self._listed
        if listed is not None and listed[0] == changed and listed[1] - changed / 1e9 > _COARSE_S:
            return False
        self._listed = (changed, disk.time())
        return True

    def _open(self, name: str, seen: set[Identity]) -> tuple[int, os.stat_result] | None:
        """Open a file that nobody knows yet; ``None`` for all others."""
        world = self._target.world
        try:
            status = world.disk.stat(name)
            if not modes.S_ISREG(status.st_mode):
                return None
            seen.add(identity_of(status))
            if self._is_known(identity_of(status), status, None, name):
                return None
            fd = world.disk.open(name)
        except OSError:
            return None
        status = world.disk.fstat(fd)
        identity = identity_of(status)
        seen.add(identity)
        inode_generation = world.disk.inode_generation(fd)
        if not modes.S_ISREG(status.st_mode) or self._is_known(
            identity, status, fd, name, inode_generation
        ):
            world.disk.close(fd)
            return None
        return fd, status

    def _is_known(
        self,
        identity: Identity,
        status: os.stat_result,
        fd: int | None,
        name: str,
        inode_generation: int | None = None,
    ) -> bool:
        world = self._target.world
        file = world.held.get(identity)
        if file is not None:
            if file.fd is not None and not file.is_active:
                file.name = name
            return True
        known = self.known.get(identity)
        if known is None:
            return False
        if known[1] == stamp_of(status):
            return True
        if fd is None:
            return False  # open it: the inode may be another file's by now
        if known[0] != inode_generation:
            del self.known[identity]
            return False
        self.known[identity] = (inode_generation, stamp_of(status))
        return True

    def _hold(self, fd: int, status: os.stat_result, name: str, now: float) -> None:
        """Read an unseen file, after those before it and before the active one."""
        target = self._target
        file = target.make(fd, status, name, now)
        file.must, file.trusted = file.size, False  # it may be a copy
        at = len(target.held)
        if target.active is not None:
            at = target.held.index(target.active)
        for place, one in enumerate(target.held[:at]):
            # a listing need not have all names that came meanwhile: this one may be the elder
            if not one.offset and one.dated + one.trusted > status.st_mtime_ns:
                at = place  # that one is younger, and nothing of it is read
                break
        go_on_from_any(target, file)
        target.held.insert(at, file)
