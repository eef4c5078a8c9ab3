"""The calls of Windows behind the source of hints, without Windows: ``ChangesApi`` in memory.

It does what Microsoft's pages say of each call: a read takes what has gathered since the last one
and ends at once, or waits; a cancelled one ends with an error of its own; too much at once empties
the buffer. What must never happen is kept in ``mistakes``.
"""

from __future__ import annotations

import ctypes
import itertools
import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from limpet.backends._windows_api import (
    ACCESS_DENIED,
    INVALID_PARAMETER,
    NOT_FOUND,
    OPERATION_ABORTED,
    Packet,
    RefusedError,
    Request,
)

NETWORK_LIMIT = 64 * 1024


@dataclass
class Opened:
    """An open directory."""

    path: str
    pending: Request | None = None
    gathered: list[bytes | None] = field(default_factory=list)
    """Buffers that came while no read was pending; ``None`` is an overflow."""
    attached: bool = False
    below: bool = True
    reads: list[tuple[bool, int]] = field(default_factory=list)
    """The form of each read that was accepted: extended or not, bytes."""


class FakeApi:
    """The calls; tests change the fields while it is used."""

    def __init__(self, *paths: str, has_extended: bool = False) -> None:
        self.has_extended = has_extended
        self.paths = set(paths)
        """Directories that are there."""
        self.refuse: dict[bool, int] = {}
        """Extended or not -> the error with which such a read is refused."""
        self.is_network = False
        self.read_errors: list[int] = []
        """Errors of the next reads, one each."""
        self.keeps_packets = False
        """The end of a cancelled read does not come."""
        self.opened: dict[int, Opened] = {}
        self.opens = 0
        self.threads: set[str] = set()
        """Names of the threads that asked for reads."""
        self.mistakes: list[str] = []
        self.hold = threading.Event()
        """Opening waits for this, as it does for a server that does not answer."""
        self.hold.set()
        self._numbers = itertools.count(100)
        self._ports: dict[int, queue.Queue[Packet]] = {}
        self._lock = threading.RLock()

    # -- what a test does --------------------------------------------------------------------------

    def change(self, path: str, data: bytes) -> None:
        """Report a change below a directory."""
        with self._lock:
            for one in self._of(path):
                one.gathered.append(data)
                self._deliver(one)

    def end_read(self, path: str, error: int, size: int = 0) -> None:
        """End the pending read of a directory, without data."""
        with self._lock:
            for one in self._of(path):
                self._finish(one, size, error)

    def overflow(self, path: str) -> None:
        """Overflow the buffer; a read that comes later reports it, too."""
        with self._lock:
            for one in self._of(path):
                one.gathered = [None]
                self._deliver(one)

    def delete(self, path: str) -> None:
        """Delete the directory: its reads end, and it cannot be opened."""
        with self._lock:
            self.paths.discard(path)
            self.end_read(path, ACCESS_DENIED)

    def make(self, path: str) -> None:
        self.paths.add(path)

    @property
    def ports(self) -> int:
        return len(self._ports)

    def _of(self, path: str) -> Iterable[Opened]:
        return [one for one in self.opened.values() if one.path == path]

    def _deliver(self, one: Opened) -> None:
        request = one.pending
        if request is None or not one.gathered:
            return
        data = one.gathered.pop(0)
        if data is None or len(data) > request.size:
            one.gathered.clear()
            self._finish(one, 0, 0)
        else:
            ctypes.memmove(request.buffer, data, len(data))
            self._finish(one, len(data), 0)

    def _finish(self, one: Opened, size: int, error: int) -> None:
        request, one.pending = one.pending, None
        if request is not None and one.attached:
            for packets in self._ports.values():
                packets.put(Packet(request.address, size, error))

    # -- ChangesApi --------------------------------------------------------------------------------

    def open_directory(self, path: str) -> int:
        self.hold.wait()
        with self._lock:
            self.opens += 1
            if path not in self.paths:
                raise RefusedError(NOT_FOUND)
            handle = next(self._numbers)
            self.opened[handle] = Opened(path)
            return handle

    def open_port(self) -> int:
        port = next(self._numbers)
        self._ports[port] = queue.Queue()
        return port

    def attach(self, port: int, handle: int) -> None:
        with self._lock:
            if port not in self._ports or handle not in self.opened:
                self.mistakes.append("attached to what is closed")
                raise RefusedError(6)
            self.opened[handle].attached = True

    def read(self, handle: int, request: Request, *, extended: bool, below: bool) -> None:
        with self._lock:
            self.threads.add(threading.current_thread().name)
            one = self.opened.get(handle)
            if one is None or not one.attached or one.pending is not None:
                self.mistakes.append("read of a directory that is closed, not attached, or read")
                raise RefusedError(6)
            if extended and not self.has_extended:
                self.mistakes.append("called a function that is not there")
            if self.read_errors:
                raise RefusedError(self.read_errors.pop(0))
            if extended in self.refuse:
                raise RefusedError(self.refuse[extended])
            if self.is_network and request.size > NETWORK_LIMIT:
                raise RefusedError(INVALID_PARAMETER)
            one.pending = request
            one.reads.append((extended, request.size))
            one.below = below
            self._deliver(one)

    def cancel(self, handle: int, request: Request) -> None:
        with self._lock:
            one = self.opened.get(handle)
            if one is None:
                self.mistakes.append("cancelled on what is closed")
            elif one.pending is request and not self.keeps_packets:
                self._finish(one, 0, OPERATION_ABORTED)

    def wait(self, port: int, timeout: float | None) -> Packet | None:
        try:
            return self._ports[port].get(timeout=timeout)
        except queue.Empty:
            return None

    def post(self, port: int) -> None:
        if port not in self._ports:
            self.mistakes.append("woke a port that is closed")
        else:
            self._ports[port].put(Packet(0, 0, 0))

    def close(self, handle: int) -> None:
        with self._lock:
            if handle in self._ports:
                del self._ports[handle]
            elif handle in self.opened:
                if self.opened[handle].pending is not None and not self.keeps_packets:
                    self.mistakes.append("closed a directory whose read is pending")
                del self.opened[handle]
            else:
                self.mistakes.append("closed twice")
