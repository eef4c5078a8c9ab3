"""Events of a follower: lines in batches, and what happens to the followed files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, repeat
from pathlib import Path
from typing import Any, Literal, NamedTuple

from limpet.following._line_splitter import Block
from limpet.following._position import Position

TruncationKind = Literal["truncated", "trimmed", "rewritten"]
"""What became of the bytes that were read: they are gone; only the first of them are left; other
bytes have replaced them."""

GapKind = Literal[
    "generation-missing", "unlinked", "too-many", "long-line", "nul-hole", "too-large"
]
"""Why bytes were not delivered: their file could not be found after a restart; it is deleted and
its lines were not consumed for too long; more files waited than are held at once; the end of a line
beyond ``max_line``; a hole of NULs at the beginning of a file that was emptied under its writer; a
file that is larger than ``max_bytes``, with ``mode="whole"``."""


class Origin(NamedTuple):
    """What the lines of a batch have in common."""

    path: Path
    generation: int
    end: int
    complete: bool
    cut: bool


class Line:
    """One line, without its end."""

    __slots__ = ("_of", "end", "start", "text")

    def __init__(
        self,
        text: Any,  # noqa: ANN401 (str, or bytes where no encoding is asked for)
        start: int,
        end: int,
        of: Origin,
    ) -> None:
        """Store the arguments. One object is made for each line, so every further value costs."""
        self.text = text
        """``str``; ``bytes`` if ``encoding`` is ``None``."""
        self.start = start
        """Offset of its first byte."""
        self.end = end
        """Offset after its line end."""
        self._of = of

    @property
    def path(self) -> Path:
        """The followed path, as the caller gave it."""
        return self._of.path

    @property
    def generation(self) -> int:
        """Number of the file among those that were found at the path."""
        return self._of.generation

    @property
    def complete(self) -> bool:
        """False for a line that was cut, or that had no end when its file was finished."""
        return self._of.complete or self.end != self._of.end

    @property
    def truncated(self) -> bool:
        """Return whether the rest was left out because the line is longer than ``max_line``."""
        return self._of.cut

    def __repr__(self) -> str:
        return f"Line({self.text!r}, {str(self.path)!r}, {self.start}-{self.end})"

    def __str__(self) -> str:
        return str(self.text)


class FollowEvent:
    """Base of everything that ``Follower.events`` returns."""

    __slots__ = ()


class Appended(FollowEvent):
    """Bytes that were added to a file: whole lines, unless ``complete`` is false.

    Lines are decoded and split when they are first needed. Iteration yields ``Line`` objects.
    """

    __slots__ = (
        "_block",
        "_commit",
        "_lines",
        "_position",
        "backlog",
        "errors",
        "generation",
        "keep_cr",
        "path",
        "real_path",
        "time",
    )

    def __init__(
        self,
        block: Block,
        *,
        path: Path,
        real_path: str,
        generation: int,
        backlog: int,
        time: float,
        errors: str,
        keep_cr: bool,
        commit: Callable[[Block], None],
        position: Callable[[Block], Position],
    ) -> None:
        self._block = block
        self._commit = commit
        self._position = position
        self._lines: list[Any] | None = None
        self.path = path
        """The followed path, as the caller gave it."""
        self.real_path = real_path
        """Last known name of the file."""
        self.generation = generation
        """Number of the file among those that were found at the path; a file that was emptied has
        a new one."""
        self.backlog = backlog
        """Bytes known to follow this batch."""
        self.time = time
        """Unix seconds of the read, not of the write."""
        self.errors = errors
        self.keep_cr = keep_cr

    @property
    def start(self) -> int:
        """Offset of the first byte."""
        return self._block.start

    @property
    def end(self) -> int:
        """Offset after the last byte."""
        return self._block.end

    @property
    def data(self) -> bytes:
        """The bytes as they are in the file."""
        return self._block.data

    @property
    def complete(self) -> bool:
        """Return whether the last line has its end."""
        return self._block.complete

    @property
    def continued(self) -> bool:
        """Return whether the first line continues one whose beginning was delivered."""
        return self._block.continued

    @property
    def truncated(self) -> frozenset[int]:
        """Indices of the lines that were cut at ``max_line``."""
        return frozenset((0,)) if self._block.cut else frozenset()

    @property
    def encoding(self) -> str | None:
        """The encoding, detected at the file's beginning; ``None`` is bytes."""
        return self._block.codec.name

    @property
    def lines(self) -> list[Any]:
        """The lines without their ends: ``str``, or ``bytes`` if ``encoding`` is ``None``."""
        if self._lines is None:
            self._lines = self._cut()
        return self._lines

    @property
    def position(self) -> Position:
        """The position after this batch."""
        return self._position(self._block)

    def commit(self) -> None:
        """Acknowledge this batch, and everything before it in the same file.

        With ``state`` that is on disk within a second, or when the follower is closed.
        """
        self._commit(self._block)

    def commit_lines(self, count: int) -> None:
        """Acknowledge the first ``count`` lines."""
        if count >= self._block.lines:
            self.commit()
        elif count > 0:
            self._commit(self._block.first(self.offsets()[count], count))

    def offsets(self) -> list[int]:
        """Return the offset at which each line begins."""
        block = self._block
        step = len(block.codec.delimiter)
        pieces = block.codec.split(block.data, block.start)
        starts = list(accumulate([len(piece) + step for piece in pieces], initial=block.start))
        return starts[: len(self.lines)]

    def __len__(self) -> int:
        return self._block.lines

    def __iter__(self) -> Iterator[Line]:
        """Return an iterator of lines with their offsets."""
        edges = self.edges()
        return map(Line, self.lines, edges, edges[1:], repeat(self.origin()))

    def edges(self) -> list[int]:
        """Return the offset at which each line begins, and where the last one ends."""
        return [*self.offsets(), self.end]

    def origin(self) -> Origin:
        """Return what its lines have in common."""
        block = self._block
        return Origin(self.path, self.generation, self.end, block.complete, block.cut)

    def __repr__(self) -> str:
        return (
            f"Appended({str(self.path)!r}, generation={self.generation}, "
            f"bytes {self.start}-{self.end}, {len(self)} lines)"
        )

    def _cut(self) -> list[Any]:
        block = self._block
        codec, data = block.codec, block.data
        bom = codec.bom if block.start == 0 else 0
        newline = codec.newline
        if newline is None or codec.name is None:
            pieces: list[Any] = codec.split(data, block.start)
            if pieces and bom:
                pieces[0] = pieces[0][bom:]
            if codec.delimiter == b"\n" and not self.keep_cr:
                last = len(pieces) - 1
                pieces = [
                    one[:-1] if at < last and one.endswith(b"\r") else one
                    for at, one in enumerate(pieces)
                ]
            if codec.name is not None:
                pieces = [one.decode(codec.name, self.errors) for one in pieces]
        else:
            text = (data[bom:] if bom else data).decode(codec.name, self.errors)
            if not self.keep_cr and "\r" in text:
                text = text.replace("\r\n", "\n")
            pieces = text.split(newline)
        if block.complete:
            pieces.pop()
        return pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Content(FollowEvent):
    """The whole content of a file that is quiet (``mode="whole"``)."""

    path: Path
    data: bytes
    text: str | None
    """Decoded; ``None`` if ``encoding`` is ``None``."""
    generation: int
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileEvent(FollowEvent):
    path: Path
    """The followed path, as the caller gave it."""
    time: float
    """Unix seconds when it was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appeared(_FileEvent):
    """A file was found at a path where none was before."""

    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated(_FileEvent):
    """Another file is at the path; the rest of the old one is delivered first."""

    old: int
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced(_FileEvent):
    """The file was deleted and one that begins like it took its place (an editor, ``rsync``)."""

    old: int
    new: int
    continued: bool = True
    """Reading continues where it was; nothing is delivered twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncated(_FileEvent):
    """What was read of the file is no longer in it; reading starts at its beginning."""

    kind: TruncationKind
    generation: int
    """Its number from now on."""
    lost: int
    """Bytes that were known to be in it and had not been read."""
    recovered: int = 0
    """Bytes that are still read from a copy that was made of it before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired(_FileEvent):
    """A file that is no longer at the path was read to its end and closed."""

    generation: int
    bytes: int
    """Its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone(_FileEvent):
    """No file is at the path; files that are held open are still read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inaccessible(_FileEvent):
    """The file at the path cannot be read; it is tried again until it can."""

    errno: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accessible(_FileEvent):
    """The path can be read again after ``Inaccessible``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(_FileEvent):
    """Bytes that existed were not delivered, and will not be."""

    kind: GapKind
    bytes: int
    """Their number, as far as it is known: see ``size_known``."""
    generation: int
    """Number of the file they were in."""
    size_known: bool = True
    """False if more may be missing: what was written to a file that was not found is not known."""

    @property
    def missing(self) -> str:
        """How much is missing, in words: ``5 bytes are missing``, and not 0 if it is not known."""
        if self.size_known:
            return f"{self.bytes} bytes are missing"
        if self.bytes:
            return f"at least {self.bytes} bytes are missing"
        return "an unknown number of bytes may be missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp(_FileEvent):
    """Everything that existed at the start is delivered; reported once for each path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCorrupt(FollowEvent):
    """The state file could not be used; the previous one was used, or none."""

    time: float
    path: Path
    """The state file."""
    kept_as: Path | None
    """New name of the damaged file."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchDegraded(FollowEvent):
    """The watch that wakes the follower sees less than it should; the files are polled instead."""

    time: float
    path: Path
    reason: str
    message: str
