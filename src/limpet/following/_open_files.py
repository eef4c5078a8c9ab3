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

    from limpet.following._followed_file import FollowedFile
    from limpet.following._followed_path import FollowedPath

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


def rest(target: FollowedPath, file: FollowedFile) -> None:
    """Close a quiet active file; it is looked at by its name from now on."""
    if file.fd is not None:
        file.check(target.world.disk, target.world.disk.monotonic(), hinted=False, remote=False)
        if file.backlog or not file.is_acked:
            return
        target.world.disk.close(file.fd)
        file.fd = None


def reopen(target: FollowedPath, file: FollowedFile, path: str, now: float) -> bool:
    """Open a file that was closed, if it is still the same; else nothing is known of it."""
    if open_again(target, file, path, now):
        return True
    target.world.gap(target.shown, "generation-missing", 0, file.number)
    close_one(target, file)
    return False


def open_again(target: FollowedPath, file: FollowedFile, path: str, now: float) -> bool:
    """Open a file that was closed; tells whether it is still the same."""
    disk = target.world.disk
    try:
        fd = disk.open(path)
    except OSError:
        return False
    status = disk.fstat(fd)
    inode_generation = disk.inode_generation(fd)
    window = len(file.window)
    if (
        status.st_ino == file.identity[1]
        and (
            inode_generation is None
            or file.inode_generation is None
            or inode_generation == file.inode_generation
        )
        and disk.pread(fd, len(file.head), 0) == file.head
        and (
            status.st_size < file.offset
            or disk.pread(fd, window, file.offset - window) == file.window
        )
    ):
        target.world.held.pop(file.identity, None)
        file.fd, file.identity, file.stamp, file.parked = fd, identity_of(status), None, False
        target.world.held[file.identity] = file
        target.check(file, now, hinted=True)
        return True
    disk.close(fd)
    return False


def find_closed(target: FollowedPath, file: FollowedFile, now: float) -> None:
    """A file that was closed is at the path no more: look for it in its folder, by its inode.

    Its position is the last one committed, so nothing else of it is needed.
    """
    if file is target.active:
        target.active = None
        file.is_active = False
        file.quiet_since = now
    names = target.world.disk.names(os.path.dirname(target.path))
    path = names.get(file.identity[1], "")
    if reopen(target, file, path or target.path, now):
        file.name = path
        file.must = file.size


def unpark(target: FollowedPath, file: FollowedFile, now: float) -> bool:
    """Open a file whose turn has come; tells whether it is still there."""
    disk, inode = target.world.disk, file.identity[1]
    for name in _names(target, file):
        try:
            there = disk.stat(name).st_ino == inode
        except OSError:
            continue
        if there and open_again(target, file, name, now):
            file.name = name
            return True
    drop(target, file, "generation-missing")
    return False


def _names(target: FollowedPath, file: FollowedFile) -> Iterator[str]:
    """Give what a file may be called by now; mostly it is the first."""
    yield file.name
    name = target.world.disk.names(os.path.dirname(file.name)).get(file.identity[1])
    if name is not None:
        yield name
    if target.rotations is not None:
        yield from target.rotations.names()


def unreadable(target: FollowedPath, file: FollowedFile, error: OSError, now: float) -> None:
    """A read failed: open the file anew if the path leads to it, else say so and wait."""
    world = target.world
    again = file.failed is None or now - file.failed >= _AGAIN_S
    if again and file.is_active and error.errno in {errno.ESTALE, errno.EIO}:
        file.failed = now
        try:
            fd = world.disk.open(target.path)
        except OSError:
            fd = -1
        if fd >= 0:
            try:
                same = _is_same(target, fd, file)
            except OSError:
                same = False
            if same and file.fd is not None:
                status = world.disk.fstat(fd)
                world.held.pop(file.identity, None)
                world.disk.close(file.fd)
                file.fd, file.identity, file.stamp = fd, identity_of(status), None
                file.inode_generation = world.disk.inode_generation(fd)
                world.held[file.identity] = file
                file.size = status.st_size
                return
            world.disk.close(fd)
    file.failed = file.failed or now
    target.inaccessible(error, now)


def _is_same(target: FollowedPath, fd: int, file: FollowedFile) -> bool:
    """Tell whether an open file holds what was read of another."""
    disk, window = target.world.disk, len(file.window)
    return (
        disk.fstat(fd).st_size >= file.offset
        and disk.pread(fd, len(file.head), 0) == file.head
        and disk.pread(fd, window, file.offset - window) == file.window
    )


def tend(target: FollowedPath, now: float) -> None:
    """Do what is due: close what is done with, give up what nobody asks for."""
    world, options = target.world, target.world.options
    for file in list(target.held):
        wait = options.flush_partial
        since = file.held_since
        if wait is not None and since is not None and now - since >= wait:
            world.deliver(file, file.lines.flush())
            file.held_since = None
        if file.is_active or file.fd is None:
            continue
        if file.backlog:
            if not file.nlink and now - file.progress >= options.unlinked_timeout:
                drop(target, file, "unlinked")
        elif _is_over(target, file, now):
            retire(target, file)
    make_room(target)
    target.unacked = [file for file in target.unacked if not file.is_acked]


def make_room(target: FollowedPath) -> None:
    """Have no more files open than may be: what can be found again is closed until its turn.

    That are those under ``rotated``; of others the oldest is given up.
    """
    most = target.world.options.max_generations
    aside = [file for file in target.held if file.fd is not None and not file.is_active]
    for file in reversed(aside[1:]):
        if len(aside) < most:
            return
        if target.rotations is not None and file.nlink and file.backlog:
            target.world.disk.close(file.open_fd)
            file.fd, file.parked = None, True
            aside.remove(file)
    for file in aside[: max(0, len(aside) - most + 1)]:
        if file.backlog:
            drop(target, file, "too-many")
        else:
            retire(target, file)


def _is_over(target: FollowedPath, file: FollowedFile, now: float) -> bool:
    options = target.world.options
    if file.heir is not None:
        return False
    if options.retire == "no-writer" and file.fd is not None:
        written = has_writer(file.fd)
        if written is not None:
            return not written
    return now - file.quiet_since >= options.linger


def retire(target: FollowedPath, file: FollowedFile) -> None:
    """Close a file that is read to its end."""
    world = target.world
    world.deliver(file, file.lines.flush())
    world.tell(
        Retired(
            path=target.shown, time=world.disk.time(), generation=file.number, bytes=file.offset
        )
    )
    close_one(target, file)


def drop(target: FollowedPath, file: FollowedFile, kind: str) -> None:
    """Close a file that is not read to its end."""
    world = target.world
    world.deliver(file, file.lines.flush())
    world.gap(target.shown, kind, file.size - file.offset, file.number)  # type: ignore[arg-type]  # one of them
    close_one(target, file)


def close_one(target: FollowedPath, file: FollowedFile) -> None:
    world = target.world
    target.held.remove(file)
    if file is target.active:
        target.active = None
    if world.held.get(file.identity) is file:
        del world.held[file.identity]
    if target.rotations is not None:
        target.rotations.remember(file)
    if file.fd is not None:
        world.disk.close(file.fd)
        file.fd = None
    done_with(target, file)


def done_with(target: FollowedPath, file: FollowedFile) -> None:
    target.world.changed = True
    file.size = file.offset
    if not file.is_acked:
        target.unacked.append(file)
