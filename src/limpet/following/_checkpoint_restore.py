"""Finds the files of a checkpoint again: under the same name, under another, or nowhere."""

from __future__ import annotations

import os
import stat as modes
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limpet.following._file_io import identity_of, stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.following._checkpoint import SavedFile, SavedPath
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState

__all__ = ["resume"]


@dataclass(slots=True)
class _Candidate:
    name: str
    status: os.stat_result
    inode_generation: int | None
    used: bool = False


def resume(
    world: FollowerState,
    targets: dict[str, FollowedPath],
    saved: dict[str, SavedPath],
    *,
    since: float,
    now: float,
) -> None:
    """Put the targets that the checkpoint knows where it says; the others are left as they are.

    What cannot be found is told as a gap.

    Args:
        world: Of the follower.
        targets: By path; all that are known so far.
        saved: By path.
        since: When it was saved, unix seconds.
        now: Monotonic seconds.
    """
    every: dict[tuple[int, int], _Candidate] = {}
    _look_at_all(world, targets, every)
    for path, one in saved.items():
        target = targets.get(path)
        if target is None:
            continue
        target.resumed = True
        near = {path}
        if target.rotations is not None:
            near.update(target.rotations.names())
            _look_at_all(world, near, every)
        for entry in one.entries:
            fd: int | None = None
            if not entry.gone:
                fd = _match(world, entry, target, every, near)
            if fd is None:
                missing = max(0, entry.size - entry.position.offset)
                if missing or (entry is one.entries[-1] and one.active):
                    world.gap(
                        target.shown, "generation-missing", missing, entry.position.generation
                    )
                continue
            found = every[identity_of(world.disk.fstat(fd))]
            _place(world, target, entry, found, fd, now)
        _know(target, one, every, since)


def _look_at_all(
    world: FollowerState, names: Iterable[str], every: dict[tuple[int, int], _Candidate]
) -> None:
    """Learn who the files are; they are opened one by one, for there may be thousands."""
    for name in names:
        with suppress(OSError):
            if not modes.S_ISREG(world.disk.stat(name).st_mode):
                continue
            fd = world.disk.open(name)
            try:
                status = world.disk.fstat(fd)
                if modes.S_ISREG(status.st_mode):
                    inode_generation = world.disk.inode_generation(fd)
                    every.setdefault(
                        identity_of(status), _Candidate(name, status, inode_generation)
                    )
            finally:
                world.disk.close(fd)


def _match(
    world: FollowerState,
    entry: SavedFile,
    target: FollowedPath,
    every: dict[tuple[int, int], _Candidate],
    near: set[str],
) -> int | None:
    """Open the file of an entry: the same inode if it can be, else a copy that lies near."""
    position, disk = entry.position, world.disk

    def order(candidate: _Candidate) -> tuple[bool, bool]:
        return (candidate.status.st_ino != position.inode, candidate.name != target.path)

    for candidate in sorted((c for c in every.values() if not c.used), key=order):
        same = candidate.status.st_ino == position.inode
        if not same and (candidate.name not in near or not position.offset):
            continue
        try:
            fd = disk.open(candidate.name)
        except OSError:
            continue
        try:
            status = disk.fstat(fd)
            if identity_of(status) == identity_of(candidate.status) and position.fits(
                identity_of(status),
                candidate.inode_generation,
                status.st_size,
                lambda size, at, fd=fd: disk.pread(fd, size, at),  # type: ignore[misc]  # its own
            ):
                candidate.used, candidate.status = True, status
                return fd
        except OSError:
            pass
        disk.close(fd)
    return None


def _place(
    world: FollowerState,
    target: FollowedPath,
    entry: SavedFile,
    found: _Candidate,
    fd: int,
    now: float,
) -> None:
    position = entry.position
    file = target.make(fd, found.status, found.name, now)
    file.number = position.generation
    file.trusted = True
    file.place(world.disk, position.offset, encoding=position.encoding, skipping=position.skipping)
    file.must = file.size
    if file.size < entry.size:
        world.gap(target.shown, "generation-missing", entry.size - file.size, file.number)
    if found.name == target.path:
        file.is_active, file.must = True, 0
        target.active = file
        target.is_there = True
        if target.held and target.held[-1].is_active:
            target.held[-1].is_active = False
    target.held.append(file)


def _know(
    target: FollowedPath, saved: SavedPath, every: dict[tuple[int, int], _Candidate], since: float
) -> None:
    """Take what is known to be delivered; what else lies under ``rotated`` the next look finds."""
    rotations = target.rotations
    if rotations is None:
        return
    known = set(saved.known)
    for identity, candidate in every.items():
        if candidate.used:
            continue
        status = candidate.status
        old = (status.st_ino, candidate.inode_generation) in known
        if old and (candidate.inode_generation is not None or status.st_mtime <= since):
            rotations.known[identity] = (candidate.inode_generation, stamp_of(status))
