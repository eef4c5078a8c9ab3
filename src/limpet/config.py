"""The options of a watch, as frozen values that are checked when they are created."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from limpet._gitignore import check_globs
from limpet._option_fields import check_encoding, check_options, option
from limpet.errors import UsageError

__all__ = ["BackendName", "ContentOptions", "OwnPolicy", "SettleUntil", "WatchOptions"]

BackendName = Literal["auto", "fanotify", "inotify", "windows", "watchfiles", "poll"]
SettleUntil = Literal["closed", "quiet"]
OwnPolicy = Literal["drop", "mark", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentOptions:
    """How the content of a file is put into its created and updated events.

    Raises:
        UsageError: The mode, encoding or error handler does not exist, or the bound is negative.
    """

    mode: Literal["r", "rb"] = option(
        "r", "put a file's content into its events, as text or as bytes"
    )
    """``r`` decodes to text and leaves line ends as they are; ``rb`` gives bytes."""
    encoding: str = option("utf-8", "encoding of text content", unit="NAME")
    errors: str = option("strict", "what to do with bytes that are not text", unit="HANDLER")
    """Error handler as for ``bytes.decode``."""
    max_bytes: int = option(1 << 20, "larger files come without content", unit="N", least=0)
    """A larger file is not read: the event has ``content_error="too_large"``."""
    appended: bool = option(False, "only what was added since the file's last event")
    """Only what was added since the file's last event, from ``content_offset`` on; all of it if the
    file was truncated or replaced. ``max_bytes`` limits what was added. Costs one stat per file at
    the start. For a log of which no line may be lost there is ``limpet.follow``."""

    def __post_init__(self) -> None:
        check_options(self)
        check_encoding(self.encoding, self.errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """Every option of a watch; the defaults suit a bot that reacts to files.

    Raises:
        UsageError: A value is of another type or out of its range; the message names it.
    """

    must_exist: bool = option(False, "fail if nothing is at the location when the watch begins")
    """Raise ``UsageError`` on entry if no folder (file) is at the location; otherwise the watch
    waits for it."""
    recursive: bool = option(
        True,
        "watch the folders below too",
        help_off="only the folder's direct entries",
    )
    """Watch directories below the location too; otherwise its direct entries only."""
    existing: bool = option(False, "first report what is already there")
    """First deliver what is already there, with ``existing=True`` on the events."""
    state: Path | None = option(
        None,
        "checkpoint of what was reported; the next start begins with what changed since",
        unit="FILE",
    )
    """File for a checkpoint of what was delivered: the next start delivers what changed since. It
    must be a state file or not exist yet; its folder is created. The watch does not report it."""
    settle: float = option(
        0.0,
        "hold created and updated files until closed or quiet for this long",
        unit="SECONDS",
        least=0.0,
    )
    """Debounce: hold a created or updated file until its writer closed it or it was quiet for this
    many seconds; 0 delivers at once."""
    settle_max: float | None = option(
        None, "never hold longer than this", unit="SECONDS", least=0.0, shown="10 x settle"
    )
    """Never hold longer than this, in seconds; ``None`` is ten times ``settle``."""
    settle_until: SettleUntil = option(
        "closed", "what ends the hold: the writer's close or a quiet time, or a quiet time alone"
    )
    """``closed``: the writer closed the file, or it was quiet for ``settle`` seconds; where closes
    are not seen (windows, watchfiles, poll), only the second. ``quiet``: it was quiet for that
    long, closed or not: for scanners, uploads and scripts that open and close a file several times.
    """
    settle_dir: float = option(
        0.0,
        "report a new folder once nothing happened in it for this long",
        unit="SECONDS",
        least=0.0,
    )
    """Deliver one ``DirSettled`` for each folder that came (created, or moved in; with ``existing``
    also those at the first level), once nothing happened in it, or below it, for this many seconds;
    0 delivers none. Of ``watch_dir`` alone, and not with ``recursive=False``."""
    metadata: bool = option(False, "report changes of mode and owner too")
    """Also report changes of mode and owner. Costs one stat per file at the start."""
    transient: bool = option(False, "report what was created and deleted between two scans too")
    """Also report what was created and deleted between two scans, where the backend saw it."""
    follow_symlinks: bool = option(False, "follow symlinks to directories, each of them once")
    """Follow symlinks to directories inside the tree, each real directory once."""
    own: OwnPolicy = option("drop", "what to do with changes that limpet itself made")
    """Events caused by limpet's own output in this process: drop them, mark them, or keep them
    like any other."""
    who: bool = option(
        False, "say which process made each change, where the kernel does (CAP_SYS_ADMIN)"
    )
    """Say in ``event.who`` which process made each change, where the kernel does: fanotify, with
    CAP_SYS_ADMIN. Elsewhere it is ``None``. What the kernel reports is read once more for it."""
    content: ContentOptions | None = option(
        None, "put the content into created and updated events of files; r or rb is a mode alone"
    )
    """Put the content into created and updated events of files; ``None`` does not."""
    include: tuple[str, ...] = option((), "only files that match (gitignore syntax)", unit="GLOB")
    """If not empty, only files that match one of these globs (gitignore syntax, relative to the
    location) are reported; directories always are."""
    exclude: tuple[str, ...] = option((), "ignore matching entries and all below them", unit="GLOB")
    """Files and directories that match one of these globs are left out, with all that is in them.
    """
    ignore_file: str | None = option(
        None, "honour files of this name, such as .gitignore, anywhere in the tree", unit="NAME"
    )
    """Name of a file in gitignore syntax that is honoured anywhere in the tree, or the absolute
    path of one; read again when it changes."""
    default_ignores: bool = option(
        True,
        "leave out partial downloads, editor swap files and system files",
        help_off="report partial downloads, editor swap files and system files too",
    )
    """Leave out partial downloads, editor swap files and files that systems leave in folders."""
    backend: BackendName = option("auto", "source of hints", unit="NAME")
    filesystem_mark: bool = option(False, "mark whole file systems, which needs CAP_SYS_ADMIN")
    """With fanotify and CAP_SYS_ADMIN, mark each file system as a whole instead of every directory:
    a start that makes one mark, at the price of hints about the whole file system. Without the
    right, directories are marked one by one. Done without this option where the marks run out."""
    gather: float = option(
        0.014,
        "in a burst, the longest a change waits to be examined together with others",
        unit="SECONDS",
        least=0.0,
    )
    """In a burst of changes, the longest that one waits to be examined together with others. A
    change after a quiet moment is examined at once. Longer costs less CPU for each change, shorter
    tells sooner; 0 gathers nothing. Among the watches of an event loop, the shortest counts."""
    poll_interval: float = option(
        1.0, "time between two scans where the system gives no hints", unit="SECONDS", least=0.001
    )
    """Seconds between two scans where the system gives no hints."""
    rescan_interval: float | None = option(
        None, "scan everything again this often", unit="SECONDS", least=0.001, shown="never"
    )
    """Scan everything again after this many seconds, whatever the backend reports; ``None``: never.
    """

    def __post_init__(self) -> None:
        check_options(self)
        if self.settle_max is not None and self.settle_max < self.settle:
            message = f"settle_max must be at least settle ({self.settle:g}), got {self.settle_max}"
            raise UsageError(message)
        if self.settle_dir and not self.recursive:
            message = "settle_dir is about what is below a folder: it needs recursive=True"
            raise UsageError(message)
        name = self.ignore_file
        if name is not None and not _is_name_or_absolute(name):
            message = f"ignore_file must be a file name or an absolute path, not {name!r}"
            raise UsageError(message)
        for option_name in ("include", "exclude"):
            check_globs(option_name, getattr(self, option_name))

    @property
    def sizes(self) -> bool:
        """Return whether files need a stat when the watch begins, not only their names."""
        return self.metadata or (self.content is not None and self.content.appended)

    @property
    def settle_limit(self) -> float:
        """Return the longest time a file is held, in seconds."""
        return 10 * self.settle if self.settle_max is None else self.settle_max


def _is_name_or_absolute(text: str) -> bool:
    if "\0" in text:
        return False
    return os.path.isabs(text) or (os.path.basename(text) == text and text not in {"", ".", ".."})
