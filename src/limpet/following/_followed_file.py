"""One file that stood at a path: its descriptor, how far it is read, and whether it still is it.

The descriptor is the identity: as long as it is held, the system gives its inode number to no
other file. That the bytes already read are still there is another question, asked at each look and,
at no cost, with each read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._fingerprint import HEAD, WINDOW
from limpet.following._file_io import FileIO, Identity, Stamp, identity_of, stamp_of
from limpet.following._line_splitter import Block, ChunkSplitter, LineSplitter
from limpet.following._position import Position, make_print
from limpet.following._text_codec import codec_for

if TYPE_CHECKING:
    import os

    from limpet.following._follow_events import TruncationKind
    from limpet.following._followed_path import FollowedPath

__all__ = ["CHUNK", "Change", "FollowedFile", "ReadPoint"]

CHUNK: Final = 512 << 10
"""Bytes of one read. Smaller ones are read a little faster (10.8 GiB/s at 256 KiB, 8.5 at 1 MiB),
but to hand a batch to another thread costs as much as to cut one of 256 KiB. Less than ``max_line``
in any case: in what is no longer than that no line can be too long."""

_CONFIRM_S: Final = 1.0
"""A network file system may tell an old size: one that shrank is asked again after so long."""


class ReadPoint(NamedTuple):
    """What need not be told again."""

    offset: int
    tail: bytes
    skipping: bool


class Change(NamedTuple):
    """The bytes that were read are not there any more."""

    kind: TruncationKind
    lost: int
    size: int


class FollowedFile:
    """One file, held open while there may be something to read."""

    __slots__ = (
        "acked",
        "ahead",
        "compared",
        "dated",
        "doubt",
        "failed",
        "fd",
        "forward",
        "fresh",
        "handoff",
        "head",
        "heir",
        "held_since",
        "identity",
        "inode_generation",
        "is_active",
        "lines",
        "must",
        "name",
        "nlink",
        "number",
        "offset",
        "original",
        "parked",
        "progress",
        "quiet_since",
        "size",
        "stamp",
        "target",
        "trusted",
        "window",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        fd: int,
        status: os.stat_result,
        *,
        inode_generation: int | None,
        name: str,
        lines: LineSplitter | ChunkSplitter,
        target: FollowedPath,
        now: float,
    ) -> None:
        """Stand at the beginning of an open file."""
        self.number = number
        self.target = target
        self.fd: int | None = fd
        self.identity: Identity = identity_of(status)
        self.inode_generation = inode_generation
        self.name = name
        self.lines = lines
        self.is_active = False
        self.size = status.st_size
        self.dated = status.st_mtime_ns
        """When it had been written last when it was found."""
        self.nlink = status.st_nlink
        self.stamp: Stamp | None = None
        self.offset = 0
        self.head = b""
        self.window = b""
        self.fresh = False
        """It was emptied: NULs at its beginning are a hole that its writer left."""
        self.must = 0
        """What lies before this offset comes before anything of the files after it."""
        self.acked = ReadPoint(0, b"", skipping=False)
        self.forward: FollowedFile | None = None
        """The file in which it goes on: what is committed here up to ``handoff`` is so there."""
        self.handoff = 0
        self.heir: FollowedPath | None = None
        """The path that this file has now, which gets it once it is read."""
        self.quiet_since = now
        self.progress = now
        """When it was last read."""
        self.held_since: float | None = None
        """Since when an unfinished line waits for its end."""
        self.doubt: float | None = None
        self.ahead = (0, b"")
        """An offset that was the end when it was last looked at, and unread bytes before it."""
        self.parked = False
        """It is closed until its turn comes: others wait before it, and it can be found again."""
        self.original: FollowedFile | None = None
        """What it is a copy of, so far."""
        self.compared = 0
        """Bytes that were found to be the same."""
        self.trusted = True
        """It is no copy, or was one for long enough."""
        self.failed: float | None = None
        """When a read failed last."""

    @property
    def open_fd(self) -> int:
        """The descriptor of a file that is known to be open."""
        if self.fd is None:
            message = f"{self.name} is not open"
            raise RuntimeError(message)
        return self.fd

    @property
    def backlog(self) -> int:
        """Bytes known to be there and not read."""
        return max(0, self.size - self.offset) if self.fd is not None or self.parked else 0

    @property
    def is_acked(self) -> bool:
        """Whether all that was delivered is committed and nothing is held."""
        return self.acked.offset >= self.offset

    def place(self, disk: FileIO, offset: int, *, encoding: str | None, skipping: bool) -> None:
        """Go to an offset and learn what stands before it."""
        self.offset = offset
        self.head = disk.pread(self.open_fd, min(HEAD, offset), 0)
        before = min(WINDOW, offset)
        self.window = disk.pread(self.open_fd, before, offset - before)
        lines = self.lines
        if isinstance(lines, LineSplitter) and offset:
            lines.codec = codec_for(encoding or lines.encoding, lines.delimiter)
        lines.seek(offset, self.window, skipping=skipping)
        self.acked = ReadPoint(offset, self.window, skipping)
        self._look_ahead(disk, self.open_fd)

    def refresh(self, disk: FileIO, now: float) -> os.stat_result:
        """Learn the size."""
        status = disk.fstat(self.open_fd)
        if status.st_size > self.size:
            self.quiet_since = now
        self.nlink = status.st_nlink
        return status

    def check(self, disk: FileIO, now: float, *, hinted: bool, remote: bool) -> Change | None:
        """See what became of the file; what was read of it must still be there."""
        if self.fd is None:
            return None
        status = self.refresh(disk, now)
        stamp = stamp_of(status)
        if stamp == self.stamp and not hinted and self.doubt is None:
            return None
        size, seen = status.st_size, self.size
        if size < self.offset and remote:
            if self.doubt is None:
                self.doubt = now
            if now - self.doubt < _CONFIRM_S:
                return None
        self.doubt = None
        self.stamp, self.size = stamp, size
        lost = max(0, seen - self.offset)
        change: Change | None = None
        if size < self.offset:
            there = disk.pread(self.fd, min(len(self.head), size), 0)
            same = bool(there) and there == self.head[: len(there)]
            change = Change("trimmed" if same else "truncated", lost, size)
        elif (
            self._pread(disk, self.offset, self.window) != self.window
            or self._pread(disk, len(self.head), self.head) != self.head
        ):
            change = Change("rewritten", lost, size)
        elif size < seen:  # the end was cut off before it was read
            if self.offset:
                change = Change("trimmed", seen - size, size)
            else:
                change = Change("truncated", lost, size)
        elif self.ahead[0] > self.offset:
            end, unread = self.ahead
            if self._pread(disk, end, unread) != unread:
                change = Change("trimmed" if self.offset else "truncated", lost, size)
        if change is None:
            self._look_ahead(disk, self.fd)
        return change

    def _look_ahead(self, disk: FileIO, fd: int) -> None:
        """Remember the end of what is not read yet: it may be gone before it is."""
        size = self.size
        at = max(size - WINDOW, self.offset)
        self.ahead = (size, disk.pread(fd, size - at, at) if size > at else b"")

    def _pread(self, disk: FileIO, end: int, like: bytes) -> bytes:
        if not like or self.fd is None:
            return b""
        return disk.pread(self.fd, len(like), end - len(like))

    def read(self, disk: FileIO) -> list[Block] | None:
        """Read on; ``None`` if what was read before is not there any more.

        Raises:
            OSError: The disk says so; nothing was read.
        """
        known = len(self.window)
        wanted = min(CHUNK, self.size - self.offset)
        data = disk.pread(self.open_fd, known + wanted, self.offset - known)
        if known:
            if data[:known] != self.window:
                return None
            data = data[known:]
        if not data:
            return None
        return self.take(data)

    def take(self, data: bytes) -> list[Block]:
        """Take what was read at the offset."""
        before = self.offset
        self.offset = before + len(data)
        self.window = data[-WINDOW:] if len(data) >= WINDOW else (self.window + data)[-WINDOW:]
        if before < HEAD:
            self.head += data[: HEAD - before]
        return self.lines.feed(data)

    def commit(self, block: Block) -> None:
        """Need not tell this block, and what is before it, again."""
        if block.end > self.acked.offset or (block.skipping, block.end) == (
            True,
            self.acked.offset,
        ):
            self.acked = ReadPoint(block.end, block.tail, block.skipping)
        if self.forward is not None and block.end <= self.handoff:
            self.forward.commit(block)

    def position(self, acked: ReadPoint) -> Position:
        """Give a place in this file as a value."""
        codec = self.lines.codec
        return Position(
            generation=self.number,
            offset=acked.offset,
            device=self.identity[0],
            inode=self.identity[1],
            inode_generation=self.inode_generation,
            head=make_print(self.head[: acked.offset]),
            tail=make_print(acked.tail),
            encoding=codec.name if codec is not None else None,
            skipping=acked.skipping,
        )
