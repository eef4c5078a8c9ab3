"""Descriptors of what is only read."""

from __future__ import annotations

import os
from contextlib import suppress


def close_reader(fd: int) -> None:
    """Close a descriptor that nothing was written through; never raise.

    The descriptor is free afterwards whatever close(2) says, and nothing is lost: a FUSE file
    system whose daemon died answers ENOTCONN, a network one EIO.
    """
    with suppress(OSError):
        os.close(fd)


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
