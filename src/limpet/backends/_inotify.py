"""inotify as a source of hints: works everywhere on Linux, without privilege.

inotify(7): a rename is two records tied by a cookie, not always adjacent, and one of them never
comes if the other directory is not watched. A watch ends by itself (``IN_IGNORED``) when its
directory is gone. An unmount is reported (``IN_UNMOUNT``). The queue holds 16,384 records by
default, then comes ``IN_Q_OVERFLOW``. ``IN_EXCL_UNLINK`` leaves out writes to unlinked files.
Opens, reads and closes without a write are never requested: they would report the consumer's own
reads to it.
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Final

from limpet import _libc
from limpet.backends._base import MARK_ALL, MARK_FILE, MARK_NAMES, Capabilities, MarkError
from limpet.backends._inotify_records import (
    IN_ATTRIB,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_MODIFY,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    merge_inotify,
)
from limpet.backends._kernel_reader import BUFFER, KernelReader

if TYPE_CHECKING:
    from limpet.backends._base import Key, MarkReceiver

assert sys.platform == "linux"  # noqa: S101 (tells the type checker)


INOTIFY: Final = Capabilities(kind="marks")

IN_ONLYDIR, IN_EXCL_UNLINK, IN_MASK_ADD = 0x01000000, 0x04000000, 0x20000000

_SELF: Final = IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB
_NAMES: Final = _SELF | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
_ALL: Final = _NAMES | IN_MODIFY | IN_CLOSE_WRITE
_FILE: Final = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB

_LONGEST: Final = 512
"""No record is longer (a name of 255 bytes). A read that leaves this much room in the buffer has
taken all there was, and need not be followed by one that finds nothing."""


class Inotify(KernelReader):
    """One inotify instance for any number of directories.

    Raises:
        OSError: The user's instances or this process's descriptors are used up (EMFILE).
    """

    name = "inotify"
    capabilities = INOTIFY

    def __init__(self) -> None:
        super().__init__(_libc.inotify_init())
        self._live: set[Key] = set()
        self._departed: dict[int, tuple[int, bytes]] = {}
        """Cookie -> (directory, name): renames whose second half had not come by the last read."""

    def mark(self, fd: int, what: int, device: int) -> Key:
        """Watch what a descriptor is open on: no rename can put another in its place."""
        del device
        mask = _ALL if what & MARK_ALL else _NAMES if what & MARK_NAMES else _SELF
        path = b"/proc/self/fd/%d" % fd
        flags = IN_EXCL_UNLINK | IN_MASK_ADD
        if what & MARK_FILE:
            mask = _FILE
        else:
            flags |= IN_ONLYDIR
        try:
            wd = _libc.inotify_add_watch(self._fd, path, mask | flags)
        except OSError as error:
            code = error.errno or errno.EIO
            raise MarkError(code, limit=code == errno.ENOSPC) from error
        self._live.add(wd)
        return wd

    def mark_several(self, fds: list[int], what: int, device: int) -> list[int]:
        """Watch directories, up to the first that cannot be; return their watch descriptors."""
        del device
        mask = _ALL if what & MARK_ALL else _NAMES if what & MARK_NAMES else _SELF
        flags = IN_EXCL_UNLINK | IN_MASK_ADD | IN_ONLYDIR
        watched = _libc.inotify_mark_several(self._fd, mask | flags, fds)
        self._live.update(watched)
        return watched

    def unmark(self, key: Key, path: str | None) -> bool:
        """End the watch; one that the kernel has ended before is not an error."""
        del path
        if key in self._live and isinstance(key, int):
            self._live.discard(key)
            try:
                _libc.inotify_rm_watch(self._fd, key)
            except OSError:
                return True
        return True

    def mark_filesystem(self, fd: int) -> bool:
        """Return False: inotify marks one directory at a time."""
        del fd
        return False

    def identify(self, path: str) -> Key | None:
        """Return ``None``: a directory that may not be opened is reported by its name alone."""
        del path
        return None

    def read(self, receiver: MarkReceiver) -> bool:
        """Drain the queue; both halves of a rename become one move, equal hints are merged."""
        buffers = []
        while data := self._fetch():
            buffers.append(data)
            if len(data) < BUFFER - _LONGEST:
                break
        if not (buffers or self._departed):
            return False
        hints, moves, ended, lost = merge_inotify(buffers, self._departed)
        if lost:
            receiver.lost()
        if moves:
            receiver.moved(moves)
        for wd, found in hints.items():
            receiver.touched(wd, found)
        for wd in ended:
            self._live.discard(wd)
            receiver.dropped(wd)
        return lost or bool(hints) or bool(ended)
