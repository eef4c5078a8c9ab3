"""``mode="whole"``: the content of a file, each time it has changed and is quiet again."""

from __future__ import annotations

import math
import stat as modes
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet._file_stat import identity_of
from limpet._fingerprint import digest
from limpet.following._file_io import (
    MISSING,
    SHORTAGE,
    Identity,
    Stamp,
    is_fresh,
    stamp_of,
)
from limpet.following._follow_events import Content, Gone, Inaccessible
from limpet.following._path_access import NotRegularError, not_regular

if TYPE_CHECKING:
    from limpet.following._follower_state import FollowerState

_RETRY_S: Final = 1.0
"""A file that cannot be read is tried again after this time."""
_TRIES: Final = 3
"""A file that changes while it is read is read again this often before it is put off."""

_Version = tuple[Identity, Stamp]


class WholeFile:
    """One path whose content is delivered as a whole."""

    def __init__(self, state: FollowerState, path: str) -> None:
        self.state = state
        self.path = path
        self.event_path = Path(path)
        self.due = math.inf
        """When to examine it again because it is not quiet yet, monotonic seconds."""
        self._delivered: _Version | None = None
        self._seen: _Version | None = None
        self._since = 0.0
        self._digest = ""
        """Digest of the delivered content, where times do not tell it from other content."""
        self._error_number = 0
        self._exists = False

    def examine(self, now: float) -> None:
        """Deliver the content if it differs from what was delivered and the file is quiet."""
        io, options = self.state.io, self.state.options
        self.due = math.inf
        try:
            status = self.state.access.stat(self.path)
            if not modes.S_ISREG(status.st_mode):
                raise not_regular(status, self.path)
        except OSError as error:
            self._report(error)
            return
        self._exists, self._error_number = True, 0
        seen = (identity_of(status), stamp_of(status))
        fresh = is_fresh(status, io.time)
        if seen == self._delivered:
            if not fresh or self._is_same():
                return
            self._delivered = None
        if seen != self._seen:
            self._seen, self._since = seen, now
        if now - self._since < options.settle:
            self.due = self._since + options.settle
            return
        if status.st_size > options.max_bytes:
            self._delivered = seen
            self.state.report_gap_at(
                self.event_path, "too-large", status.st_size, self.state.take_number()
            )
            return
        for _ in range(_TRIES):
            try:
                read = self._read()
            except OSError as error:
                self._report(error)
                self.due = now + _RETRY_S
                return
            if read is None:
                continue
            data, self._delivered = read
            self._digest = digest(data) if fresh else ""
            encoding = options.encoding
            self.state.events.append(
                Content(
                    path=self.event_path,
                    data=data,
                    text=None if encoding is None else data.decode(encoding, options.errors),
                    generation=self.state.take_number(),
                    time=io.time(),
                )
            )
            return
        self._seen = None
        self.due = now + options.settle

    def _is_same(self) -> bool:
        """Return whether the content is what was delivered, though its times do not say so."""
        try:
            read = self._read()
        except OSError:
            return True  # the next pass finds out
        self.due = self.state.io.monotonic() + _RETRY_S
        return read is not None and digest(read[0]) == self._digest

    def _read(self) -> tuple[bytes, _Version] | None:
        """Return the content and its version; ``None`` if the file changed meanwhile.

        Raises:
            OSError: It cannot be opened or read.
        """
        io, access = self.state.io, self.state.access
        try:
            fd, before = access.open(self.path)
        except OSError as error:
            if error.errno in MISSING or isinstance(error, NotRegularError):
                return None
            raise
        try:
            data = io.pread(fd, before.st_size, 0)
            now = io.fstat(fd)
        finally:
            io.close(fd)
        seen = (identity_of(before), stamp_of(before))
        try:
            after = access.stat(self.path)
        except OSError:
            return None
        versions = {seen, *((identity_of(one), stamp_of(one)) for one in (now, after))}
        return (data, seen) if len(versions) == 1 and len(data) == before.st_size else None

    def _report(self, error: OSError) -> None:
        time = self.state.io.time()
        if error.errno in SHORTAGE:
            self.state.report_shortage(self.event_path, error)
            return
        self._delivered = self._seen = None
        number = error.errno or 0
        if number in MISSING:
            if self._exists:
                self.state.emit(Gone(path=self.event_path, time=time))
        elif number != self._error_number:
            self._error_number = number
            message = error.strerror or str(error)
            self.state.emit(
                Inaccessible(path=self.event_path, time=time, errno=number, message=message)
            )
        self._exists = False
