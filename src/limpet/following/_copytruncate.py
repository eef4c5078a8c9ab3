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

    from limpet.following._file_io import Disk
    from limpet.following._followed_file import Generation
    from limpet.following._followed_path import Target

__all__ = ["Copy", "agrees", "find_copy", "holds", "must_wait"]

_COMPARED: Final = 64 << 20
"""Bytes that are compared one by one; of what is longer the beginning, the end and samples."""
_SAMPLES: Final = 64
_SAMPLE: Final = 4096


class Copy(NamedTuple):
    """A file that holds what was read of another, and its rest."""

    fd: int
    identity: Identity
    igen: int | None
    name: str
    size: int
    heir: Target | None
    """The path that it stands at, if that is followed too."""


def must_wait(gen: Generation, siblings: Iterable[Target], now: float) -> bool:
    """Tell whether a new file is, so far, a copy of one that is followed.

    A program that copies a log to empty it does so at once; a mere copy is a file of its own, and
    delivered once it was quiet for ``linger``.
    """
    if gen.trusted:
        return False
    world = gen.target.world
    disk = world.disk
    original = gen.original
    same = original is not None and original.fd is not None and gen.compared == gen.size
    if same and original is not None:
        original.target.check(original, now, hinted=False)
        if gen.fd is None or gen.trusted:
            return True  # it was the copy, and is read as the rest of that file
        if gen.original is original and original.fd is not None:
            if now - gen.quiet_since < world.options.linger:
                return True
            gen.trusted = True
            return False
    gen.original = None
    for target in siblings:
        for other in list(target.held):
            if other is gen or other.fd is None or not other.trusted:
                continue
            other.target.check(other, now, hinted=True)
            if gen.fd is None or gen.trusted:
                return True
            if other.fd is not None and agrees(disk, gen.fd, gen.size, other):
                gen.original, gen.compared = other, gen.size
                if now - gen.quiet_since < world.options.linger:
                    return True
    gen.trusted = True
    return False


def find_copy(gen: Generation, siblings: Iterable[Target]) -> Copy | None:
    """Give the file that holds what was read of ``gen`` before it was emptied, and its rest.

    It is one of which nothing is delivered yet; it is no file of its own any more.
    """
    disk = gen.target.world.disk
    for target in siblings:
        for other in list(target.held):
            if other is gen or other.trusted or other.offset:
                continue
            fd = other.fd
            if fd is None:
                try:
                    fd = disk.open(other.name)
                except OSError:
                    continue
            status = disk.fstat(fd)
            held = identity_of(status) == other.identity and holds(disk, fd, status.st_size, gen)
            if held:
                target.held.remove(other)
                other.fd, other.parked, other.trusted = None, False, True
                heir = None
                if target.active is other:
                    target.active, target.alias, heir = None, True, target
                return Copy(fd, other.identity, other.igen, other.name, status.st_size, heir)
            if other.fd is None:
                disk.close(fd)
            elif held is None and other.original is gen:
                codec = gen.lines.codec
                encoding = codec.name if codec is not None else None
                other.size = status.st_size
                other.place(disk, other.size, encoding=encoding, skipping=False)
                other.trusted = True
    return None


def agrees(disk: Disk, fd: int, size: int, gen: Generation) -> bool:
    """Tell whether an open file of that size is, so far, a copy of a followed file's beginning."""
    other = gen.fd
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


def holds(disk: Disk, fd: int, size: int, gen: Generation) -> bool | None:
    """Tell whether an open file holds all that was read of a file that is emptied now.

    ``None`` is: it holds a part of it, and nothing else.
    """
    end, unread = gen.ahead
    if not gen.offset:
        there = disk.pread(fd, len(unread), end - len(unread)) if size >= end else b""
        return bool(unread) and there == unread
    head = gen.head[:size]
    if disk.pread(fd, len(head), 0) != head:
        return False
    if size >= gen.offset:
        window = gen.window
        return disk.pread(fd, len(window), gen.offset - len(window)) == window
    if size <= len(gen.head):
        return None
    overlap = size - (gen.offset - len(gen.window))
    if overlap >= WINDOW // 4:
        same = disk.pread(fd, overlap, size - overlap) == gen.window[:overlap]
        return None if same else False
    return False
