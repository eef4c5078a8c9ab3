"""Watching: ``watch_dir`` and ``watch_file`` for one place, ``watch`` for several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Unpack

from limpet._option_fields import path_of
from limpet._option_signature import options_of, shows_options
from limpet.config import WatchOptions
from limpet.events import Event
from limpet.watching._keywords import Options
from limpet.watching._load_all import load_all
from limpet.watching._multi_watch import MultiWatch
from limpet.watching._places import (
    Dir,
    File,
    PlaceLike,
    options_of_place,
    place_or_path,
    watch_options,
)
from limpet.watching._selection import selection
from limpet.watching._sync_multi_watch import SyncMultiWatch
from limpet.watching._sync_watch import SyncWatch
from limpet.watching._unacked import Unacknowledged
from limpet.watching._watch import Watch
from limpet.watching._watcher import Watcher, WatchStats, make_router
from limpet.watching.emit._content import with_content
from limpet.watching.emit._own_writes import own_write
from limpet.watching.index._entry_record import RACY_NS

__all__ = [
    "RACY_NS",
    "Dir",
    "File",
    "MultiWatch",
    "Options",
    "SyncMultiWatch",
    "SyncWatch",
    "Unacknowledged",
    "Watch",
    "WatchStats",
    "Watcher",
    "load_all",
    "make_router",
    "own_write",
    "watch",
    "watch_dir",
    "watch_file",
    "with_content",
]
"""For users: those that ``limpet`` has too. The others are for limpet's own parts."""


@shows_options(Options, options_of(WatchOptions))
def watch(
    *places: PlaceLike,
    types: type | Iterable[type] | None = None,
    only: Callable[[Event], object] | None = None,
    **options: Unpack[Options],
) -> MultiWatch:
    """Watch any number of folders and files, with one stream of events.

    ```python
    async with limpet.watch("src", limpet.File("app.toml"), exclude="*.log") as watch:
        async for event in watch:
            print(event)
    ```

    A path that is given alone is taken for what is there when the block is entered; what need not
    exist is given as ``limpet.Dir`` or ``limpet.File``, which also take options of their own. What
    is renamed from one folder into another is one renamed event. Of a place inside another, the
    inner one reports.

    Args:
        *places: Paths, ``limpet.Dir`` and ``limpet.File``; more are added with ``add``.
        types: Classes of events; no others are handed out, also none about the watch itself.
        only: Called with each event, before its content is read and perhaps in another thread: what
            it returns false for is left out. An exception it raises is raised where the event is
            asked for, and the next call goes on.
        **options: Of all places; ``limpet.WatchOptions`` explains each.

    Raises:
        UsageError: A place is not a path, is empty or has a NUL, or an option does not exist, is of
            another type or out of its range; the message names it. When the block is entered:
            nothing is at a path, or two places are the same.
    """
    options_of_place(dict(options), "dir")
    wanted = tuple(place_or_path(one) for one in places)
    return MultiWatch(wanted, dict(options), selection(types, only))


@shows_options(Options, options_of(WatchOptions))
def watch_dir(
    path: str | os.PathLike[str],
    *,
    types: type | Iterable[type] | None = None,
    only: Callable[[Event], object] | None = None,
    **options: Unpack[Options],
) -> Watch:
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
        types: As ``limpet.watch``.
        only: As ``limpet.watch``.
        **options: ``limpet.WatchOptions`` explains each.

    Raises:
        UsageError: ``path`` is not a path, is empty or has a NUL, or an option does not exist, is
            of another type or out of its range; the message names it.
    """
    checked = watch_options(dict(options))
    return Watch(path_of("path", path), checked, "dir", selection(types, only))


@shows_options(Options, (one for one in options_of(WatchOptions) if one.name != "settle_dir"))
def watch_file(
    path: str | os.PathLike[str],
    *,
    types: type | Iterable[type] | None = None,
    only: Callable[[Event], object] | None = None,
    **options: Unpack[Options],
) -> Watch:
    """Watch the one file at ``path``, whichever inode is there; its siblings are never reported.

    Every event is a target event. Otherwise as ``watch_dir``.

    Args:
        path: The location.
        types: As ``limpet.watch``.
        only: As ``limpet.watch``.
        **options: ``limpet.WatchOptions`` explains each.

    Raises:
        UsageError: ``path`` is not a path, is empty or has a NUL, or an option does not exist, is
            of another type, out of its range or for folders; the message names it.
    """
    checked = options_of_place(dict(options), "file")
    return Watch(path_of("path", path), checked, "file", selection(types, only))
