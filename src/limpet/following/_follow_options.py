"""What a follower can be told, as a frozen value that is checked when it is made."""

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

__all__ = ["FollowOptions", "Start"]

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
    """Everything a follower can be told; the defaults suit a bot that reacts to new lines.

    Raises:
        UsageError: A value is out of its range; the message names it.
    """

    start: Start | Position | None = None
    """Where to begin with a file that is there at the start: ``end`` (after its last whole line),
    ``beginning``, ``last`` so many lines, ``checkpoint``, or a position. ``None`` is
    ``checkpoint`` with ``state`` and ``end`` without. A file that comes later is always read from
    its beginning."""
    last: int = 10
    """Lines for ``start="last"``."""
    fallback: Literal["end", "beginning", "last"] = "end"
    """What ``checkpoint`` means for a file that the state does not know."""
    ignore_older: float | None = None
    """A file whose last change at the start is longer ago, in seconds, is begun at its end."""
    state: Path | None = None
    """File that keeps what was committed, so that the next start goes on from there."""
    commit: Literal["auto", "manual"] = "auto"
    """``auto``: a batch is committed when the next is asked for. ``manual``: by its ``commit``."""
    on_corrupt: Literal["start", "raise"] = "start"
    """If neither the state nor the one before it can be read: begin as without, or raise."""
    durability: Literal["fsync", "rename", "none"] = "fsync"
    """How the state is saved: against a power cut, against a kill, or only at the end."""
    rotated: str | None = None
    """Glob of the names that the file gets when it is put aside, beside it unless absolute:
    ``app.log.*``. Without it, files that came and went between two looks or two runs are not
    found. Compressed ones are left alone."""
    mode: Literal["lines", "chunks", "whole"] = "lines"
    """Whole lines; the bytes as they come; or the whole content whenever the file came to rest."""
    encoding: str | None = "utf-8"
    """``None`` gives bytes. A byte order mark of a Unicode encoding is honoured."""
    errors: str = "replace"
    """Error handler as for ``bytes.decode``."""
    delimiter: bytes | None = None
    """What ends a line; ``None`` is a newline in the encoding."""
    keep_cr: bool = False
    """Keep the carriage return before a newline."""
    max_line: int = 1 << 20
    """Bytes of a line, at most; what is longer is dealt with by ``on_long``."""
    on_long: LongLines = "truncate"
    """``truncate`` to ``max_line``, ``split`` into lines of that length, or ``skip``."""
    flush_partial: float | None = None
    """Deliver a line without an end after so many seconds, with ``complete=False``; ``None`` waits
    for its end, or for the file's."""
    max_bytes: int = 16 << 20
    """For ``mode="whole"``: a larger file is not read."""
    settle: float = 0.05
    """For ``mode="whole"``: seconds for which size and times must stand still."""
    linger: float = 5.0
    """Seconds for which a file that was put aside must be quiet until it is closed."""
    order: Literal["prompt", "strict"] = "prompt"
    """``strict`` keeps the lines of a new file back until the old one is closed."""
    retire: Literal["idle", "no-writer"] = "idle"
    """``no-writer`` closes a file that was put aside as soon as no process has it open for writing
    (Linux, same user), and keeps it while one has."""
    on_trim: Literal["restart", "keep"] = "restart"
    """A file became shorter and begins as before: read it anew, or go on from its end."""
    on_rewrite: Literal["restart", "keep"] = "restart"
    """Other bytes stand before the position: read the file anew, or go on."""
    max_open: int = 256
    """Descriptors held, at most; quiet files are closed and looked at by name."""
    max_generations: int = 64
    """Files held for one path, at most, while nobody asks for lines."""
    unlinked_timeout: float = 900.0
    """Seconds for which a deleted file is held open although nobody asks for its lines."""
    follow_symlinks: bool | Literal["same-owner"] = True
    """Whether the path may be a symlink: for folders that others can write to."""
    safety: float = 1.0
    """Seconds between two looks even if nothing tells of a change."""
    backend: BackendName = "auto"
    """As of a watch."""
    poll_interval: float = 0.25
    """Seconds between two looks where the system tells of no changes."""
    until: Literal["eof", "retired"] | None = None
    """When to end by itself: once all that is there is delivered, or once every file is closed."""

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
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
        """Where to begin, spelled out."""
        if self.start is not None:
            return self.start
        return "end" if self.state is None else "checkpoint"
