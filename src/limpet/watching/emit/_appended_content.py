"""Puts into an event what was added to its file since the last one (``ContentOptions.appended``).

A position is kept for each file that had an event, with the bytes before it. They are read again
together with what follows, so a file that was truncated and has grown again is not taken for one
that was appended to. No descriptor is kept; ``limpet.follow`` does what that makes impossible.
"""

from __future__ import annotations

import codecs
import dataclasses
import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._descriptors import close_reader
from limpet._file_stat import identity_of
from limpet._fingerprint import OPEN_FLAGS, WINDOW, pread
from limpet._shared_open import open_shared
from limpet.events import DirDeleted, DirRenamed, FileCreated, FileDeleted, FileRenamed, FileUpdated
from limpet.watching.emit._content import reason_of

if TYPE_CHECKING:
    from limpet.config import ContentOptions
    from limpet.events import Event

_MOST: Final = 50_000
"""Files of which a position is kept; the one without an event for the longest time goes first."""


class _Place(NamedTuple):
    """How far a file was delivered."""

    device: int
    inode: int
    offset: int
    window: bytes
    """The bytes before the offset; empty if they are not known."""


class Appended:
    """The positions of one watch."""

    def __init__(self, options: ContentOptions) -> None:
        self._options = options
        self._paths: OrderedDict[str, _Place] = OrderedDict()

    def put(self, event: Event) -> tuple[Event, int]:
        """Return the event with what was added, or with the reason why not, and the bytes read."""
        match event:
            case FileRenamed() | DirRenamed():
                self._move(os.fspath(event.source), os.fspath(event.path), event)
            case FileDeleted():
                self._paths.pop(os.fspath(event.path), None)
            case DirDeleted():
                self._drop(os.fspath(event.path))
            case FileCreated() | FileUpdated():
                return self._read(event)
        return event, 0

    def _read(self, event: FileCreated | FileUpdated) -> tuple[Event, int]:
        path = os.fspath(event.path)
        if event.stat.kind != "file" or (isinstance(event, FileCreated) and event.transient):
            trouble = "not_regular" if event.stat.kind != "file" else "vanished"
            return self._made(event, None, None, trouble), 0
        try:
            fd = open_shared(path, OPEN_FLAGS)
        except OSError as error:
            return self._made(event, None, None, reason_of(error)), 0
        try:
            status = os.fstat(fd)
            if status.st_mode & 0o170000 != 0o100000:
                return self._made(event, None, None, "not_regular"), 0
            return self._read_open(event, path, fd, status)
        except OSError as error:
            return self._made(event, None, None, reason_of(error)), 0
        finally:
            close_reader(fd)

    def _read_open(
        self, event: FileCreated | FileUpdated, path: str, fd: int, status: os.stat_result
    ) -> tuple[Event, int]:
        ref = self._paths.get(path) or self._before(event)
        size, offset, window = status.st_size, 0, b""
        if ref is None:  # the size before is not known
            self._keep(path, status, size, _end(fd, size))
            return self._made(event, None, None, "start_unknown"), 0
        window = ref.window
        same = size >= ref.offset and (
            (window and pread(fd, len(window), ref.offset - len(window)) == window)
            or (not window and (ref.device, ref.inode) == identity_of(status))
        )
        if same:
            offset = ref.offset
        else:
            window = b""  # truncated or replaced: all of it is new
        if size - offset > self._options.max_bytes:
            self._keep(path, status, size, _end(fd, size))
            return self._made(event, None, offset, "too_large"), 0
        data = pread(fd, size - offset, offset)
        whole = len(data)
        content: str | bytes | None = data
        trouble = None
        if self._options.mode == "r":
            decoder = codecs.getincrementaldecoder(self._options.encoding)(self._options.errors)
            try:
                content = decoder.decode(data)
                held = decoder.getstate()[0]
                if 0 < len(held) < 8 and data.endswith(held):
                    whole -= len(held)  # a character of which only a part is there
            except UnicodeError:
                content, trouble = None, "undecodable"
        self._keep(path, status, offset + whole, (window + data[:whole])[-WINDOW:])
        return self._made(event, content, offset, trouble), len(data)

    def _before(self, event: FileCreated | FileUpdated) -> _Place | None:
        """Return where a file began that had no event yet."""
        if isinstance(event, FileCreated):
            size = event.stat.size if event.existing else 0
            return _Place(event.stat.device, event.stat.inode, size, b"")
        was = event.previous
        if was is None or was.size < 0 or "identity" in event.changes:
            return None
        return _Place(was.device, was.inode, was.size, b"")

    def _keep(self, path: str, status: os.stat_result, offset: int, window: bytes) -> None:
        self._paths[path] = _Place(*identity_of(status), offset, window)
        self._paths.move_to_end(path)
        if len(self._paths) > _MOST:
            self._paths.popitem(last=False)

    def _made(
        self,
        event: FileCreated | FileUpdated,
        content: str | bytes | None,
        offset: int | None,
        trouble: str | None,
    ) -> Event:
        return dataclasses.replace(
            event,
            content=content,
            content_mode=self._options.mode,
            content_offset=offset,
            content_error=trouble,
        )

    def _move(self, source: str, path: str, event: Event) -> None:
        if isinstance(event, FileRenamed):
            ref = self._paths.pop(source, None)
            self._paths.pop(path, None)
            if ref is not None:
                self._paths[path] = ref
            return
        for old in [one for one in self._paths if one.startswith(source + os.sep)]:
            self._paths[path + old[len(source) :]] = self._paths.pop(old)

    def _drop(self, directory: str) -> None:
        for old in [one for one in self._paths if one.startswith(directory + os.sep)]:
            del self._paths[old]


def _end(fd: int, size: int) -> bytes:
    return pread(fd, min(WINDOW, size), max(0, size - WINDOW))
