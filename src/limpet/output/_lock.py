"""Takes a file's advisory lock if it is free; nobody waits here for one that is held."""

from __future__ import annotations

import errno
from typing import Final

from limpet.output._refusals import no_locks
from limpet.output._syscalls import Syscalls

_NO_LOCKS: Final = frozenset(
    (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EPERM, errno.EINVAL)
)
"""What flock(2) returns where there are none; EPERM is what sandboxes answer."""


def is_free(calls: Syscalls, fd: int) -> bool:
    """Take the lock of an open file; closing the descriptor releases it.

    Return False if another process, or another open file of this one, holds it.

    Raises:
        RefusalError: The file system has no locks.
        OSError: As the system has it.
    """
    try:
        return calls.lock(fd)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise no_locks(error) from error
