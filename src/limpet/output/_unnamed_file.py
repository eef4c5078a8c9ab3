"""Creates a file without a name and links it to its own once it is whole (O_TMPFILE, open(2)).

No other process sees it before, nothing is left of one whose process dies, and no lock and no
temporary name are needed. It serves new files whose content is in memory and is not synced: a sync
costs more than a thousand times what this saves, and how file systems recover a file that was
synced before it had a name differs. All others are written by ``_temp_files``.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from limpet.output._temp_files import write_all

if TYPE_CHECKING:
    from limpet.output._syscalls import Syscalls

_CANNOT: Final = frozenset(
    (
        *(errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EISDIR, errno.EINVAL),
        *(errno.EPERM, errno.ENOENT, errno.EXDEV, errno.EMLINK),
    )
)
"""What O_TMPFILE or the link returns where one of them is not known or not allowed. ENOENT: EPERM's
place in linkat(2), a ``/proc`` that is missing, and a kernel before 3.11; EXDEV, EMLINK: file
systems without such links. The other way finds out what else it may be."""


class UnnamedFiles:
    """The way by files without a name, for as long as it works in one output."""

    __slots__ = ("_calls", "_works")

    def __init__(self, calls: Syscalls) -> None:
        self._calls = calls
        self._works = True

    def create(self, dir_fd: int, name: str, content: bytes, mode: int | None) -> int | None:
        """Create a file, and return it still open; ``None`` where that does not work.

        Raises:
            OSError: Nothing was created; EEXIST: the name is taken.
        """
        if not self._works or (mode is not None and not mode & 0o200):
            return None  # what nobody may write cannot be opened below
        calls = self._calls
        try:
            fd = calls.open_unnamed(dir_fd, 0o666 if mode is None else 0o600)
        except OSError as error:
            self._give_up(error)
            return None
        try:
            write_all(calls, fd, content)
            if mode is not None:
                calls.chmod(fd, mode)
            # Closing a duplicate reports what closing the file would (``Staged.seal``), while it
            # can still be left without a name.
            calls.close(calls.duplicate(fd))
            try:
                calls.link_open(fd, dir_fd, name)
            except OSError as error:
                calls.close_quietly(fd)
                self._give_up(error)
                return None
        except BaseException:
            calls.close_quietly(fd)
            raise
        # inotify(7) and fanotify(7) report the end of a write by the name that the file was opened
        # by, which was none: programs that wait for it are told by this.
        try:
            again = calls.open_file(dir_fd, name, os.O_WRONLY)
        except OSError:
            return fd  # it is done all the same
        calls.close_quietly(again)
        return fd

    def _give_up(self, error: OSError) -> None:
        """Use the other way from now on if the error says that this one does not work.

        Raises:
            OSError: It says something else.
        """
        if error.errno not in _CANNOT:
            raise error
        self._works = False
