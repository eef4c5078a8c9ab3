"""One file that was found at a path: its descriptor, how far it is read, what it should still hold.

An open descriptor is the identity: while it is open, the system gives its inode number to no other
file. Whether the bytes already read are still in the file is a separate question. It is checked at
each refresh and, at no extra cost, with each read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._file_stat import identity_of
from limpet._fingerprint import HEAD, WINDOW
from limpet.following._file_io import FileIO, Identity, Stamp, is_fresh, stamp_of
from limpet.following._line_splitter import Block, ChunkSplitter, LineSplitter
from limpet.following._position import Position, make_print
from limpet.following._text_codec import codec_for

if TYPE_CHECKING:
    import os

    from limpet.following._follow_events import TruncationKind

CHUNK: Final = 512 << 10
"""Bytes of one read. Smaller reads are a little faster (10.8 GiB/s at 256 KiB, 8.5 at 1 MiB), but
passing a batch to another thread costs as much as splitting 256 KiB into lines. It is less than the
default ``max_line``: no line of a chunk that is not longer than that can be too long."""

HOLD_S: Final = 5.0
"""How long a file that cannot be read keeps back what comes after it, in seconds."""

_CONFIRM_S: Final = 1.0
"""A network file system may report an old size: a file that shrank is checked again after this
time."""


class ReadPoint(NamedTuple):
    """A place between two lines of a file, or within a line that is left out."""

    offset: int
    tail: bytes
    """The last bytes before the offset."""
    skipping: bool
    """The offset lies within a line whose rest is left out."""


class Change(NamedTuple):
    """The bytes that were read, or known to be in the file, are no longer there."""

    kind: TruncationKind
    lost: int
    """Bytes that were known and not read."""
    size: int
    """Present size of the file."""


class Copy(NamedTuple):
    """An open file that holds what was read of an emptied file, and its unread rest."""

    fd: int
    identity: Identity
    inode_generation: int | None
    name: str
    size: int
    followed_as: str | None
    """The followed path that leads to the copy, if there is one."""


class Continuation(NamedTuple):
    """The file in which a deleted file continues."""

    file: FollowedFile
    offset: int
    """What is acknowledged of the old file up to here is acknowledged of the new one as well."""


class UnreadTail(NamedTuple):
    """The last bytes of a file that are not read yet; they may be gone before they are read."""

    end: int
    """Size of the file at that moment."""
    data: bytes
    """The bytes before it."""


class CopySuspicion:
    """What a new file was compared with while it may be a copy of another followed file."""

    __slots__ = ("compared", "original")

    def __init__(self) -> None:
        self.original: FollowedFile | None = None
        """The file that it agrees with so far."""
        self.compared = 0
        """Size of the new file when it was compared."""


class FollowedFile:
    """One file, held open while there may be something to read."""

    __slots__ = (
        "acknowledged",
        "closed_until_turn",
        "continuation",
        "failed_at",
        "failing_since",
        "fd",
        "found_mtime_ns",
        "head",
        "identity",
        "inode_generation",
        "is_active",
        "moved_to",
        "name",
        "nlink",
        "number",
        "offset",
        "partial_since",
        "path",
        "priority_end",
        "quiet_since",
        "read_at",
        "shrunk_since",
        "size",
        "splitter",
        "stamp",
        "suspicion",
        "unread_tail",
        "was_emptied",
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
        path: str,
        splitter: LineSplitter | ChunkSplitter,
        now: float,
    ) -> None:
        """Start at the beginning of an open file.

        Args:
            number: Generation number, as reported in events.
            fd: Descriptor, owned by this object from now on.
            status: The descriptor's status.
            inode_generation: The inode's generation, where the file system has it.
            name: Path under which the file was found.
            path: Followed path under which it is read.
            splitter: Splits its bytes into blocks.
            now: Monotonic seconds.
        """
        self.number = number
        self.fd: int | None = fd
        self.identity: Identity = identity_of(status)
        self.inode_generation = inode_generation
        self.name = name
        self.path = path
        self.splitter = splitter
        self.is_active = False
        """Its followed path leads to it."""
        self.size = status.st_size
        self.found_mtime_ns = status.st_mtime_ns
        """Modification time when it was found."""
        self.nlink = status.st_nlink
        self.stamp: Stamp | None = None
        self.offset = 0
        """Bytes read."""
        self.head = b""
        """The first bytes that were read."""
        self.window = b""
        """The last bytes before ``offset``."""
        self.was_emptied = False
        """It starts again after a truncation: NULs at its beginning are a hole that a writer left.
        """
        self.priority_end = 0
        """Bytes before this offset are delivered before anything of the files after it."""
        self.acknowledged = ReadPoint(0, b"", skipping=False)
        self.continuation: Continuation | None = None
        self.moved_to: str | None = None
        """Another followed path that leads to it now, and takes it over once it is read."""
        self.quiet_since = now
        self.read_at = now
        self.partial_since: float | None = None
        """Since when an unfinished line waits for its end."""
        self.shrunk_since: float | None = None
        """Since when a network file system reports a smaller size."""
        self.unread_tail = UnreadTail(0, b"")
        self.closed_until_turn = False
        """It is closed while other files are read before it; its name is known."""
        self.suspicion: CopySuspicion | None = None
        """Set while it may be a copy of another file: nothing of it is delivered until then."""
        self.failed_at: float | None = None
        """When a read failed."""
        self.failing_since: float | None = None
        """Since when each read failed."""

    @property
    def open_fd(self) -> int:
        """The descriptor of a file that is known to be open."""
        if self.fd is None:
            message = f"{self.name} is not open"
            raise RuntimeError(message)
        return self.fd

    @property
    def backlog(self) -> int:
        """Bytes known to be in the file and not read."""
        if self.fd is None and not self.closed_until_turn:
            return 0
        return max(0, self.size - self.offset)

    @property
    def is_acknowledged(self) -> bool:
        """Return whether all is acknowledged and no unfinished line is held."""
        return self.acknowledged.offset >= self.offset

    @property
    def encoding(self) -> str | None:
        """Name of the encoding that was detected; ``None`` is bytes or not known yet."""
        return self.splitter.codec.name if self.splitter.codec is not None else None

    def note_failure(self, now: float) -> None:
        self.failed_at = self.failed_at or now
        self.failing_since = self.failing_since or now

    def note_success(self) -> None:
        self.failed_at = self.failing_since = None

    # -- becoming another ----------------------------------------------------------------------

    def restarted(
        self,
        number: int,
        status: os.stat_result,
        splitter: LineSplitter | ChunkSplitter,
        now: float,
    ) -> FollowedFile:
        """Return the same file from its beginning, under a new number.

        The new object takes over the descriptor and the place at the followed path. This one keeps
        what was read, and is closed.
        """
        fd, self.fd = self.open_fd, None
        new = FollowedFile(
            number,
            fd,
            status,
            inode_generation=self.inode_generation,
            name=self.name,
            path=self.path,
            splitter=splitter,
            now=now,
        )
        new.was_emptied = True
        new.is_active, self.is_active = self.is_active, False
        return new

    def adopt(self, copy: Copy, now: float) -> None:
        """Continue in a copy that was made before the file was emptied; the offset stays."""
        self.fd, self.identity = copy.fd, copy.identity
        self.inode_generation, self.name = copy.inode_generation, copy.name
        self.size = self.priority_end = copy.size
        self.quiet_since, self.moved_to = now, copy.followed_as

    def reopened(self, fd: int, status: os.stat_result) -> None:
        """Use another descriptor for the same content."""
        self.fd, self.identity, self.stamp = fd, identity_of(status), None
        self.closed_until_turn = False

    def continue_from(self, old: FollowedFile) -> None:
        """Take over the reading position of a deleted file whose content this one holds."""
        self.offset, self.head, self.window = old.offset, old.head, old.window
        self.splitter, self.acknowledged = old.splitter, old.acknowledged
        self.partial_since = old.partial_since
        old.continuation = Continuation(self, old.offset)

    def seek(self, io: FileIO, offset: int, *, encoding: str | None, skipping: bool) -> None:
        """Go to an offset and learn the bytes before it.

        Raises:
            OSError: The file cannot be read; nothing is changed.
        """
        fd = self.open_fd
        head = io.pread(fd, min(HEAD, offset), 0)
        before = min(WINDOW, offset)
        window = io.pread(fd, before, offset - before)
        unread = self._read_unread_tail(io, fd, self.size, offset)
        self.offset, self.head, self.window, self.unread_tail = offset, head, window, unread
        splitter = self.splitter
        if isinstance(splitter, LineSplitter) and offset:
            splitter.codec = codec_for(encoding or splitter.encoding, splitter.delimiter)
        splitter.seek(offset, window, skipping=skipping)
        self.acknowledged = ReadPoint(offset, window, skipping)

    # -- checking ------------------------------------------------------------------------------

    def refresh_status(self, io: FileIO, now: float) -> os.stat_result:
        """Return the status of the open file, and note whether it grew or was deleted."""
        status = io.fstat(self.open_fd)
        if status.st_size > self.size:
            self.quiet_since = now
        self.nlink = status.st_nlink
        return status

    def find_change(
        self, io: FileIO, now: float, *, hinted: bool, on_network: bool
    ) -> Change | None:
        """Update the size, and return how the bytes that were read or known have changed.

        Args:
            io: Access to the disk.
            now: Monotonic seconds.
            hinted: Compare the content even if size and times are as before.
            on_network: Confirm a smaller size before it is believed.

        Raises:
            OSError: The file cannot be read.
        """
        if self.fd is None:
            return None
        status = self.refresh_status(io, now)
        stamp = stamp_of(status)
        if (
            stamp == self.stamp
            and not hinted
            and self.shrunk_since is None
            and not is_fresh(status, io.time)
        ):
            return None
        size, known = status.st_size, self.size
        if size < self.offset and on_network:
            if self.shrunk_since is None:
                self.shrunk_since = now
            if now - self.shrunk_since < _CONFIRM_S:
                return None
        kind = self._change_kind(io, self.fd, size, known)
        if kind is None:
            self.unread_tail = self._read_unread_tail(io, self.fd, size, self.offset)
        # only now: a read that failed is repeated at the next refresh
        self.shrunk_since = None
        self.stamp, self.size = stamp, size
        if kind is None:
            return None
        cut_unread = kind == "trimmed" and self.offset <= size < known
        return Change(kind, known - size if cut_unread else max(0, known - self.offset), size)

    def _change_kind(self, io: FileIO, fd: int, size: int, known: int) -> TruncationKind | None:
        if size < self.offset:
            head = io.pread(fd, min(len(self.head), size), 0)
            return "trimmed" if head and head == self.head[: len(head)] else "truncated"
        if not (
            _ends_with(io, fd, self.offset, self.window)
            and _ends_with(io, fd, len(self.head), self.head)
        ):
            return "rewritten"
        tail = self.unread_tail
        if size < known or (tail.end > self.offset and not _ends_with(io, fd, *tail)):
            return "trimmed" if self.offset else "truncated"  # the unread end was cut off
        return None

    @staticmethod
    def _read_unread_tail(io: FileIO, fd: int, size: int, offset: int) -> UnreadTail:
        at = max(size - WINDOW, offset)
        return UnreadTail(size, io.pread(fd, size - at, at) if size > at else b"")

    # -- reading and acknowledging -------------------------------------------------------------

    def read(self, io: FileIO) -> list[Block] | None:
        """Read one chunk; ``None`` if the bytes read before are no longer there.

        Raises:
            OSError: The read failed; nothing was read.
        """
        known = len(self.window)
        wanted = min(CHUNK, self.size - self.offset)
        data = io.pread(self.open_fd, known + wanted, self.offset - known)
        if known:
            if data[:known] != self.window:
                return None
            data = data[known:]
        if not data:
            return None
        before = self.offset
        self.offset = before + len(data)
        self.window = data[-WINDOW:] if len(data) >= WINDOW else (self.window + data)[-WINDOW:]
        if before == len(self.head) < HEAD:
            self.head += data[: HEAD - before]
        return self.splitter.feed(data)

    def acknowledge(self, block: Block) -> None:
        """Note that a block, and everything before it in this file, is acknowledged."""
        offset = self.acknowledged.offset
        if block.end > offset or (block.skipping and block.end == offset):
            self.acknowledged = ReadPoint(block.end, block.tail, block.skipping)
        continuation = self.continuation
        if continuation is not None and block.end <= continuation.offset:
            continuation.file.acknowledge(block)

    def position_after(self, block: Block) -> Position:
        return self.position(ReadPoint(block.end, block.tail, block.skipping))

    def position(self, point: ReadPoint) -> Position:
        """Return a place in this file as a value."""
        return Position(
            generation=self.number,
            offset=point.offset,
            device=self.identity[0],
            inode=self.identity[1],
            inode_generation=self.inode_generation,
            head=make_print(self.head[: point.offset]),
            tail=make_print(point.tail),
            encoding=self.encoding,
            skipping=point.skipping,
        )


def _ends_with(io: FileIO, fd: int, end: int, data: bytes) -> bool:
    """Return whether ``data`` is what the file holds before the offset ``end``."""
    return not data or io.pread(fd, len(data), end - len(data)) == data
