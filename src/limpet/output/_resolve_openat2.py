"""The same way down in one call: Linux 5.6 resolves beneath a folder, without links and mounts."""

from __future__ import annotations

import errno
from typing import Final

from limpet.output._refusals import RefusalError
from limpet.output._resolve import RootHandle, Walk
from limpet.output._syscalls import Syscalls

__all__ = ["Openat2", "works"]

_TRIES: Final = 8
"""openat2(2), EAGAIN: a rename anywhere on the system may spoil one try. Then the walk, which
cannot be spoilt, answers."""


def works(calls: Syscalls, fd: int) -> bool:
    """Whether this kernel, and whatever filters its calls (seccomp), has it; asked once a root."""
    try:
        calls.close(calls.open_beneath(fd, ".", cross_mounts=False))
    except OSError:
        return False
    return True


class Openat2:
    """One call for the whole way; the walk says what is wrong where that fails."""

    name = "openat2"

    def __init__(self) -> None:
        """Keep the walk at hand."""
        self._walk = Walk()

    def open(self, calls: Syscalls, root: RootHandle, parts: tuple[str, ...]) -> int:
        """As ``Resolver`` says."""
        relative = "/".join(parts)
        for _ in range(_TRIES):
            try:
                return calls.open_beneath(root.fd, relative, cross_mounts=root.cross_mounts)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    continue
                if error.errno == errno.ELOOP:
                    why = "a symlink stands on the way, and none is followed"
                    raise RefusalError("symlink", why, error.errno) from error
                if error.errno == errno.EXDEV:
                    why = "another file system is mounted on the way"
                    raise RefusalError("mount", why, error.errno) from error
                if error.errno == errno.ENOTDIR:
                    why = "something on the way is no dir_fd"
                    raise RefusalError("not-a-file", why, error.errno) from error
                raise
        return self._walk.open(calls, root, parts)
