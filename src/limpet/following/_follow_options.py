"""The options of a follower, as a frozen value that is checked when it is created."""

from __future__ import annotations

import codecs
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from limpet.config import BackendName
from limpet.errors import UsageError
from limpet.following._line_splitter import LongLines
from limpet.following._position import Position

Start = Literal["end", "beginning", "checkpoint", "last"]
_CHOICES: dict[str, object] = {
    "mode": Literal["lines", "chunks", "whole"],
    "fallback": Literal["end", "beginning", "last"],
    "commit": Literal["auto", "manual"],
    "on_long": LongLines,
    "on_trim": Literal["restart", "keep"],
    "on_rewrite": Literal["restart", "keep"],
    "on_corrupt": Literal["start", "raise"],
    "order": Literal["prompt", "strict"],
    "durability": Literal["fsync", "rename", "none"],
    "retire": Literal["idle", "no-writer"],
    "until": Literal["eof", "retired"] | None,
    "backend": BackendName,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOptions:
    """All options of a follower; the defaults suit a bot that reacts to new lines.

    Raises:
        UsageError: A value is out of its range; the message names it.
    """

    start: Start | Position | None = None
    """Where to start in a file that exists at the start: ``end`` (after its last whole line),
    ``beginning``, ``last`` (the last lines), ``checkpoint``, or a position. ``None`` is
    ``checkpoint`` with ``state`` and ``end`` without. A file that comes later is always read from
    its beginning."""
    last: int = 10
    """Lines for ``start="last"``."""
    fallback: Literal["end", "beginning", "last"] = "end"
    """Where to start in a file that the checkpoint does not have."""
    ignore_older: float | None = None
    """A file whose last change is longer ago at the start, in seconds, is read from its end."""
    state: Path | None = None
    """File for the checkpoint: what was committed, so that the next run continues from there."""
    commit: Literal["auto", "manual"] = "auto"
    """``auto``: asking for the next batch commits the last one. ``manual``: its ``commit`` does."""
    on_corrupt: Literal["start", "raise"] = "start"
    """If neither the state file nor the previous one can be read: start without one, or raise."""
    durability: Literal["fsync", "rename", "none"] = "fsync"
    """What a saved state survives: a power cut, or a kill; ``none`` saves only at the end."""
    rotated: str | None = None
    """Glob of the names that the file gets when it is rotated, in its directory unless absolute:
    ``app.log.*``. Without it, files that came and went between two passes or two runs are not
    found. Compressed files are ignored."""
    mode: Literal["lines", "chunks", "whole"] = "lines"
    """Whole lines; the bytes as they come; or the whole content whenever the file is quiet."""
    encoding: str | None = "utf-8"
    """``None`` returns bytes. A byte order mark of a Unicode encoding is honoured."""
    errors: str = "replace"
    """Error handler as for ``bytes.decode``."""
    delimiter: bytes | None = None
    """Bytes that end a line; ``None`` is a newline in the encoding."""
    keep_cr: bool = False
    """Keep the carriage return before a newline."""
    max_line: int = 1 << 20
    """Maximum bytes of a line; ``on_long`` decides about longer ones."""
    on_long: LongLines = "truncate"
    """``truncate`` to ``max_line``, ``split`` into lines of that length, or ``skip``."""
    flush_partial: float | None = None
    """Deliver a line without an end after this many seconds, with ``complete=False``; ``None``
    waits for its end, or for the end of the file."""
    max_bytes: int = 16 << 20
    """For ``mode="whole"``: a larger file is not read."""
    settle: float = 0.05
    """For ``mode="whole"``: seconds for which size and times must not change."""
    linger: float = 5.0
    """Seconds for which a rotated file must be quiet before it is closed."""
    order: Literal["prompt", "strict"] = "prompt"
    """``strict`` holds the lines of a new file back until the old one is closed."""
    retire: Literal["idle", "no-writer"] = "idle"
    """``no-writer`` closes a rotated file as soon as no process has it open for writing (Linux,
    same user), and holds it while one has."""
    on_trim: Literal["restart", "keep"] = "restart"
    """If a file became shorter and begins as before: read it again, or continue from its end."""
    on_rewrite: Literal["restart", "keep"] = "restart"
    """If other bytes have replaced those that were read: read the file again, or continue."""
    max_open: int = 256
    """Maximum number of descriptors; quiet files are closed and examined by name."""
    max_generations: int = 64
    """Maximum number of files held for one path while nobody consumes lines."""
    unlinked_timeout: float = 900.0
    """Seconds for which a deleted file is held open while nobody consumes its lines."""
    follow_symlinks: bool | Literal["same-owner"] = True
    """Whether the path may be a symlink: for directories that others can write to."""
    safety: float = 1.0
    """Seconds between two passes even if no change is reported."""
    backend: BackendName = "auto"
    """As of a watch."""
    poll_interval: float = 0.25
    """Seconds between two passes where the system reports no changes."""
    until: Literal["eof", "retired"] | None = None
    """When to end: once everything that is there is delivered, or once every file is closed."""

    def __post_init__(self) -> None:
        for name, choice in _CHOICES.items():
            value = getattr(self, name)
            words = [word for part in get_args(choice) for word in (get_args(part) or (part,))]
            if value not in [None if word is type(None) else word for word in words]:
                known = ", ".join(str(word) for word in words if isinstance(word, str))
                message = f"{name} must be one of {known}, not {value!r}"
                raise UsageError(message)
        if self.start is not None and not isinstance(self.start, Position):
            if self.start not in get_args(Start):
                known = ", ".join(get_args(Start))
                message = f"start must be one of {known} or a Position, not {self.start!r}"
                raise UsageError(message)
            if self.start == "checkpoint" and self.state is None:
                message = "start='checkpoint' needs state=: the file that keeps it"
                raise UsageError(message)
        if self.follow_symlinks not in {True, False, "same-owner"}:
            message = (
                f"follow_symlinks must be True, False or 'same-owner', not {self.follow_symlinks!r}"
            )
            raise UsageError(message)
        try:
            if self.encoding is not None:
                codecs.lookup(self.encoding)
            codecs.lookup_error(self.errors)
        except LookupError as error:
            message = f"cannot decode lines: {error}"
            raise UsageError(message) from error
        if self.delimiter is not None and not self.delimiter:
            message = "delimiter must not be empty"
            raise UsageError(message)
        for name, least in (
            ("last", 0), ("max_line", 16), ("max_bytes", 0), ("max_open", 1),
            ("max_generations", 2),
        ):  # fmt: skip
            if getattr(self, name) < least:
                message = f"{name} must be at least {least}, got {getattr(self, name)!r}"
                raise UsageError(message)
        for name, low in (
            ("ignore_older", 0.0), ("flush_partial", 0.0), ("settle", 0.0), ("linger", 0.0),
            ("unlinked_timeout", 0.0), ("safety", 0.01), ("poll_interval", 0.001),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= low):
                message = f"{name} must be at least {low:g} seconds, got {value!r}"
                raise UsageError(message)

    @property
    def begin(self) -> Start | Position:
        """``start`` with its default filled in."""
        if self.start is not None:
            return self.start
        return "end" if self.state is None else "checkpoint"
