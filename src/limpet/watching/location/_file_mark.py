"""A mark on the watched file itself, for what is written to it under another name of its inode.

The mark of its directory reports what is done by the name that is watched. A hard link, or the
other side of a bind mount of the file (``docker run -v ./app.toml:/app/app.toml``), is another
name. inotify reports on an inode whatever name was used (inotify(7)); a fanotify group that names
directories does not report a file's own inode, so inotify is used beside it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from limpet._descriptors import close_reader
from limpet.backends import MARK_FILE, MarkError, Subscriber

if TYPE_CHECKING:
    from limpet.backends import Mark
    from limpet.watching.emit._services import WatchServices
    from limpet.watching.location._resolve_path import Resolution

_PATH_ONLY: Final = getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0)


class FileMark(Subscriber):
    """The mark on whichever inode is at the location."""

    __slots__ = ("_identity", "_mark", "_services")

    def __init__(self, services: WatchServices) -> None:
        """Mark nothing yet."""
        self._services = services
        self._mark: Mark | None = None
        self._identity: tuple[int, int] | None = None

    def follow(self, resolution: Resolution) -> bool:
        """Mark the file that was found; return whether a mark was made, so that it is read again.

        Where it cannot be marked (no permission to read it), only its own name is watched.
        """
        facts = resolution.facts
        wanted = None
        if facts is not None and facts.mode & 0o170000 == 0o100000:
            wanted = (facts.device, facts.inode)
        if wanted == self._identity and (self._mark is None or self._is_alive()):
            return False
        self.close()
        self._identity = wanted
        if wanted is None or "inotify" not in self._services.order:
            return False
        try:
            fd = os.open(resolution.path, _PATH_ONLY)
        except OSError:
            return False
        try:
            status = os.fstat(fd)
            if status.st_ino != wanted[1]:
                self._identity = None  # it changed meanwhile: the next examination marks
                return True
            self._mark = self._services.router.mark(
                ("inotify",), fd, MARK_FILE, self, self._services.hints, device=wanted[0]
            )
        except (MarkError, OSError):
            return False
        finally:
            close_reader(fd)
        return True

    def _is_alive(self) -> bool:
        return self._mark is not None and self._services.router.is_marked(self._mark)

    def close(self) -> None:
        """Remove the mark."""
        mark, self._mark = self._mark, None
        if mark is not None:
            self._services.router.unmark(mark, self, None)
