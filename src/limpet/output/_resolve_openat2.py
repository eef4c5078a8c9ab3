"""Resolves in one call: since Linux 5.6 the kernel resolves beneath a directory, without links."""

from __future__ import annotations

import errno
from typing import Final

from limpet.output._refusals import RefusalError
from limpet.output._resolve import RootHandle, Walk
from limpet.output._syscalls import Syscalls

_TRIES: Final = 8
"""openat2(2), EAGAIN: a rename anywhere on the system may make one try fail. Then the walk, which
cannot fail so, decides."""


def works(calls: Syscalls, fd: int) -> bool:
    """Return whether this kernel, and what filters its calls (seccomp), has it; once for a root."""
    try:
        calls.close(calls.open_beneath(fd, ".", cross_mounts=False))
    except OSError:
        return False
    return True


class Openat2:
    """Resolves with one call for the whole path; where it fails, the walk finds out why."""

    name = "openat2"

    def __init__(self) -> None:
        self._walk = Walk()

    def open(self, calls: Syscalls, root: RootHandle, parts: tuple[str, ...]) -> int:
        relative = "/".join(parts)
        for _ in range(_TRIES):
            try:
                return calls.open_beneath(root.fd, relative, cross_mounts=root.cross_mounts)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    continue
                if error.errno == errno.ELOOP:
                    why = "a symlink is on the way, and none is followed"
                    raise RefusalError("symlink", why, error.errno) from error
                if error.errno == errno.EXDEV:
                    why = "another file system is mounted on the way"
                    raise RefusalError("mount", why, error.errno) from error
                if error.errno == errno.ENOTDIR:
                    why = "something on the way is not a directory"
                    raise RefusalError("not-a-file", why, error.errno) from error
                raise
        return self._walk.open(calls, root, parts)
