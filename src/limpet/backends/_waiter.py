"""One descriptor to wait on: any source has news, the mount table changed, or somebody wakes us."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys

__all__ = ["Waiter"]


class _Wake:
    """A socket pair: a byte through it wakes whoever waits, from any thread, on any system."""

    def __init__(self) -> None:
        self._in, self._out = socket.socketpair()
        self._in.setblocking(False)
        self._out.setblocking(False)

    def fileno(self) -> int:
        return self._in.fileno()

    def wake(self) -> None:
        with contextlib.suppress(OSError):
            self._out.send(b"\0")

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            while self._in.recv(4096):
                pass

    def close(self) -> None:
        self._in.close()
        self._out.close()


if sys.platform == "linux":

    class Waiter(_Wake):
        """Waits with epoll, whose descriptor can be waited for by any event loop."""

        def __init__(self) -> None:
            """Listen to wake-ups and to the mount table.

            The table is opened twice: once to be woken by, once to ask. The kernel reports a change
            once per open file, to whoever polls first; the first file is polled by the loop's own
            poller behind our back, so the answer is kept for the second.
            """
            super().__init__()
            self._epoll = select.epoll()
            self._epoll.register(super().fileno(), select.EPOLLIN)
            self._mounts: list[int] = []
            self._ask = select.poll()
            with contextlib.suppress(OSError):
                for _ in range(2):
                    fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
                    self._mounts.append(fd)
                self._epoll.register(self._mounts[0], select.EPOLLPRI)
                self._ask.register(self._mounts[1], select.POLLPRI)

        def fileno(self) -> int:
            """Descriptor that is readable while there is news."""
            return self._epoll.fileno()

        def add(self, fd: int) -> None:
            """Listen to a source too."""
            self._epoll.register(fd, select.EPOLLIN)

        def mounts_changed(self) -> bool:
            """Whether the mount table changed since this was last asked."""
            return len(self._mounts) == 2 and bool(self._ask.poll(0))

        def close(self) -> None:
            """Free every descriptor."""
            self._epoll.close()
            while self._mounts:
                os.close(self._mounts.pop())
            super().close()

else:

    class Waiter(_Wake):
        """Waits for wake-ups alone: the sources here have threads of their own, which wake."""

        def add(self, fd: int) -> None:
            """Listen to a source too; there is none with a descriptor here."""

        def mounts_changed(self) -> bool:
            """Whether the mount table changed; it is not told here."""
            return False
