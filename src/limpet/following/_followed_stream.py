"""A FIFO, or standard input: bytes that come once and cannot be asked for again.

Nothing of it can be examined, so nothing is found again after a restart, and no checkpoint has it.
A thread reads it while there is room; the follower's thread takes what was read.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from limpet._descriptors import close_reader, wait_readable
from limpet._file_stat import identity_of
from limpet._fingerprint import WINDOW
from limpet.following._followed_file import CHUNK, ReadPoint
from limpet.following._position import Position, make_print

if TYPE_CHECKING:
    from collections.abc import Callable

    from limpet.following._line_splitter import Block, ChunkSplitter, LineSplitter

STDIN: Final = "-"
"""The followed path that is standard input; a file of this name is ``./-``."""
_MAX_CHUNKS: Final = 2
"""Chunks that wait to be taken; the writer of the stream waits when it is full."""
_NO_WRITER_S: Final = 0.05
"""poll(2) returns at once for a FIFO that nobody has open for writing: it is asked this often."""


class FollowedStream:
    """One open stream; has what events need of a file."""

    continuation = None
    backlog = 0
    """Not known: a stream has no size."""

    def __init__(
        self,
        path: str,
        fd: int,
        number: int,
        splitter: LineSplitter | ChunkSplitter,
        wake: Callable[[], None],
    ) -> None:
        """Start to read an open stream, which belongs to this object from now on.

        Standard input ends with its writer. A FIFO may have another writer later.
        """
        self.path = self.name = path
        self.number = number
        self.splitter = splitter
        self.acknowledged = ReadPoint(0, b"", skipping=False)
        status = os.fstat(fd)
        self.identity: Final = identity_of(status)
        self.has_ended = False
        """Nothing more comes, except what waits."""
        self.had_writer = False
        self.has_writer = False
        self._fd = fd
        self._ends = path == STDIN
        self._wake = wake
        self._chunks: deque[bytes] = deque()
        self._room = threading.Condition()
        self._closed = False
        self._wait_fd, self._end_fd = os.pipe()
        self._thread = threading.Thread(target=self._run, name="limpet follow stream", daemon=True)
        self._thread.start()

    @property
    def is_read(self) -> bool:
        """Return whether there is nothing to take, and nobody writes."""
        return not self._chunks and (self.has_ended or (self.had_writer and not self.has_writer))

    def take(self) -> list[Block] | None:
        """Return the lines of the next chunk; ``None`` if nothing was read."""
        with self._room:
            if not self._chunks:
                return None
            data = self._chunks.popleft()
            self._room.notify()
        return self.splitter.feed(data)

    def acknowledge(self, block: Block) -> None:
        if block.end > self.acknowledged.offset:
            self.acknowledged = ReadPoint(block.end, block.tail, block.skipping)

    def position_after(self, block: Block) -> Position:
        """Return a place that tells how much came; nothing can be started from it."""
        return Position(
            generation=self.number,
            offset=block.end,
            device=self.identity[0],
            inode=self.identity[1],
            inode_generation=None,
            head=make_print(b""),
            tail=make_print(block.tail[-WINDOW:]),
            encoding=None if self.splitter.codec is None else self.splitter.codec.name,
        )

    def close(self) -> None:
        """End the thread and close the stream; standard input stays open."""
        with self._room:
            if self._closed:
                return
            self._closed = True
            self._room.notify()
        close_reader(self._end_fd)
        if sys.platform != "win32":
            self._thread.join()
            for fd in (self._wait_fd, *(() if self._ends else (self._fd,))):
                close_reader(fd)

    # -- in its thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._wait():
                data = os.read(self._fd, CHUNK)
                if data:
                    self.had_writer = self.has_writer = True
                    with self._room:
                        self._chunks.append(data)
                elif self._ends:
                    break
                else:
                    self.has_writer = False
                self._wake()
        except OSError:
            pass  # a terminal that is gone, for instance: nothing more comes
        self.has_ended = True
        self.has_writer = False
        self._wake()

    def _wait(self) -> bool:
        """Wait until there is something to read, and room for it; return false once closed."""
        with self._room:
            self._room.wait_for(lambda: self._closed or len(self._chunks) < _MAX_CHUNKS)
        if self._closed or sys.platform == "win32":
            return not self._closed
        while not self._ends and not self.has_writer and not self._is_readable():
            # POLLHUP comes at once while there is no writer: do not turn in circles
            if wait_readable([self._wait_fd], _NO_WRITER_S):
                return False
        wait_readable([self._fd, self._wait_fd])
        return not self._closed

    def _is_readable(self) -> bool:
        if sys.platform == "win32":
            return True
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return any(event & select.POLLIN for _, event in poll.poll(0))
