"""Ignore files, which are found by name anywhere in the tree."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from limpet._descriptors import close_reader, read_at_most
from limpet._shared_open import open_shared

if TYPE_CHECKING:
    from collections.abc import Collection

    from limpet.watching.diff._context import DiffContext

_MOST: Final = 1 << 20
"""Bytes of an ignore file that count."""


def read_ignore_file(
    context: DiffContext, relative: str, path: str, names: Collection[str]
) -> bool:
    """Take in the ignore file of a directory, if it has one; return whether it changed."""
    wanted = context.options.ignore_file
    if wanted is None or os.path.isabs(wanted):
        return False
    data = read_patterns(os.path.join(path, wanted)) if wanted in names else b""
    return context.filter.set_ignore_file(relative, data)


def read_patterns(file: str) -> bytes:
    """Return the content of an ignore file, or nothing if none can be read."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        fd = open_shared(file, flags)
    except OSError:
        return b""
    try:
        return read_at_most(fd, _MOST)
    except OSError:  # a folder, a device, a disk that fails
        return b""
    finally:
        close_reader(fd)
