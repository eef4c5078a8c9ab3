"""What fanotify and inotify share: one descriptor, one buffer, and masks translated once."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from limpet._descriptors import close_reader

if TYPE_CHECKING:
    from collections.abc import Iterable

BUFFER: Final = 64 * 1024
"""Bytes read at a time."""


class KernelReader:
    """A descriptor that records are read from, and the buffer they are read into."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray(BUFFER)

    def fileno(self) -> int:
        """Return the descriptor, which becomes readable when there are records."""
        return self._fd

    def _fetch(self) -> bytes:
        """Return what is waiting. It is read into one buffer: a new one each time costs more."""
        if sys.platform == "win32":
            return b""  # no source with a descriptor there
        try:
            size = os.readv(self._fd, [self._buffer])
        except BlockingIOError:
            return b""
        return bytes(memoryview(self._buffer)[:size])

    def close(self) -> None:
        """Close the descriptor; the kernel drops its marks."""
        close_reader(self._fd)


class MaskTable(dict[int, int]):
    """Kernel mask -> hint bits; few combinations occur, so each is worked out once."""

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Translate each of these kernel bits to a hint bit."""
        super().__init__()
        self._pairs = tuple(pairs)

    def __missing__(self, mask: int) -> int:
        """Work out a mask that occurs for the first time."""
        bits = self[mask] = sum(ours for theirs, ours in self._pairs if mask & theirs)
        return bits
