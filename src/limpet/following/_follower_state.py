"""What the targets of one follower share: options, disk, who holds which file, what was found."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.following._follow_events import (
    Accessible,
    Appeared,
    Appended,
    FollowEvent,
    Gap,
    Gone,
    Inaccessible,
    Replaced,
    Retired,
    Rotated,
    Truncated,
)
from limpet.following._line_splitter import Block, ChunkSplitter, LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from limpet.following._copytruncate import Copy
    from limpet.following._file_io import FileIO, Identity
    from limpet.following._follow_events import GapKind
    from limpet.following._follow_options import FollowOptions
    from limpet.following._followed_file import FollowedFile
    from limpet.following._position import Position

__all__ = ["Counters", "FollowerState"]

_MOST_NEWS: Final = 1000
"""Events about files that wait while nobody asks for any; of the merely informing ones the oldest
go first, and losses of one file are added up."""

_INFORMING: Final = (Appeared, Rotated, Replaced, Retired, Gone, Inaccessible, Accessible)


class Counters:
    """What was counted since the start."""

    __slots__ = (
        "bytes_read",
        "events_dropped",
        "gap_bytes",
        "gaps",
        "last_error",
        "lines",
        "looks",
        "lost_bytes",
        "truncations",
    )  # fmt: skip

    def __init__(self) -> None:
        """Start at nothing."""
        self.bytes_read = self.lines = self.looks = self.events_dropped = 0
        self.gaps = self.gap_bytes = self.truncations = self.lost_bytes = 0
        self.last_error = ""


class FollowerState:
    """One follower's own; used by one thread, except for ``commit``."""

    def __init__(
        self, options: FollowOptions, disk: FileIO, *, remote: Callable[[str], bool] | None = None
    ) -> None:
        """Know the options; ``remote`` tells whether a path lies on a network."""
        self.options = options
        self.disk = disk
        self.remote = remote or (lambda _path: False)
        self.held: dict[Identity, FollowedFile] = {}
        """Every file that is held open."""
        self.out: deque[FollowEvent] = deque()
        self.figures = Counters()
        self.next_number = 1
        self.starting = True
        """What is found now was there at the start."""
        self.changed = False
        """Something is committed, or another file is read, that is not saved yet."""
        self.acked_bytes = 0
        """Committed since it was last saved."""
        self.find_copy: Callable[[FollowedFile, float], Copy | None] = lambda _gen, _now: None
        """Finds the copy that was made of a file before it was emptied."""
        self.must_wait: Callable[[FollowedFile, float], bool] = lambda _gen, _now: False
        """Tells whether a new file is, so far, a copy of another."""

    def number(self) -> int:
        """Give the next generation its number."""
        self.next_number += 1
        self.changed = True
        return self.next_number - 1

    def lines(self) -> LineSplitter | ChunkSplitter:
        """Give what cuts a file's bytes."""
        options = self.options
        if options.mode == "chunks":
            return ChunkSplitter()
        return LineSplitter(
            options.encoding,
            delimiter=options.delimiter,
            max_line=options.max_line,
            on_long=options.on_long,
        )

    def tell(self, event: FollowEvent) -> None:
        """Have something delivered, in this order."""
        figures = self.figures
        if isinstance(event, Gap):
            figures.gaps += 1
            figures.gap_bytes += event.bytes
        elif isinstance(event, Truncated):
            figures.truncations += 1
            figures.lost_bytes += event.lost
        elif isinstance(event, Inaccessible):
            figures.last_error = f"{event.path}: {event.message}"
        if len(self.out) < _MOST_NEWS or self._make_room(event):
            self.out.append(event)

    def _make_room(self, event: FollowEvent) -> bool:
        """Drop what merely informs, or add a loss to an older one; tells whether there is room."""
        for at, old in enumerate(self.out):
            if isinstance(old, _INFORMING):
                del self.out[at]
                self.figures.events_dropped += 1
                return True
        if isinstance(event, _INFORMING):
            self.figures.events_dropped += 1
            return False
        for at, old in enumerate(self.out):
            if isinstance(event, Gap) and isinstance(old, Gap):
                add = (old.path, old.kind) == (event.path, event.kind)
                name, sum_ = "bytes", event.bytes + old.bytes
            elif isinstance(event, Truncated) and isinstance(old, Truncated):
                add, name, sum_ = old.path == event.path, "lost", event.lost + old.lost
            else:
                continue
            if add:
                object.__setattr__(event, name, sum_)
                del self.out[at]
                return True
        return True

    def deliver(self, file: FollowedFile, blocks: list[Block]) -> None:
        """Have blocks of lines delivered, and what was left out of them told."""
        options = self.options
        for block in blocks:
            if block.data:
                self.figures.lines += block.lines
                self.out.append(
                    Appended(
                        block,
                        path=file.target.shown,
                        real_path=file.name,
                        generation=file.number,
                        backlog=file.backlog,
                        time=self.disk.time(),
                        errors=options.errors,
                        keep_cr=options.keep_cr,
                        commit=_Commit(self, file),
                        position=_Place(file),
                    )
                )
            if block.dropped:
                self.gap(file.target.shown, "long-line", block.dropped, file.number)

    def gap(self, path: Path, kind: GapKind, size: int, number: int) -> None:
        """Tell of bytes that will not come."""
        self.tell(Gap(path=path, time=self.disk.time(), kind=kind, bytes=size, generation=number))


class _Commit:
    """Commits a block of one file; called from any thread."""

    __slots__ = ("_gen", "_world")

    def __init__(self, world: FollowerState, file: FollowedFile) -> None:
        self._world, self._gen = world, file

    def __call__(self, block: Block) -> None:
        before = self._gen.acked.offset
        self._gen.commit(block)
        self._world.acked_bytes += max(0, self._gen.acked.offset - before)
        self._world.changed = True


class _Place:
    """Gives the position after a block."""

    __slots__ = ("_gen",)

    def __init__(self, file: FollowedFile) -> None:
        self._gen = file

    def __call__(self, block: Block) -> Position:
        from limpet.following._followed_file import ReadPoint

        return self._gen.position(ReadPoint(block.end, block.tail, block.skipping))
