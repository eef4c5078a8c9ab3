"""Files of one path that were put aside under other names without having been seen at the path."""

from __future__ import annotations

import os
import stat as modes
from contextlib import suppress
from glob import escape, has_magic
from typing import TYPE_CHECKING, Final

from limpet.following._copies import Copy, agrees, holds
from limpet.following._disk import Identity, Stamp, identity_of, stamp_of

if TYPE_CHECKING:
    from limpet.following._generation import Generation
    from limpet.following._target import Target

__all__ = ["COMPRESSED", "Known", "Rotations"]

COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
_COARSE_S: Final = 0.1
"""A folder that changed so shortly before it was listed may have changed again since without a
later date (the clock of a file system may tick in steps of some milliseconds)."""

Known = tuple[int | None, Stamp]
"""Inode generation and stamp of a file that is not delivered (again)."""


class Rotations:
    """The files under ``rotated``, as one target sees them."""

    def __init__(self, target: Target) -> None:
        """Know the pattern."""
        world = target.world
        pattern = world.options.rotated or ""
        folder = os.path.dirname(target.path)
        self.pattern = os.path.join(escape(folder), pattern)
        self.folder = os.path.dirname(os.path.join(folder, pattern))
        self.known: dict[Identity, Known] = {}
        """What was there at the start, or is delivered."""
        self.suspects: list[Copy] = []
        """What may be a copy of the active file."""
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
                        igen = disk.inode_generation(fd)
                        self.known[identity_of(status)] = (igen, stamp_of(status))
                finally:
                    disk.close(fd)

    def remember(self, gen: Generation) -> None:
        """A file of this path is closed: it is not delivered again."""
        with suppress(OSError):
            if gen.fd is not None and gen.nlink:
                stamp = stamp_of(self._target.world.disk.fstat(gen.fd))
                self.known[gen.identity] = (gen.igen, stamp)

    def scan(self, now: float) -> bool:
        """Hold every file that is new under the pattern; tells whether there was one.

        Those that were put aside come before the file at the path, in the order they were last
        written in.
        """
        if not self._is_due():
            return False
        fresh: list[tuple[int, int, os.stat_result, str]] = []
        seen: set[Identity] = set()
        for name in self.names():
            opened = self._open(name, seen)
            if opened is not None:
                fd, status = opened
                original = self._original(fd, status.st_size)
                if original is not None:
                    self.suspects.append(self._copy(fd, status, name, now, original))
                else:
                    fresh.append((status.st_mtime_ns, fd, status, name))
        self.known = {key: value for key, value in self.known.items() if key in seen}
        for _, fd, status, name in sorted(fresh, key=lambda one: one[0]):
            self._hold(fd, status, name, now)
        return bool(fresh)

    def tend(self, now: float) -> None:
        """See what became of files that may be copies."""
        target, world = self._target, self._target.world
        for copy in list(self.suspects):
            status = world.disk.fstat(copy.fd)
            if stamp_of(status) != copy.stamp:
                copy.size, copy.stamp = status.st_size, stamp_of(status)
                copy.original = self._original(copy.fd, copy.size)
                if copy.original is not None:
                    copy.since = now
                    continue
            first = copy.original or target.active
            emptied = (
                first is not None
                and first.fd is not None
                and world.disk.fstat(first.fd).st_size < copy.size
            )
            if now - copy.since >= world.options.linger or not (copy.original or emptied):
                self.suspects.remove(copy)
                self._hold(copy.fd, status, copy.name, now)

    def copy_of(self, gen: Generation, now: float) -> Copy | None:
        """Give the copy that was made of a file before it was emptied, and hold it no more."""
        world = self._target.world
        self._listed = None
        candidates, self.suspects = self.suspects, []
        for name in self.names():
            opened = self._open(name, set(), candidates)
            if opened is not None:
                candidates.append(self._copy(*opened, name, now))
        found: Copy | None = None
        for copy in candidates:
            copy.size = world.disk.fstat(copy.fd).st_size
            held = holds(world.disk, copy.fd, copy.size, gen)
            if held and found is None:
                found = copy
            elif held or (held is None and copy.original is gen):
                self.known[copy.identity] = (copy.igen, copy.stamp)
                world.disk.close(copy.fd)
            else:
                world.disk.close(copy.fd)  # it is found again, and then compared with what follows
        return found

    def _original(self, fd: int, size: int) -> Generation | None:
        """Give the held file that an open one is a copy of, so far."""
        target = self._target
        for gen in target.held:
            if agrees(target.world.disk, fd, size, gen):
                return gen
        return None

    def close(self) -> None:
        """Close what is held."""
        for copy in self.suspects:
            self._target.world.disk.close(copy.fd)
        self.suspects = []

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

    def _open(
        self, name: str, seen: set[Identity], but: list[Copy] | None = None
    ) -> tuple[int, os.stat_result] | None:
        """Open a file that nobody knows yet; ``None`` for all others."""
        world = self._target.world
        try:
            status = world.disk.stat(name)
            if not modes.S_ISREG(status.st_mode):
                return None
            seen.add(identity_of(status))
            if any(copy.identity == identity_of(status) for copy in but or ()):
                return None
            if self._is_known(identity_of(status), status, None, name):
                return None
            fd = world.disk.open(name)
        except OSError:
            return None
        status = world.disk.fstat(fd)
        identity = identity_of(status)
        seen.add(identity)
        igen = world.disk.inode_generation(fd)
        if not modes.S_ISREG(status.st_mode) or self._is_known(identity, status, fd, name, igen):
            world.disk.close(fd)
            return None
        return fd, status

    def _is_known(
        self,
        identity: Identity,
        status: os.stat_result,
        fd: int | None,
        name: str,
        igen: int | None = None,
    ) -> bool:
        world = self._target.world
        gen = world.held.get(identity)
        if gen is not None:
            if gen.fd is not None and not gen.is_active:
                gen.name = name
            return True
        if any(copy.identity == identity for copy in self.suspects):
            return True
        known = self.known.get(identity)
        if known is None:
            return False
        if known[1] == stamp_of(status):
            return True
        if fd is None:
            return False  # open it: the inode may be another file's by now
        if known[0] != igen:
            del self.known[identity]
            return False
        self.known[identity] = (igen, stamp_of(status))
        return True

    def _copy(
        self,
        fd: int,
        status: os.stat_result,
        name: str,
        now: float,
        original: Generation | None = None,
    ) -> Copy:
        return Copy(
            fd,
            identity_of(status),
            self._target.world.disk.inode_generation(fd),
            name,
            status.st_size,
            stamp_of(status),
            now,
            original,
        )

    def _hold(self, fd: int, status: os.stat_result, name: str, now: float) -> None:
        """Read an unseen file, after those before it and before the active one."""
        target = self._target
        gen = target.make(fd, status, name, now)
        gen.must = gen.size
        at = len(target.held)
        if target.active is not None:
            at = target.held.index(target.active)
        target.go_on_from_any(gen)
        target.held.insert(at, gen)
