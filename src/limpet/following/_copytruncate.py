"""Tells a copy of a followed file from another file that begins like it.

``copytruncate`` copies a log and then empties it. The copy holds what the log held, and perhaps a
little that was written after it was last read. It must not be delivered as if it were new, and that
little must not be lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._fingerprint import HEAD, WINDOW, common
from limpet.following._file_io import Identity, identity_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.following._file_io import FileIO
    from limpet.following._followed_file import FollowedFile
    from limpet.following._followed_path import FollowedPath

__all__ = ["Copy", "agrees", "find_copy", "holds", "must_wait"]

_COMPARED: Final = 64 << 20
"""Bytes that are compared one by one; of what is longer the beginning, the end and samples."""
_SAMPLES: Final = 64
_SAMPLE: Final = 4096


class Copy(NamedTuple):
    """A file that holds what was read of another, and its rest."""

    fd: int
    identity: Identity
    inode_generation: int | None
    name: str
    size: int
    heir: FollowedPath | None
    """The path that it stands at, if that is followed too."""


def must_wait(file: FollowedFile, siblings: Iterable[FollowedPath], now: float) -> bool:
    """Tell whether a new file is, so far, a copy of one that is followed.

    A program that copies a log to empty it does so at once; a mere copy is a file of its own, and
    delivered once it was quiet for ``linger``.
    """
    if file.trusted:
        return False
    world = file.target.world
    disk = world.disk
    original = file.original
    same = original is not None and original.fd is not None and file.compared == file.size
    if same and original is not None:
        original.target.check(original, now, hinted=False)
        if file.fd is None or file.trusted:
            return True  # it was the copy, and is read as the rest of that file
        if file.original is original and original.fd is not None:
            if now - file.quiet_since < world.options.linger:
                return True
            file.trusted = True
            return False
    file.original = None
    for target in siblings:
        for other in list(target.held):
            if other is file or other.fd is None or not other.trusted:
                continue
            other.target.check(other, now, hinted=True)
            if file.fd is None or file.trusted:
                return True
            if other.fd is not None and agrees(disk, file.fd, file.size, other):
                file.original, file.compared = other, file.size
                if now - file.quiet_since < world.options.linger:
                    return True
    file.trusted = True
    return False


def find_copy(file: FollowedFile, siblings: Iterable[FollowedPath]) -> Copy | None:
    """Give the file that holds what was read of ``file`` before it was emptied, and its rest.

    It is one of which nothing is delivered yet; it is no file of its own any more.
    """
    disk = file.target.world.disk
    for target in siblings:
        for other in list(target.held):
            if other is file or other.trusted or other.offset:
                continue
            fd = other.fd
            if fd is None:
                try:
                    fd = disk.open(other.name)
                except OSError:
                    continue
            status = disk.fstat(fd)
            held = identity_of(status) == other.identity and holds(disk, fd, status.st_size, file)
            if held:
                target.held.remove(other)
                other.fd, other.parked, other.trusted = None, False, True
                heir = None
                if target.active is other:
                    target.active, target.alias, heir = None, True, target
                return Copy(
                    fd, other.identity, other.inode_generation, other.name, status.st_size, heir
                )
            if other.fd is None:
                disk.close(fd)
            elif held is None and other.original is file:
                codec = file.lines.codec
                encoding = codec.name if codec is not None else None
                other.size = status.st_size
                other.place(disk, other.size, encoding=encoding, skipping=False)
                other.trusted = True
    return None


def agrees(disk: FileIO, fd: int, size: int, file: FollowedFile) -> bool:
    """Tell whether an open file of that size is, so far, a copy of a followed file's beginning."""
    other = file.fd
    if other is None or not size or size > disk.fstat(other).st_size:
        return False
    if disk.pread(fd, min(HEAD, size), 0) != disk.pread(other, min(HEAD, size), 0):
        return False
    last = max(0, size - _SAMPLE)
    if disk.pread(fd, size - last, last) != disk.pread(other, size - last, last):
        return False
    if size <= _COMPARED:
        return common(fd, other, limit=size, at=0) == size
    step = size // _SAMPLES
    return all(
        disk.pread(fd, _SAMPLE, at) == disk.pread(other, _SAMPLE, at)
        for at in range(0, size - _SAMPLE, step)
    )


def holds(disk: FileIO, fd: int, size: int, file: FollowedFile) -> bool | None:
    """Tell whether an open file holds all that was read of a file that is emptied now.

    ``None`` is: it holds a part of it, and nothing else.
    """
    end, unread = file.ahead
    if not file.offset:
        there = disk.pread(fd, len(unread), end - len(unread)) if size >= end else b""
        return bool(unread) and there == unread
    head = file.head[:size]
    if disk.pread(fd, len(head), 0) != head:
        return False
    if size >= file.offset:
        window = file.window
        return disk.pread(fd, len(window), file.offset - len(window)) == window
    if size <= len(file.head):
        return None
    overlap = size - (file.offset - len(file.window))
    if overlap >= WINDOW // 4:
        same = disk.pread(fd, overlap, size - overlap) == file.window[:overlap]
        return None if same else False
    return False
