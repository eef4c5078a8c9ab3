"""Whether any process has a file open for writing, where Linux tells.

fcntl(2), "Leases": a read lease is given only while nobody has the file open for writing, to the
file's owner or with CAP_LEASE. It is given back at once; who opens the file within that moment
without waiting gets EWOULDBLOCK, which is why this is only done when it is asked for.
"""

from __future__ import annotations

import sys

__all__ = ["has_writer"]


def has_writer(fd: int) -> bool | None:
    """Tell whether somebody has it open for writing; ``None`` if that cannot be told."""
    if sys.platform != "linux":
        return None
    import errno
    import fcntl

    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
