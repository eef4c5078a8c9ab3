"""The one error that a closed pipe is, whatever the system calls it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pipe_errors(*, is_windows: bool = os.name == "nt") -> Iterator[None]:
    """Let a write into a pipe that nobody reads fail by ``BrokenPipeError``.

    On Windows the C library has no word for ERROR_NO_DATA, "the pipe is being closed", and reports
    EINVAL, which a write of bytes can mean nothing else by (_write, learn.microsoft.com).

    Raises:
        BrokenPipeError: Nobody reads any more.
        OSError: Any other failure of the block.
    """
    try:
        yield
    except OSError as error:
        if is_windows and error.errno == errno.EINVAL:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
        raise
