"""Opening and closing the files of a path: quiet ones, those whose turn comes, those that end."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from limpet.following._file_io import identity_of
from limpet.following._follow_events import Retired
from limpet.following._writer_probe import has_writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limpet.following._followed_file import Generation
    from limpet.following._followed_path import Target

__all__ = [
    "close_one",
    "done_with",
    "drop",
    "find_closed",
    "make_room",
    "reopen",
    "rest",
    "retire",
    "tend",
    "unpark",
    "unreadable",
]

_AGAIN_S: Final = 1.0
"""A file that cannot be read is opened anew this often at most, in seconds."""


def rest(target: Target, gen: Generation) -> None:
    """Close a quiet active file; it is looked at by its name from now on."""
    if gen.fd is not None:
        gen.check(target.world.disk, target.world.disk.monotonic(), hinted=False, remote=False)
        if gen.backlog or not gen.is_acked:
            return
        target.world.disk.close(gen.fd)
        gen.fd = None


def reopen(target: Target, gen: Generation, path: str, now: float) -> bool:
    """Open a file that was closed, if it is still the same; else nothing is known of it."""
    if open_again(target, gen, path, now):
        return True
    target.world.gap(target.shown, "generation-missing", 0, gen.number)
    close_one(target, gen)
    return False


def open_again(target: Target, gen: Generation, path: str, now: float) -> bool:
    """Open a file that was closed; tells whether it is still the same."""
    disk = target.world.disk
    try:
        fd = disk.open(path)
    except OSError:
        return False
    status = disk.fstat(fd)
    igen = disk.inode_generation(fd)
    window = len(gen.window)
    if (
        status.st_ino == gen.identity[1]
        and (igen is None or gen.igen is None or igen == gen.igen)
        and disk.pread(fd, len(gen.head), 0) == gen.head
        and (
            status.st_size < gen.offset or disk.pread(fd, window, gen.offset - window) == gen.window
        )
    ):
        target.world.held.pop(gen.identity, None)
        gen.fd, gen.identity, gen.stamp, gen.parked = fd, identity_of(status), None, False
        target.world.held[gen.identity] = gen
        target.check(gen, now, hinted=True)
        return True
    disk.close(fd)
    return False


def find_closed(target: Target, gen: Generation, now: float) -> None:
    """A file that was closed is at the path no more: look for it in its folder, by its inode.

    Its position is the last one committed, so nothing else of it is needed.
    """
    if gen is target.active:
        target.active = None
        gen.is_active = False
        gen.quiet_since = now
    names = target.world.disk.names(os.path.dirname(target.path))
    path = names.get(gen.identity[1], "")
    if reopen(target, gen, path or target.path, now):
        gen.name = path
        gen.must = gen.size


def unpark(target: Target, gen: Generation, now: float) -> bool:
    """Open a file whose turn has come; tells whether it is still there."""
    disk, inode = target.world.disk, gen.identity[1]
    for name in _names(target, gen):
        try:
            there = disk.stat(name).st_ino == inode
        except OSError:
            continue
        if there and open_again(target, gen, name, now):
            gen.name = name
            return True
    drop(target, gen, "generation-missing")
    return False


def _names(target: Target, gen: Generation) -> Iterator[str]:
    """Give what a file may be called by now; mostly it is the first."""
    yield gen.name
    name = target.world.disk.names(os.path.dirname(gen.name)).get(gen.identity[1])
    if name is not None:
        yield name
    if target.rotations is not None:
        yield from target.rotations.names()


def unreadable(target: Target, gen: Generation, error: OSError, now: float) -> None:
    """A read failed: open the file anew if the path leads to it, else say so and wait."""
    world = target.world
    again = gen.failed is None or now - gen.failed >= _AGAIN_S
    if again and gen.is_active and error.errno in {errno.ESTALE, errno.EIO}:
        gen.failed = now
        try:
            fd = world.disk.open(target.path)
        except OSError:
            fd = -1
        if fd >= 0:
            try:
                same = _is_same(target, fd, gen)
            except OSError:
                same = False
            if same and gen.fd is not None:
                status = world.disk.fstat(fd)
                world.held.pop(gen.identity, None)
                world.disk.close(gen.fd)
                gen.fd, gen.identity, gen.stamp = fd, identity_of(status), None
                gen.igen = world.disk.inode_generation(fd)
                world.held[gen.identity] = gen
                gen.size = status.st_size
                return
            world.disk.close(fd)
    gen.failed = gen.failed or now
    target.inaccessible(error, now)


def _is_same(target: Target, fd: int, gen: Generation) -> bool:
    """Tell whether an open file holds what was read of another."""
    disk, window = target.world.disk, len(gen.window)
    return (
        disk.fstat(fd).st_size >= gen.offset
        and disk.pread(fd, len(gen.head), 0) == gen.head
        and disk.pread(fd, window, gen.offset - window) == gen.window
    )


def tend(target: Target, now: float) -> None:
    """Do what is due: close what is done with, give up what nobody asks for."""
    world, options = target.world, target.world.options
    for gen in list(target.held):
        wait = options.flush_partial
        since = gen.held_since
        if wait is not None and since is not None and now - since >= wait:
            world.deliver(gen, gen.lines.flush())
            gen.held_since = None
        if gen.is_active or gen.fd is None:
            continue
        if gen.backlog:
            if not gen.nlink and now - gen.progress >= options.unlinked_timeout:
                drop(target, gen, "unlinked")
        elif _is_over(target, gen, now):
            retire(target, gen)
    make_room(target)
    target.unacked = [gen for gen in target.unacked if not gen.is_acked]


def make_room(target: Target) -> None:
    """Have no more files open than may be: what can be found again is closed until its turn.

    That are those under ``rotated``; of others the oldest is given up.
    """
    most = target.world.options.max_generations
    aside = [gen for gen in target.held if gen.fd is not None and not gen.is_active]
    for gen in reversed(aside[1:]):
        if len(aside) < most:
            return
        if target.rotations is not None and gen.nlink and gen.backlog:
            target.world.disk.close(gen.open_fd)
            gen.fd, gen.parked = None, True
            aside.remove(gen)
    for gen in aside[: max(0, len(aside) - most + 1)]:
        if gen.backlog:
            drop(target, gen, "too-many")
        else:
            retire(target, gen)


def _is_over(target: Target, gen: Generation, now: float) -> bool:
    options = target.world.options
    if gen.heir is not None:
        return False
    if options.retire == "no-writer" and gen.fd is not None:
        written = has_writer(gen.fd)
        if written is not None:
            return not written
    return now - gen.quiet_since >= options.linger


def retire(target: Target, gen: Generation) -> None:
    """Close a file that is read to its end."""
    world = target.world
    world.deliver(gen, gen.lines.flush())
    world.tell(
        Retired(path=target.shown, time=world.disk.time(), generation=gen.number, bytes=gen.offset)
    )
    close_one(target, gen)


def drop(target: Target, gen: Generation, kind: str) -> None:
    """Close a file that is not read to its end."""
    world = target.world
    world.deliver(gen, gen.lines.flush())
    world.gap(target.shown, kind, gen.size - gen.offset, gen.number)  # type: ignore[arg-type]  # one of them
    close_one(target, gen)


def close_one(target: Target, gen: Generation) -> None:
    world = target.world
    target.held.remove(gen)
    if gen is target.active:
        target.active = None
    if world.held.get(gen.identity) is gen:
        del world.held[gen.identity]
    if target.rotations is not None:
        target.rotations.remember(gen)
    if gen.fd is not None:
        world.disk.close(gen.fd)
        gen.fd = None
    done_with(target, gen)


def done_with(target: Target, gen: Generation) -> None:
    target.world.changed = True
    gen.size = gen.offset
    if not gen.is_acked:
        target.unacked.append(gen)
