"""Notify systemd of the state of a program: sd_notify(3), without its library."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Final

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG_USEC"


class Notifier:
    """Sends the state of a program to the service manager, if there is one; ignores failures."""

    def __init__(self) -> None:
        self._address = os.environ.get(_SOCKET, "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]

    @property
    def watchdog(self) -> float | None:
        """Seconds between two keep-alive messages: half of the timeout; ``None`` without one."""
        wait = os.environ.get(_WATCHDOG, "")
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if not (self._address and wait.isdigit() and int(wait) > 0 and mine):
            return None
        return int(wait) / 2_000_000

    def reloading(self) -> None:
        """Report that a reload begins; ``READY=1`` must follow, however it ends.

        systemd takes it as begun only with the time in the same message (sd_notify(3),
        ``MONOTONIC_USEC``; systemd.service(5), ``Type=notify-reload``).
        """
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def extend(self, seconds: float, *lines: str) -> None:
        """Ask for more time for a start or a stop, in seconds (``EXTEND_TIMEOUT_USEC``)."""
        self.send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}", *lines)

    def send(self, *lines: str) -> None:
        """Send ``READY=1``, ``STATUS=...`` and the like."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out,
        ):
            out.setblocking(False)
            out.sendto("\n".join(lines).encode(), self._address)
