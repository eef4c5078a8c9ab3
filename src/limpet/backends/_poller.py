"""One descriptor to wait on: for records, a changed mount table, or a wake-up by a thread."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys

from limpet._descriptors import close_reader


class _Wake:
    """A socket pair: a byte through it ends a wait, from any thread, on any system."""

    def __init__(self) -> None:
        self.is_woken = False
        """A byte may wait to be read."""
        self._in, self._out = socket.socketpair()
        self._in.setblocking(False)
        self._out.setblocking(False)

    def fileno(self) -> int:
        return self._in.fileno()

    def wake(self) -> None:
        with contextlib.suppress(OSError):
            self._out.send(b"\0")
        self.is_woken = True  # afterwards: what is sent is read, at the latest with the next one

    def clear(self) -> None:
        self.is_woken = False
        with contextlib.suppress(OSError):
            while self._in.recv(4096):
                pass

    def close(self) -> None:
        self._in.close()
        self._out.close()

    def __del__(self) -> None:
        """Free the sockets of a program that ends with its watch open: they would warn of it."""
        try:  # noqa: SIM105 (at the end of the interpreter a module may be gone)
            _Wake.close(self)
        except (AttributeError, NameError, OSError, TypeError):
            pass


if sys.platform == "linux":

    class Poller(_Wake):
        """Waits with epoll for everything at once."""

        def __init__(self) -> None:
            """Wait for wake-ups and for the mount table.

            The kernel reports a change of the table once per open file, to the first poll of it.
            One file ends a wait, which records the change; another, on which nobody waits, is
            polled by callers that have not waited.
            """
            super().__init__()
            self._wake_fd = super().fileno()
            self._epoll = select.epoll()
            self._epoll.register(self._wake_fd, select.EPOLLIN)
            self._mounts: list[int] = []
            self._mounts_changed = False
            self._mount_poll = select.poll()
            with contextlib.suppress(OSError):
                for _ in range(2):
                    fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
                    self._mounts.append(fd)
                self._epoll.register(self._mounts[0], select.EPOLLPRI)
                self._mount_poll.register(self._mounts[1], select.POLLPRI)

        def fileno(self) -> int:
            """Return a descriptor that is readable while ``wait`` would not block."""
            return self._epoll.fileno()

        def add(self, fd: int) -> None:
            """Wait for a source too."""
            self._epoll.register(fd, select.EPOLLIN)

        def wait(self, timeout: float | None) -> None:
            """Block until there is something, at most ``timeout`` seconds."""
            for fd, _ in self._epoll.poll(-1 if timeout is None else timeout):  # PyPy takes no None
                if fd == self._wake_fd:
                    self.clear()
                elif self._mounts and fd == self._mounts[0]:
                    self._mounts_changed = True

        def mounts_changed(self, *, waited: bool) -> bool:
            """Return whether the mount table changed since the last call.

            ``waited`` is for a caller that has just waited: then the table need not be polled. It
            must be where an event loop waits for ``fileno``: that asks the first file itself.
            """
            changed, self._mounts_changed = self._mounts_changed, False
            return changed or (not waited and bool(self._mount_poll.poll(0)))

        def notice_mounts(self) -> bool:
            """Return whether the mount table changed; the next ``mounts_changed`` returns it too.

            Where an event loop begins to wait for ``fileno`` it polls what is in it twice, and only
            the first time a change that came before is reported.
            """
            if self._mount_poll.poll(0):
                self._mounts_changed = True
            return self._mounts_changed

        def close(self) -> None:
            """Free every descriptor."""
            self._epoll.close()
            while self._mounts:
                close_reader(self._mounts.pop())
            super().close()

else:

    class Poller(_Wake):
        """Waits for wake-ups alone: the sources here have threads of their own, which wake it."""

        def add(self, fd: int) -> None:
            """Do nothing: no source here has a descriptor."""

        def wait(self, timeout: float | None) -> None:
            """Block until there is something, at most ``timeout`` seconds."""
            if select.select([self.fileno()], [], [], timeout)[0]:
                self.clear()

        def notice_mounts(self) -> bool:
            """Return False: changes of the mount table are not reported here."""
            return False

        def mounts_changed(self, *, waited: bool) -> bool:
            """Return False: changes of the mount table are not reported here."""
            del waited
            return False
