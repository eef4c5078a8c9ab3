"""What the paths of one follower share: options, open files, counters, and events to deliver."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from limpet.following._checkpoint import SavedFile
from limpet.following._event_queue import EventQueue
from limpet.following._follow_events import (
    Accessible,
    Appeared,
    Appended,
    CaughtUp,
    FollowEvent,
    Gap,
    Gone,
    Inaccessible,
    Truncated,
    WatchDegraded,
)
from limpet.following._followed_file import ReadPoint
from limpet.following._line_splitter import Block, ChunkSplitter, LineSplitter
from limpet.following._path_access import PathAccess
from limpet.following._rotated_files import RotatedFiles, rotated_pattern

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from limpet.following._file_io import FileIO, Identity
    from limpet.following._follow_events import GapKind
    from limpet.following._follow_options import FollowOptions
    from limpet.following._followed_file import Change, FollowedFile
    from limpet.following._followed_path import FollowedPath
    from limpet.following._followed_stream import FollowedStream


class Counters:
    """What was counted since the start."""

    __slots__ = (
        "bytes_read",
        "gap_bytes",
        "gaps",
        "last_error",
        "lines",
        "lost_bytes",
        "passes",
        "truncations",
    )  # fmt: skip

    def __init__(self) -> None:
        self.bytes_read = self.lines = self.passes = 0
        self.gaps = self.gap_bytes = self.truncations = self.lost_bytes = 0
        self.last_error = ""


class FollowerState:
    """State of one follower; used by one thread, except for ``acknowledge``."""

    def __init__(self, options: FollowOptions, io: FileIO) -> None:
        self.options = options
        self.io = io
        self.access = PathAccess(io, options.follow_symlinks)
        self.network_paths: tuple[str, ...] = ()
        """Paths on a network, with everything below them."""
        self.paths: dict[str, FollowedPath] = {}
        """Every followed path, in the order of discovery."""
        self.rotated: dict[str, RotatedFiles] = {}
        """What is known of rotated files, by pattern; paths of one directory share it."""
        self.busy: dict[FollowedPath, None] = {}
        """Paths that need attention: the others are only examined after a hint, and in turn."""
        self.not_caught_up: dict[FollowedPath, None] = {}
        """Paths of which not everything that existed at the start is delivered yet."""
        self.files: dict[Identity, FollowedFile] = {}
        """Every file that is being read."""
        self.held: dict[FollowedFile, None] = {}
        """Files with an open descriptor, the one that was used longest ago first."""
        self.streams: dict[FollowedPath, FollowedStream] = {}
        """FIFOs and standard input."""
        self.wake: Callable[[], None] = lambda: None
        """Wakes the follower's thread, from any other."""
        self.changes: dict[FollowedFile, Change] = {}
        """Changes that a refresh found and that are not handled yet: these files are not read."""
        self.postponed: dict[FollowedFile, Change] = {}
        """Changes that could not be handled, because the disk failed: they are tried again."""
        self.shortage_at: float | None = None
        """When a file could not be opened for want of descriptors, monotonic seconds."""
        self.short_of: str | None = None
        """Why no file can be opened at the moment, as it was reported."""
        self.events = EventQueue()
        self.counters = Counters()
        self.next_number = 1
        self.cancelled = False
        """The start is to end soon; set by another thread."""
        self.own_names: frozenset[str] = frozenset()
        """The state file and what belongs to it: following it would never end."""
        self.starting = True
        """Files that are found now existed before the start."""
        self.unsaved = False
        """The checkpoint differs from what was saved last."""
        self.changed_paths: deque[str] = deque()
        """Followed paths of which the checkpoint changed since; from any thread."""
        self.unsaved_bytes = 0
        """Bytes acknowledged since the last save."""

    def path_of(self, file: FollowedFile | FollowedStream) -> FollowedPath:
        """Return the path under which a file is read."""
        return self.paths[file.path]

    def on_network(self, path: str) -> bool:
        return path.startswith(self.network_paths)

    def take_number(self) -> int:
        """Return the number of the next generation."""
        self.next_number += 1
        self.unsaved = True
        return self.next_number - 1

    def saved_file(self, file: FollowedFile, *, delivered: bool = False) -> SavedFile:
        """Return what a checkpoint has of a file: how far it is acknowledged, or delivered."""
        point = file.acknowledged
        splitter = file.splitter
        if delivered and point.offset < splitter.offset:
            point = ReadPoint(splitter.offset, splitter.tail, splitter.skipping)
        return SavedFile(
            file.position(point),
            file.size,
            file.name,
            self.io.time() if delivered else None,
            gone=not file.nlink,
            was_active=file.is_active,
        )

    def mark_changed(self, path: str) -> None:
        """Note that what the checkpoint has of a path changed; may be called from any thread."""
        if self.options.state is not None:
            self.changed_paths.append(path)

    def rotated_of(self, path: str) -> RotatedFiles | None:
        """Return what is known of the rotated files of a path."""
        option = self.options.rotated
        if option is None:
            return None
        pattern = rotated_pattern(path, option)
        return self.rotated.setdefault(pattern, RotatedFiles(pattern))

    def new_splitter(self) -> LineSplitter | ChunkSplitter:
        """Return a splitter for the bytes of a file."""
        options = self.options
        if options.mode == "chunks":
            return ChunkSplitter()
        return LineSplitter(
            options.encoding,
            delimiter=options.delimiter,
            max_line=options.max_line,
            on_long=options.on_long,
        )

    def acknowledge(self, file: FollowedFile | FollowedStream, block: Block) -> None:
        """Note that a block is acknowledged; may be called from any thread."""
        before = file.acknowledged.offset
        file.acknowledge(block)
        self.unsaved_bytes += max(0, file.acknowledged.offset - before)
        self.mark_changed(file.path)
        continuation = file.continuation
        if continuation is not None:
            self.mark_changed(continuation.file.path)
        self.unsaved = True

    # -- events --------------------------------------------------------------------------------

    def emit(self, event: FollowEvent) -> None:
        """Queue an event that is about files; lines are queued by ``deliver``."""
        counters = self.counters
        if isinstance(event, Gap):
            counters.gaps += 1
            counters.gap_bytes += event.bytes
        elif isinstance(event, Truncated):
            counters.truncations += 1
            counters.lost_bytes += event.lost
        elif isinstance(event, Inaccessible):
            counters.last_error = f"{event.path}: {event.message}"
        self.events.append(event)

    def deliver(self, file: FollowedFile | FollowedStream, blocks: list[Block]) -> None:
        """Queue blocks of lines, and report what was left out of them."""
        options = self.options
        for block in blocks:
            if block.data:
                self.counters.lines += block.lines
                self.events.append(
                    Appended(
                        block,
                        path=self.path_of(file).event_path,
                        real_path=file.name,
                        generation=file.number,
                        backlog=file.backlog,
                        time=self.io.time(),
                        errors=options.errors,
                        keep_cr=options.keep_cr,
                        commit=partial(self.acknowledge, file),
                        position=file.position_after,
                    )
                )
            if block.dropped:
                self.report_gap(file, "long-line", block.dropped)

    def report_gap(
        self,
        file: FollowedFile | FollowedStream,
        kind: GapKind,
        size: int,
        *,
        size_known: bool = True,
    ) -> None:
        """Report bytes of a file that will not be delivered."""
        path = self.path_of(file).event_path
        self.report_gap_at(path, kind, size, file.number, size_known=size_known)

    def report_gap_at(
        self, path: Path, kind: GapKind, size: int, number: int, *, size_known: bool = True
    ) -> None:
        """Report bytes that will not be delivered, of a file that is not held."""
        self.emit(
            Gap(
                path=path,
                time=self.io.time(),
                kind=kind,
                bytes=size,
                generation=number,
                size_known=size_known,
            )
        )

    def report_found(self, followed: FollowedPath, file: FollowedFile) -> None:
        """Report that a path leads to a file, if it led to none before."""
        if not followed.exists:
            self.emit(
                Appeared(path=followed.event_path, time=self.io.time(), generation=file.number)
            )
        followed.exists = True

    def report_gone(self, followed: FollowedPath) -> None:
        """Report that a path leads to nothing, once."""
        if followed.exists:
            followed.exists = False
            self.emit(Gone(path=followed.event_path, time=self.io.time()))

    def report_inaccessible(self, followed: FollowedPath, number: int, message: str) -> None:
        """Report that a path cannot be read, once for each errno until it can."""
        followed.error_number = number
        if number not in followed.errors_reported:
            followed.errors_reported.add(number)
            self.emit(
                Inaccessible(
                    path=followed.event_path, time=self.io.time(), errno=number, message=message
                )
            )

    def report_shortage(self, path: Path, error: OSError) -> None:
        """Report once that the process is out of descriptors: it concerns no file alone."""
        if self.short_of is None:
            self.short_of = error.strerror or str(error)
            self.emit(
                WatchDegraded(
                    time=self.io.time(),
                    path=path,
                    reason="descriptors",
                    message=f"cannot open {path}: {self.short_of}; files wait until descriptors "
                    "are free: raise the limit (ulimit -n), or lower max_open",
                )
            )

    def report_accessible(self, followed: FollowedPath) -> None:
        """Report that a path can be read again."""
        if followed.error_number:
            followed.error_number = 0
            followed.errors_reported.clear()
            self.emit(Accessible(path=followed.event_path, time=self.io.time()))

    def report_caught_up(self, followed: FollowedPath) -> None:
        """Report once that everything that existed at the start is delivered."""
        if not followed.caught_up and not followed.backlog:
            followed.caught_up = True
            self.not_caught_up.pop(followed, None)
            self.emit(CaughtUp(path=followed.event_path, time=self.io.time()))
