"""Watching: ``watch_dir`` and ``watch_file`` for one place, ``watch`` for several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Unpack

from limpet._lazy_names import homes, lazy_names
from limpet._option_fields import path_of
from limpet._option_signature import options_of, shows_options
from limpet.config import WatchOptions
from limpet.events import Event
from limpet.watching._keywords import Options, options_of_place
from limpet.watching._load_all import load_all
from limpet.watching._selection import selection
from limpet.watching._sync_watch import SyncWatch
from limpet.watching._unacked import Unacknowledged
from limpet.watching._watch import Watch
from limpet.watching._watch_stats import WatchStats
from limpet.watching._watcher import Watcher, make_router
from limpet.watching.emit._content import with_content
from limpet.watching.emit._own_writes import own_write
from limpet.watching.index._entry_record import RACY_NS

if TYPE_CHECKING:
    from limpet.watching._by_clock import watcher_by_clock
    from limpet.watching._explanation import Explanation, Reason
    from limpet.watching._multi_watch import MultiWatch
    from limpet.watching._places import Dir, File
    from limpet.watching._several import explain, watch
    from limpet.watching._spread import spread
    from limpet.watching._sync_multi_watch import SyncMultiWatch

__all__ = [
    "RACY_NS",
    "Dir",
    "Explanation",
    "File",
    "MultiWatch",
    "Options",
    "Reason",
    "SyncMultiWatch",
    "SyncWatch",
    "Unacknowledged",
    "Watch",
    "WatchStats",
    "Watcher",
    "explain",
    "load_all",
    "make_router",
    "own_write",
    "spread",
    "watch",
    "watch_dir",
    "watch_file",
    "watcher_by_clock",
    "with_content",
]
"""For users: those that ``limpet`` has too. The others are for limpet's own parts."""


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
    checked = options_of_place(dict(options), "dir")
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


if not TYPE_CHECKING:  # most programs watch one place
    __getattr__, __dir__ = lazy_names(
        globals(),
        homes(
            {
                "limpet.watching._by_clock": "watcher_by_clock",
                "limpet.watching._explanation": "Explanation Reason",
                "limpet.watching._multi_watch": "MultiWatch",
                "limpet.watching._places": "Dir File",
                "limpet.watching._several": "explain watch",
                "limpet.watching._spread": "spread",
                "limpet.watching._sync_multi_watch": "SyncMultiWatch",
            }
        ),
        {},
    )
