"""One directory that is watched with ReadDirectoryChangesW: its handle, its reads, its buffer.

All of it runs in the thread of the completion port. What a read brought is copied, which takes
microseconds, and the next read is asked for before the copy is parsed. The kernel keeps what
happens between two reads; if that is more than the buffer holds, it says so, and everything is
examined.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from limpet.backends._windows_api import (
    CALL_NOT_IMPLEMENTED,
    INVALID_FUNCTION,
    INVALID_PARAMETER,
    NOT_SUPPORTED,
    NOTIFY_ENUM_DIR,
    RefusedError,
    Request,
)
from limpet.backends._windows_records import parse
from limpet.backends._windows_renames import RenamePairs

if TYPE_CHECKING:
    from limpet.backends._base import LostReason, TreeReceiver
    from limpet.backends._windows_api import ChangesApi, Packet

BUFFER: Final = 256 * 1024
"""Bytes of a buffer, and of what the kernel keeps between two reads: some 1,500 to 4,000 changes.
A thread of Python may have to wait for tens of milliseconds until it runs."""
NETWORK_BUFFER: Final = 64 * 1024
"""Over a network more is refused ("ReadDirectoryChangesW", remarks on ERROR_INVALID_PARAMETER)."""
_REFUSALS: Final = frozenset(
    (INVALID_FUNCTION, NOT_SUPPORTED, INVALID_PARAMETER, CALL_NOT_IMPLEMENTED)
)
"""What file systems answer that do not know a form of the read, or none at all."""
_FORMS: Final = ((True, BUFFER), (True, NETWORK_BUFFER), (False, BUFFER), (False, NETWORK_BUFFER))
"""Extended information or not, and bytes: the best first."""
_FIRST_RETRY_S: Final = 0.05
_LAST_RETRY_S: Final = 5.0
"""Seconds until a directory is opened again that has ended; each time twice as long, until
something is read. Each time that it is opened, everything is examined."""


class WatchedTree:
    """One directory and, unless it is not recursive, everything below it."""

    def __init__(
        self, api: ChangesApi, path: str, receiver: TreeReceiver, *, recursive: bool
    ) -> None:
        """Open and read nothing yet."""
        self.path = path
        self.handle: int | None = None
        self.pending: Request | None = None
        """The read that the kernel may write into; kept until its packet has come."""
        self.retry_at: float | None = None
        """When it is to be opened again, monotonic seconds."""
        self.closing = False
        self.refused: int | None = None
        """Why the file system reports nothing at all."""
        self.late = False
        """Who asked for it waits no more: what happened before the first read is not known."""
        self.started = threading.Event()
        self.closed = threading.Event()
        self._api = api
        self._receiver = receiver
        self._recursive = recursive
        self._prefix = path.rstrip("\\/") + os.sep
        self._form = 0 if api.has_extended else 2
        self._extended = False
        self._renames = RenamePairs()
        self._retry_s = _FIRST_RETRY_S

    # -- what the port calls ---------------------------------------------------------------------

    def enter(self, port: int, handle: int | None, now: float) -> None:
        """Begin to read; without a handle, try again later."""
        if handle is None:
            self._retry_later(now)
            return
        self.handle = handle
        try:
            self._api.attach(port, handle)
        except RefusedError:
            self.end(now)
            return
        self._ask(now)

    def take(self, packet: Packet, now: float) -> None:
        """Take the end of a read: ask for the next one, then pass on what this one brought."""
        request, self.pending = self.pending, None
        if self.closing or request is None:
            self.leave()
            return
        if packet.error == 0 and packet.size:
            self._retry_s = _FIRST_RETRY_S
            data, extended = request.data(packet.size), self._extended
            self._ask(now, request)
            self._pass_on(data, extended=extended)
        elif packet.error in {0, NOTIFY_ENUM_DIR}:
            self._ask(now, request)
            self.lose("overflow")
        else:
            if packet.error in _REFUSALS and self._form + 1 < len(_FORMS):
                self._form += 1  # a server said so, not this system
            self.end(now)

    def reopen(self, port: int, handle: int | None, now: float) -> None:
        """Read again after an end; what happened in between is not known."""
        self.enter(port, handle, now)
        if self.pending is not None:
            self.lose("backend")

    def end(self, now: float) -> None:
        """Let go of the directory, which may be gone, and have the location checked.

        As long as a handle is open, the name of a deleted directory stays taken on older systems
        and on other file systems than NTFS.
        """
        self.let_go()
        self._renames.forget()
        self._retry_later(now)
        self._receiver.touched_paths({self.path: 0}, [])

    def lose(self, reason: LostReason) -> None:
        """Report that anything may have happened."""
        self._renames.forget()
        self._receiver.lost(reason)

    def leave(self) -> None:
        """End for good: at once, or when the packet of the pending read has come."""
        self.closing = True
        self.retry_at = None
        if self.pending is not None and self.handle is not None:
            self._api.cancel(self.handle, self.pending)
            return
        self.let_go()
        self.closed.set()

    def let_go(self) -> None:
        """Close the directory; may be called twice."""
        handle, self.handle = self.handle, None
        if handle is not None:
            self._api.close(handle)

    # -- inside ----------------------------------------------------------------------------------

    def _ask(self, now: float, request: Request | None = None) -> None:
        """Ask for the next changes, in the best form that the file system knows."""
        overflows = 0
        while self.handle is not None:
            extended, size = _FORMS[self._form]
            if request is None or request.size != size:
                request = Request(size)
            try:
                self._api.read(self.handle, request, extended=extended, below=self._recursive)
            except RefusedError as error:
                if error.code == NOTIFY_ENUM_DIR and not overflows:
                    overflows += 1
                    self.lose("overflow")
                elif error.code in _REFUSALS and self._form + 1 < len(_FORMS):
                    self._form += 1
                elif error.code in _REFUSALS and not self.started.is_set():
                    self.refused = error.code
                    self.let_go()
                else:
                    self.end(now)
            else:
                self.pending, self._extended = request, extended
                return

    def _pass_on(self, data: bytes, *, extended: bool) -> None:
        records = parse(data, extended=extended)
        if records is None:
            self.lose("overflow")
            return
        hints, moves = self._renames.feed(records)
        self._receiver.touched_paths(
            {self._below(name): bits for name, bits in hints.items()},
            [(self._below(old), self._below(new)) for old, new in moves],
        )

    def _below(self, name: str) -> str:
        return self._prefix + name.replace("\\", os.sep) if name else self.path

    def _retry_later(self, now: float) -> None:
        self.retry_at = now + self._retry_s
        self._retry_s = min(_LAST_RETRY_S, 2 * self._retry_s)
