"""Watching a location: ``watch_dir`` and ``watch_file``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Literal, TypedDict, Unpack

from limpet._option_fields import options_from, path_of, texts_of
from limpet._option_signature import options_of, shows_options
from limpet.config import BackendName, ContentOptions, OwnPolicy, SettleUntil, WatchOptions
from limpet.errors import UsageError
from limpet.watching._load_all import load_all
from limpet.watching._sync_watch import SyncWatch
from limpet.watching._unacked import Unacknowledged
from limpet.watching._watch import Watch
from limpet.watching._watcher import Watcher, WatchStats, make_router
from limpet.watching.emit._content import with_content
from limpet.watching.emit._own_writes import own_write
from limpet.watching.index._entry_record import RACY_NS

__all__ = [
    "RACY_NS",
    "Options",
    "SyncWatch",
    "Unacknowledged",
    "Watch",
    "WatchStats",
    "Watcher",
    "load_all",
    "make_router",
    "own_write",
    "watch_dir",
    "watch_file",
    "with_content",
]
"""For users: those that ``limpet`` has too. The others are for limpet's own parts."""


class Options(TypedDict, total=False):
    """The keyword arguments of ``watch_dir`` and ``watch_file``; ``WatchOptions`` explains each."""

    must_exist: bool
    recursive: bool
    existing: bool
    state: str | os.PathLike[str] | None
    settle: float
    settle_max: float | None
    settle_until: SettleUntil
    settle_dir: float
    metadata: bool
    transient: bool
    follow_symlinks: bool
    own: OwnPolicy
    content: ContentOptions | Literal["r", "rb"] | None
    include: str | Iterable[str]
    exclude: str | Iterable[str]
    ignore_file: str | None
    default_ignores: bool
    backend: BackendName
    filesystem_mark: bool
    gather: float
    poll_interval: float
    rescan_interval: float | None


@shows_options(Options, options_of(WatchOptions))
def watch_dir(path: str | os.PathLike[str], **options: Unpack[Options]) -> Watch:
    """Watch what is in the folder at ``path``, whatever happens to the folder meanwhile.

    ```python
    async with limpet.watch_dir("inbox") as watch:
        async for event in watch:
            print(event)
    ```

    The folder need not exist. A relative path is made absolute; a symlink in it is followed again
    each time. Nothing happens before the block is entered.

    Args:
        path: The location.
        **options: ``limpet.WatchOptions`` explains each.

    Raises:
        UsageError: ``path`` is not a path, is empty or has a NUL, or an option does not exist, is
            of another type or out of its range; the message names it.
    """
    return Watch(path_of("path", path), _options(dict(options)), "dir")


@shows_options(Options, (one for one in options_of(WatchOptions) if one.name != "settle_dir"))
def watch_file(path: str | os.PathLike[str], **options: Unpack[Options]) -> Watch:
    """Watch the one file at ``path``, whichever inode is there; its siblings are never reported.

    Every event is a target event. Otherwise as ``watch_dir``.

    Args:
        path: The location.
        **options: ``limpet.WatchOptions`` explains each.

    Raises:
        UsageError: ``path`` is not a path, is empty or has a NUL, or an option does not exist, is
            of another type, out of its range or for folders; the message names it.
    """
    checked = _options(dict(options))
    if checked.settle_dir:
        message = "settle_dir is for folders: watch_dir has it, watch_file does not"
        raise UsageError(message)
    return Watch(path_of("path", path), checked, "file")


def _options(given: dict[str, Any]) -> WatchOptions:
    for name in ("include", "exclude"):
        if name in given:
            given[name] = texts_of(name, given[name])
    content = given.get("content")
    if isinstance(content, str) and content in {"r", "rb"}:
        given["content"] = options_from(ContentOptions, {"mode": content})
    if given.get("state") is not None:
        given["state"] = path_of("state", given["state"])
    if isinstance(given.get("ignore_file"), os.PathLike):
        given["ignore_file"] = os.fspath(given["ignore_file"])
    return options_from(WatchOptions, given)
