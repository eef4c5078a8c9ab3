"""Reads a job's file: never through a symlink, and never waiting for the writer of a FIFO."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from limpet._shared_open import open_shared

_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def read_job(path: str) -> bytes:
    """Return the content of a job's file.

    Raises:
        OSError: It cannot be read; EISDIR, where the job is a folder; EINVAL, where something came
            to its path that is no file.
    """
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "the job is a folder: read what is in it", path)
    with open(open_shared(path, _FLAGS, follow=False), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return file.read()
