"""One descriptor to wait on: any source has news, the mount table changed, or somebody wakes us."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from typing import Final

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
    _POLLS: Final = 4
    """Polls of our descriptor between its handing over and the report of its news: one to add it,
    one to change what is asked of it (trio), one to wait; and one to spare."""

    class Waiter(_Wake):
        """Waits with epoll, whose descriptor can be waited for by any event loop."""

        def __init__(self) -> None:
            """Listen to wake-ups and to the mount table.

            The kernel reports a change of the table once per open file, to whoever polls first, and
            an event loop polls our descriptor when it is handed over and again when it waits: the
            first poll would swallow what the second should report. A poll stops at the first file
            that has news, so there is a file for each of the polls, and one more to ask.
            """
            super().__init__()
            self._epoll = select.epoll()
            self._epoll.register(super().fileno(), select.EPOLLIN)
            self._mounts: list[int] = []
            self._ask = select.poll()
            with contextlib.suppress(OSError):
                for _ in range(_POLLS + 1):
                    fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
                    self._mounts.append(fd)
                    self._ask.register(fd, select.POLLPRI)
                for fd in self._mounts[:_POLLS]:
                    self._epoll.register(fd, select.EPOLLPRI)

        def fileno(self) -> int:
            """Descriptor that is readable while there is news."""
            return self._epoll.fileno()

        def add(self, fd: int) -> None:
            """Listen to a source too."""
            self._epoll.register(fd, select.EPOLLIN)

        def wait(self, timeout: float | None) -> None:
            """Block until there is news, at most ``timeout`` seconds."""
            self._epoll.poll(timeout)

        def mounts_changed(self) -> bool:
            """Whether the mount table changed since this was last asked."""
            return bool(self._ask.poll(0))

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

        def wait(self, timeout: float | None) -> None:
            """Block until there is news, at most ``timeout`` seconds."""
            select.select([self.fileno()], [], [], timeout)

        def mounts_changed(self) -> bool:
            """Whether the mount table changed; it is not told here."""
            return False
