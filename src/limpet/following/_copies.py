"""Tells a copy of a followed file from another file that begins like it.

``copytruncate`` copies a log and then empties it. The copy holds what the log held, and perhaps a
little that was written after it was last read. It must not be delivered as if it were new, and that
little must not be lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from limpet._grown import HEAD, WINDOW, common

if TYPE_CHECKING:
    from limpet.following._disk import Disk, Identity, Stamp
    from limpet.following._generation import Generation
    from limpet.following._target import Target

__all__ = ["Copy", "agrees", "holds"]

_COMPARED: Final = 64 << 20
"""Bytes that are compared one by one; of what is longer the beginning, the end and samples."""
_SAMPLES: Final = 64
_SAMPLE: Final = 4096


@dataclass(slots=True)
class Copy:
    """A file that may be a copy of a followed one, held open until that is known."""

    fd: int
    identity: Identity
    igen: int | None
    name: str
    size: int
    stamp: Stamp
    since: float
    """When it last grew."""
    original: Generation | None = None
    """What it was a copy of when it was last compared."""
    heir: Target | None = None
    """The path that it stands at, if that is followed too."""


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
