"""What is done to descriptors in several parts: closing, reading, waiting, syncing to disk."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

if sys.platform == "win32":
    _fcntl: Any = None
else:
    import fcntl

    _fcntl = fcntl

_FULL_SYNC: int | None = getattr(_fcntl, "F_FULLFSYNC", None)
_POLLS_DEVICES: Final = sys.platform != "darwin"
_SELECT_LIMIT: Final = 1024
"""FD_SETSIZE (select(2)): a higher descriptor cannot be asked for."""


def close_reader(fd: int) -> None:
    """Close a descriptor that nothing was written through; never raise.

    The descriptor is free afterwards whatever close(2) says, and nothing is lost: a FUSE file
    system whose daemon died answers ENOTCONN, a network one EIO.
    """
    try:  # noqa: SIM105 (``suppress`` takes half as long as the call, and a set-up closes many)
        os.close(fd)
    except OSError:
        pass


def read_at_most(fd: int, limit: int) -> bytes:
    """Return what can be read from here on, up to ``limit`` bytes.

    Raises:
        OSError: A read failed.
    """
    parts: list[bytes] = []
    left = limit
    while left > 0 and (part := os.read(fd, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def sync_to_disk(fd: int) -> None:
    """Return once the content of a file or directory is on the disk itself.

    fsync(2) of macOS leaves it in the cache of the drive, which a power cut empties, and names
    F_FULLFSYNC for what must survive one. File systems that have no such call (SMB) fail there;
    then it is fsync(2) alone.

    Raises:
        OSError: It is not on the disk.
    """
    if _FULL_SYNC is not None:
        with suppress(OSError):
            _fcntl.fcntl(fd, _FULL_SYNC)
            return
    os.fsync(fd)


def wait_readable(fds: Sequence[int], timeout: float | None = None) -> list[int]:
    """Wait until one of some descriptors can be read, or has ended; return those.

    poll(2) of macOS supports no devices ("BUGS"): a terminal would be read without a way to stop.

    Args:
        fds: Descriptors of terminals, pipes, sockets.
        timeout: Seconds; ``None`` waits for as long as it takes.
    """
    if sys.platform == "win32" or (not _POLLS_DEVICES and max(fds) < _SELECT_LIMIT):
        return select.select(fds, (), (), timeout)[0]
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(None if timeout is None else timeout * 1000)]
