"""Following files that grow: ``follow``, and the events that it delivers.

The package is not called ``follow`` because ``limpet.follow`` is the function.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from limpet._lazy_names import lazy_names
from limpet._option_fields import options_from, path_of
from limpet.following._follow_events import (
    Accessible,
    Appeared,
    Appended,
    CaughtUp,
    CheckpointCorrupt,
    Content,
    FollowEvent,
    Gap,
    GapKind,
    Gone,
    Inaccessible,
    Line,
    Replaced,
    Retired,
    Rotated,
    Truncated,
    TruncationKind,
    WatchDegraded,
)
from limpet.following._follow_options import FollowOptions, Start
from limpet.following._position import Position

if TYPE_CHECKING:
    from limpet.config import BackendName
    from limpet.following._follow_stats import FollowStats
    from limpet.following._follower import Follower
    from limpet.following._line_splitter import LongLines
    from limpet.following._sync_follower import SyncFollower

__all__ = [
    "Accessible",
    "Appeared",
    "Appended",
    "CaughtUp",
    "CheckpointCorrupt",
    "Content",
    "FollowEvent",
    "FollowOptions",
    "FollowStats",
    "Follower",
    "Gap",
    "GapKind",
    "Gone",
    "Inaccessible",
    "Line",
    "Options",
    "Position",
    "Replaced",
    "Retired",
    "Rotated",
    "Start",
    "SyncFollower",
    "Truncated",
    "TruncationKind",
    "WatchDegraded",
    "follow",
]


class Options(TypedDict, total=False):
    """The keyword arguments of ``follow``; ``FollowOptions`` explains each."""

    start: Start | Position | None
    last: int
    fallback: Literal["end", "beginning", "last"]
    ignore_older: float | None
    state: str | os.PathLike[str] | None
    commit: Literal["auto", "manual"]
    on_corrupt: Literal["start", "raise"]
    durability: Literal["fsync", "rename", "none"]
    rotated: str | None
    mode: Literal["lines", "chunks", "whole"]
    encoding: str | None
    errors: str
    delimiter: bytes | None
    keep_cr: bool
    max_line: int
    on_long: LongLines
    flush_partial: float | None
    max_bytes: int
    settle: float
    linger: float
    order: Literal["prompt", "strict"]
    retire: Literal["idle", "no-writer"]
    on_trim: Literal["restart", "keep"]
    on_rewrite: Literal["restart", "keep"]
    max_open: int
    max_generations: int
    unlinked_timeout: float
    follow_symlinks: bool | Literal["same-owner"]
    safety: float
    backend: BackendName
    poll_interval: float
    until: Literal["eof", "retired"] | None


def follow(
    path: str | os.PathLike[str], *more: str | os.PathLike[str], **options: Unpack[Options]
) -> Follower:
    """Follow files that grow: return each line that is added, once, across rotation.

    ```python
    async for line in limpet.follow("/var/log/app.log", state="app.state"):
        print(line.text)
    ```

    The file need not exist. A text with wildcards is a glob, and files that match it later are
    read from their beginning; a ``Path`` is never a glob. Nothing is started before the follower is
    iterated, or entered with ``async with``.

    Args:
        path: File or glob to follow.
        *more: Further ones.
        **options: See ``limpet.FollowOptions``.

    Raises:
        UsageError: A path is empty or contains a NUL, or an option is out of its range.
    """
    from limpet.following._follower import Follower

    return Follower((path, *more), make_options(dict(options)))


def make_options(given: dict[str, Any]) -> FollowOptions:
    """Return checked options.

    Raises:
        UsageError: An option does not exist or is out of its range.
    """
    if given.get("state") is not None:
        given["state"] = path_of("state", given["state"])
    return options_from(FollowOptions, given)


if not TYPE_CHECKING:  # the checker has the imports above; the engine is loaded when it is used
    __getattr__, __dir__ = lazy_names(
        globals(),
        {
            "FollowStats": "limpet.following._follow_stats",
            "Follower": "limpet.following._follower",
            "SyncFollower": "limpet.following._sync_follower",
        },
        {},
    )
