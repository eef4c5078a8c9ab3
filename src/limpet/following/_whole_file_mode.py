"""The whole content of a file, each time it has changed and come to rest."""

from __future__ import annotations

import math
import stat as modes
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.following._file_io import MISSING, Identity, Stamp, identity_of, stamp_of
from limpet.following._follow_events import Content, Gone, Inaccessible

if TYPE_CHECKING:
    from limpet.following._follower_state import FollowerState

__all__ = ["WholeFile"]

_TRIES: Final = 3
"""A file that changes while it is read is read again so often, and then later."""


class WholeFile:
    """One path whose content is wanted as a whole."""

    def __init__(self, world: FollowerState, path: str) -> None:
        """Know the path; nothing is read."""
        self.world = world
        self.path = path
        self.shown = Path(path)
        self.due = math.inf
        """When to look again, monotonic seconds: it has not come to rest."""
        self._told: tuple[Identity, Stamp] | None = None
        self._seen: tuple[Identity, Stamp] | None = None
        self._since = 0.0
        self._trouble = 0
        self._is_there = False

    def look(self, now: float) -> None:
        """Deliver the content if it is another than before and stood still."""
        disk, options = self.world.disk, self.world.options
        self.due = math.inf
        try:
            status = disk.stat(self.path)
            if not modes.S_ISREG(status.st_mode):
                raise OSError(22, "it is no regular file")
        except OSError as error:
            self._lost(error)
            return
        self._is_there, self._trouble = True, 0
        seen = (identity_of(status), stamp_of(status))
        if seen == self._told:
            return
        if seen != self._seen:
            self._seen, self._since = seen, now
        if now - self._since < options.settle:
            self.due = self._since + options.settle
            return
        if status.st_size > options.max_bytes:
            self._told = seen
            self.world.gap(self.shown, "too-large", status.st_size, self.world.number())
            return
        for _ in range(_TRIES):
            read = self._read()
            if read is None:
                continue
            data, self._told = read
            encoding = options.encoding
            self.world.out.append(
                Content(
                    path=self.shown,
                    data=data,
                    text=None if encoding is None else data.decode(encoding, options.errors),
                    generation=self.world.number(),
                    time=disk.time(),
                )
            )
            return
        self._seen = None
        self.due = now + options.settle

    def _read(self) -> tuple[bytes, tuple[Identity, Stamp]] | None:
        disk = self.world.disk
        try:
            fd = disk.open(self.path)
        except OSError:
            return None
        try:
            before = disk.fstat(fd)
            if not modes.S_ISREG(before.st_mode):
                return None
            data = disk.pread(fd, before.st_size, 0)
            after = disk.stat(self.path)
        except OSError:
            return None
        finally:
            disk.close(fd)
        seen = (identity_of(before), stamp_of(before))
        same = seen == (identity_of(after), stamp_of(after)) and len(data) == before.st_size
        return (data, seen) if same else None

    def _lost(self, error: OSError) -> None:
        time = self.world.disk.time()
        self._told = self._seen = None
        number = error.errno or 0
        if number in MISSING:
            if self._is_there:
                self.world.tell(Gone(path=self.shown, time=time))
        elif number != self._trouble:
            self._trouble = number
            message = error.strerror or str(error)
            self.world.tell(Inaccessible(path=self.shown, time=time, errno=number, message=message))
        self._is_there = False
