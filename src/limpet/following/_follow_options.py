"""The options of a follower, as a frozen value that is checked when it is created."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from limpet._option_fields import check_encoding, check_options, option
from limpet.config import BackendName
from limpet.errors import UsageError
from limpet.following._line_splitter import LongLines
from limpet.following._position import Position

Start = Literal["end", "beginning", "checkpoint", "last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOptions:
    """All options of a follower; the defaults suit a bot that reacts to new lines.

    Raises:
        UsageError: A value is out of its range; the message names it.
    """

    start: Start | Position | None = option(
        None, "where to start in a file that exists: end, beginning, last, checkpoint", shown="end"
    )
    """Where to start in a file that exists at the start: ``end`` (after its last whole line),
    ``beginning``, ``last`` (the last lines), ``checkpoint``, or a position. ``None`` is
    ``checkpoint`` with ``state`` and ``end`` without. A file that comes later is always read from
    its beginning."""
    last: int = option(10, 'lines for start="last"', unit="N", least=0)
    fallback: Literal["end", "beginning", "last"] = option(
        "end", "where to start in a file that the checkpoint does not have"
    )
    ignore_older: float | None = option(
        None,
        "read a file that did not change for this long from its end",
        unit="SECONDS",
        least=0.0,
        shown="never",
    )
    """A file whose last change is longer ago at the start, in seconds, is read from its end."""
    state: Path | None = option(
        None,
        "checkpoint of the lines that were processed; the next start continues there",
        unit="FILE",
    )
    """File for the checkpoint: what was committed."""
    commit: Literal["auto", "manual"] = option("auto", "when a batch is acknowledged")
    """``auto``: asking for the next batch commits the last one. ``manual``: its ``commit`` does."""
    on_corrupt: Literal["start", "raise"] = option(
        "start", "what to do if no checkpoint can be read"
    )
    """If neither the state file nor the previous one can be read: start without one, or raise."""
    durability: Literal["fsync", "rename", "none"] = option(
        "fsync", "what a saved checkpoint survives"
    )
    """What a saved state survives: a power cut, or a kill; ``none`` saves only at the end."""
    rotated: str | None = option(
        None,
        "names of rotated files, such as 'app.log.*'; finds files rotated between two starts",
        unit="GLOB",
    )
    """Glob of the names that the file gets when it is rotated, in its directory unless absolute:
    ``app.log.*``. Without it, files that came and went between two passes or two runs are not
    found. Compressed files are ignored."""
    mode: Literal["lines", "chunks", "whole"] = option("lines", "what is delivered")
    """Whole lines; the bytes as they come; or the whole content whenever the file is quiet."""
    encoding: str | None = option("utf-8", "encoding of the text", unit="NAME")
    """``None`` returns bytes. A byte order mark of a Unicode encoding is honoured."""
    errors: str = option("replace", "what to do with bytes that are not text", unit="HANDLER")
    """Error handler as for ``bytes.decode``."""
    delimiter: bytes | None = option(None, "bytes that end a line", shown="a newline")
    """Bytes that end a line; ``None`` is a newline in the encoding."""
    keep_cr: bool = option(False, "leave a carriage return at the end of a line")
    """Keep the carriage return before a newline."""
    max_line: int = option(1 << 20, "longest line that is delivered whole", unit="BYTES", least=16)
    """Maximum bytes of a line; ``on_long`` decides about longer ones."""
    on_long: LongLines = option("truncate", "what to do with longer lines")
    """``truncate`` to ``max_line``, ``split`` into lines of that length, or ``skip``."""
    flush_partial: float | None = option(
        None,
        "deliver a line without an end after this long",
        unit="SECONDS",
        least=0.0,
        shown="never",
    )
    """Deliver a line without an end after this many seconds, with ``complete=False``; ``None``
    waits for its end, or for the end of the file."""
    max_bytes: int = option(16 << 20, "larger files are not read as a whole", unit="BYTES", least=0)
    """For ``mode="whole"``: a larger file is not read."""
    settle: float = option(
        0.05, "deliver a whole file once it was quiet for this long", unit="SECONDS", least=0.0
    )
    """For ``mode="whole"``: seconds for which size and times must not change."""
    linger: float = option(
        5.0, "close a rotated file once it was quiet for this long", unit="SECONDS", least=0.0
    )
    order: Literal["prompt", "strict"] = option(
        "prompt", "order of the lines of a rotated file and the new one"
    )
    """``strict`` holds the lines of a new file back until the old one is closed."""
    retire: Literal["idle", "no-writer"] = option("idle", "when a rotated file is closed")
    """``no-writer`` closes a rotated file as soon as no process has it open for writing (Linux,
    same user), and holds it while one has."""
    on_trim: Literal["restart", "keep"] = option(
        "restart", "what to do if a file became shorter and begins as before"
    )
    """If a file became shorter and begins as before: read it again, or continue from its end."""
    on_rewrite: Literal["restart", "keep"] = option(
        "restart", "what to do if other bytes have replaced those that were read"
    )
    """If other bytes have replaced those that were read: read the file again, or continue."""
    max_open: int = option(256, "maximum number of open files", unit="N", least=1)
    """Maximum number of descriptors: others are closed, and examined by name."""
    max_generations: int = option(64, "most files held for one path", unit="N", least=2)
    """Maximum number of files held for one path while nobody consumes lines."""
    unlinked_timeout: float = option(
        900.0, "hold a deleted file open for this long", unit="SECONDS", least=0.0
    )
    """Seconds for which a deleted file is held open while nobody consumes its lines."""
    follow_symlinks: bool | Literal["same-owner"] = option(
        True, "follow a symlink at the path; same-owner: only if it has the owner of its target"
    )
    """Whether the path, or a directory on the way, may be a symlink: for directories that others
    can write to. ``same-owner``: if the owner of the symlink is that of what it leads to."""
    safety: float = option(
        1.0, "time between two passes even if no change is reported", unit="SECONDS", least=0.01
    )
    backend: BackendName = option("auto", "source of hints", unit="NAME")
    poll_interval: float = option(
        0.25, "time between two passes where the system gives no hints", unit="SECONDS", least=0.001
    )
    until: Literal["eof", "retired"] | None = option(None, "when to end", shown="never")
    """When to end: once everything that is there is delivered, or once every file is closed."""

    def __post_init__(self) -> None:
        check_options(self)
        if self.start == "checkpoint" and self.state is None:
            message = "start='checkpoint' needs state=: the file that keeps it"
            raise UsageError(message)
        check_encoding("utf-8" if self.encoding is None else self.encoding, self.errors)
        if self.delimiter is not None and not self.delimiter:
            message = "delimiter must not be empty"
            raise UsageError(message)

    @property
    def begin(self) -> Start | Position:
        """``start`` with its default filled in."""
        if self.start is not None:
            return self.start
        return "end" if self.state is None else "checkpoint"
