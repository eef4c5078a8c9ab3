"""Finds the files of a checkpoint again: under the same name, under another, or nowhere."""

from __future__ import annotations

import os
import stat as modes
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limpet.following._disk import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.following._checkpoint import Entry, Saved
    from limpet.following._target import Target
    from limpet.following._world import World

__all__ = ["resume"]


@dataclass(slots=True)
class _Candidate:
    name: str
    fd: int
    status: os.stat_result
    igen: int | None
    used: bool = False


def resume(
    world: World, targets: dict[str, Target], saved: dict[str, Saved], *, since: float, now: float
) -> None:
    """Put the targets that the checkpoint knows where it says; the others are left as they are.

    Files that came and went under ``rotated`` while nobody looked are held after those that were
    known, in the order they were last written in. What cannot be found is told as a gap.

    Args:
        world: Of the follower.
        targets: By path; all that are known so far.
        saved: By path.
        since: When it was saved, unix seconds.
        now: Monotonic seconds.
    """
    every = _open_all(world, targets)
    claimed: dict[str, list[tuple[Entry, _Candidate]]] = {}
    for path, one in saved.items():
        target = targets.get(path)
        if target is None:
            continue
        target.resumed = True
        extra = _open_all(world, target.rotations.names()) if target.rotations is not None else {}
        for name, candidate in extra.items():
            if not any(
                c.status.st_ino == candidate.status.st_ino
                and c.status.st_dev == candidate.status.st_dev
                for c in every.values()
            ):
                every[name] = candidate
            else:
                world.disk.close(candidate.fd)
        claimed[path] = []
        for entry in one.entries:
            found = None
            if not entry.gone:
                found = _match(world, entry, target, every, set(extra) | {path})
            if found is None:
                missing = max(0, entry.size - entry.position.offset)
                if missing or (entry is one.entries[-1] and one.active):
                    world.gap(
                        target.shown, "generation-missing", missing, entry.position.generation
                    )
                continue
            found.used = True
            claimed[path].append((entry, found))
    for path, pairs in claimed.items():
        target, one = targets[path], saved[path]
        for entry, found in pairs:
            _place(world, target, entry, found, now)
        if target.resumed:
            _unseen(target, one, every, since, now)
    for candidate in every.values():
        if not candidate.used:
            world.disk.close(candidate.fd)


def _open_all(world: World, names: Iterable[str]) -> dict[str, _Candidate]:
    opened = {}
    for name in names:
        with suppress(OSError):
            if not modes.S_ISREG(world.disk.stat(name).st_mode):
                continue
            fd = world.disk.open(name)
            status = world.disk.fstat(fd)
            if modes.S_ISREG(status.st_mode):
                opened[name] = _Candidate(name, fd, status, world.disk.inode_generation(fd))
            else:
                world.disk.close(fd)
    return opened


def _match(
    world: World,
    entry: Entry,
    target: Target,
    every: dict[str, _Candidate],
    near: set[str],
) -> _Candidate | None:
    """Give the file of an entry: the same inode if it can be, else a copy that lies near."""
    position = entry.position

    def order(candidate: _Candidate) -> tuple[bool, bool]:
        return (candidate.status.st_ino != position.inode, candidate.name != target.path)

    for candidate in sorted((c for c in every.values() if not c.used), key=order):
        same = candidate.status.st_ino == position.inode
        if not same and candidate.name not in near:
            continue

        def read(size: int, at: int, fd: int = candidate.fd) -> bytes:
            return world.disk.pread(fd, size, at)

        with suppress(OSError):
            if position.fits(
                identity_of(candidate.status), candidate.igen, candidate.status.st_size, read
            ):
                return candidate
    return None


def _place(world: World, target: Target, entry: Entry, found: _Candidate, now: float) -> None:
    position = entry.position
    gen = target.make(found.fd, found.status, found.name, now)
    gen.number = position.generation
    gen.trusted = True
    gen.place(world.disk, position.offset, encoding=position.encoding, skipping=position.skipping)
    gen.must = gen.size
    if gen.size < entry.size:
        world.gap(target.shown, "generation-missing", entry.size - gen.size, gen.number)
    if found.name == target.path:
        gen.is_active, gen.must = True, 0
        target.active = gen
        target.is_there = True
        if target.held and target.held[-1].is_active:
            target.held[-1].is_active = False
    target.held.append(gen)


def _unseen(
    target: Target,
    saved: Saved,
    every: dict[str, _Candidate],
    since: float,
    now: float,
) -> None:
    rotations = target.rotations
    if rotations is None:
        return
    known = set(saved.known)
    fresh = []
    for name in rotations.names():
        candidate = every.get(name)
        if candidate is None or candidate.used:
            continue
        status = candidate.status
        old = (status.st_ino, candidate.igen) in known
        if old and (candidate.igen is not None or status.st_mtime <= since):
            continue
        fresh.append(candidate)
    at = len(target.held)
    if target.active is not None:
        at = target.held.index(target.active)
    for candidate in sorted(fresh, key=lambda one: one.status.st_mtime_ns):
        candidate.used = True
        gen = target.make(candidate.fd, candidate.status, candidate.name, now)
        gen.must = gen.size
        target.held.insert(at, gen)
        at += 1
    rotations.baseline()
