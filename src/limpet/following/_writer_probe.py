"""Finds out whether a process has a file open for writing, where Linux can say so.

fcntl(2), "Leases": the file's owner, or a process with CAP_LEASE, gets a read lease only while
nobody has the file open for writing. The lease is returned at once. A process that opens the file
in that moment with O_NONBLOCK gets EWOULDBLOCK, so this is only done if an option asks for it.
"""

from __future__ import annotations

import sys


def has_writer(fd: int) -> bool | None:
    """Return whether a process has it open for writing; ``None`` if that is not known."""
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
