"""Reads the end of a file below the root, as confined as every write is."""

from __future__ import annotations

import os
from typing import NamedTuple

from limpet.output._atomic_write import stat_or_none
from limpet.output._refusals import RefusalError, check_plain
from limpet.output._resolve import same_mount
from limpet.output._root_dir import RootDir


class Tail(NamedTuple):
    """The end of a file."""

    size: int
    """Bytes of the whole file."""
    data: bytes
    """Its last bytes."""


def read_tail(root_dir: RootDir, parts: tuple[str, ...], count: int) -> Tail | None:
    """Return the last ``count`` bytes of a regular file; ``None`` if there is none.

    Raises:
        RefusalError: It is not a regular file, or on another mount; nothing was read.
        OSError: It cannot be opened or read.
    """
    calls = root_dir.calls
    try:
        dir_fd = root_dir.enter(parts[:-1])
    except FileNotFoundError:
        return None
    try:
        found = stat_or_none(calls, dir_fd, parts[-1])
        if found is None:
            return None
        check_plain(found)
        fd = calls.open_file(dir_fd, parts[-1], os.O_RDONLY)
    except FileNotFoundError:
        return None
    finally:
        root_dir.leave(dir_fd)
    try:
        opened = calls.stat(fd)
        check_plain(opened)
        if not same_mount(calls, root_dir.handle, fd):
            raise RefusalError("mount", "another file is mounted at the name")
        start = max(0, opened.st_size - count)
        pieces = []
        while start < opened.st_size:
            piece = calls.read_at(fd, opened.st_size - start, start)
            if not piece:
                break
            pieces.append(piece)
            start += len(piece)
        return Tail(opened.st_size, b"".join(pieces))
    finally:
        calls.close_quietly(fd)
