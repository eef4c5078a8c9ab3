"""What can be asked of a watch, as frozen values that are checked when they are made."""

from __future__ import annotations

import codecs
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from limpet.errors import UsageError

__all__ = ["BackendName", "ContentOptions", "OwnPolicy", "WatchOptions"]

BackendName = Literal["auto", "fanotify", "inotify", "watchfiles", "poll"]
OwnPolicy = Literal["drop", "mark", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentOptions:
    """How a file's content is put into its created and updated events.

    Raises:
        UsageError: The mode, encoding or error handler does not exist, or the bound is negative.
    """

    mode: Literal["r", "rb"] = "r"
    """``r`` decodes to text without touching line ends; ``rb`` gives bytes."""
    encoding: str = "utf-8"
    errors: str = "strict"
    """Error handler as for ``bytes.decode``."""
    max_bytes: int = 1 << 20
    """A larger file is not read: the event says ``content_error="too_large"``."""
    appended: bool = False
    """Only what was added since the file's last event, from ``content_offset`` on; all of it if the
    file was emptied or replaced. ``max_bytes`` is of what was added. Costs one stat per file at
    the start. For a log that must not lose a line there is ``limpet.follow``."""

    def __post_init__(self) -> None:
        """Refuse what could only fail later, once a file is there."""
        if self.mode not in {"r", "rb"}:
            message = f"content mode must be 'r' or 'rb', not {self.mode!r}"
            raise UsageError(message)
        try:
            codecs.lookup(self.encoding)
            codecs.lookup_error(self.errors)
        except LookupError as error:
            message = f"cannot decode content: {error}"
            raise UsageError(message) from error
        if self.max_bytes < 0:
            message = f"max_bytes must not be negative, got {self.max_bytes}"
            raise UsageError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """Everything a watch can be told; the defaults suit a bot that reacts to files.

    Raises:
        UsageError: A value is out of its range; the message names it.
    """

    recursive: bool = True
    """Watch folders below the location too; else its direct entries only."""
    existing: bool = False
    """First deliver what is already there, with ``existing=True`` on the events."""
    state: Path | None = None
    """File that keeps what was delivered, so that the next start delivers what changed since."""
    settle: float = 0.0
    """Hold a created or updated file until its writer closed it or it was quiet for so many
    seconds; 0 delivers at once."""
    settle_max: float | None = None
    """Never hold longer than this, in seconds; ``None`` is ten times ``settle``."""
    metadata: bool = False
    """Also report changes of mode and owner. Costs one stat per file at the start."""
    transient: bool = False
    """Also report what came and went between two looks, where the backend saw it."""
    follow_symlinks: bool = False
    """Follow symlinks to folders inside the tree, each real folder once."""
    own: OwnPolicy = "drop"
    """Events caused by limpet's own output in this process: drop them, mark them, or keep them
    like any other."""
    content: ContentOptions | None = None
    """Put the content into created and updated events of files; ``None`` does not."""
    include: tuple[str, ...] = ()
    """If not empty, only files that match one of these globs (gitignore syntax, relative to the
    location) are reported; folders always are."""
    exclude: tuple[str, ...] = ()
    """Files and folders that match one of these globs are left out, with all that is in them."""
    ignore_file: str | None = None
    """Name of a file in gitignore syntax that is honoured wherever it lies in the tree, or the
    absolute path of one; read again when it changes."""
    default_ignores: bool = True
    """Leave out partial downloads, editor swap files and system droppings."""
    backend: BackendName = "auto"
    filesystem_mark: bool = False
    """With fanotify and CAP_SYS_ADMIN, mark each file system as a whole instead of every folder: a
    start that marks nothing but once, at the price of hearing of the whole file system. Without
    the right to, folders are marked one by one. Done by itself where the marks run out."""
    poll_interval: float = 1.0
    """Seconds between two looks where the system gives no hints."""
    rescan_interval: float | None = None
    """Look at everything again every so many seconds, whatever the backend says; ``None`` never."""

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if self.own not in get_args(OwnPolicy):
            message = f"own must be one of {', '.join(get_args(OwnPolicy))}, not {self.own!r}"
            raise UsageError(message)
        if self.backend not in get_args(BackendName):
            known = ", ".join(get_args(BackendName))
            message = f"backend must be one of {known}, not {self.backend!r}"
            raise UsageError(message)
        for name, value, least in (
            ("settle", self.settle, 0.0),
            ("settle_max", self.settle_max, 0.0),
            ("poll_interval", self.poll_interval, 0.001),
            ("rescan_interval", self.rescan_interval, 0.001),
        ):
            if value is not None and not (math.isfinite(value) and value >= least):
                message = f"{name} must be at least {least:g} seconds, got {value!r}"
                raise UsageError(message)

    @property
    def sizes(self) -> bool:
        """Whether files must be looked at when the watch begins, not only named."""
        return self.metadata or (self.content is not None and self.content.appended)

    @property
    def settle_limit(self) -> float:
        """Longest time a file is held back, in seconds."""
        return 10 * self.settle if self.settle_max is None else self.settle_max
