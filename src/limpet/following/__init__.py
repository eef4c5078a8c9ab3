"""Following files that grow: ``follow``, and the events that it delivers.

The package is not called ``follow`` because ``limpet.follow`` is the function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy_names import lazy_names
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
from limpet.following._follow_keywords import Options
from limpet.following._follow_options import FollowOptions, Start
from limpet.following._position import Position

if TYPE_CHECKING:
    from limpet.following._follow import follow
    from limpet.following._follow_stats import FollowStats
    from limpet.following._follower import Follower
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


if not TYPE_CHECKING:  # the checker has the imports above; the engine is loaded when it is used
    __getattr__, __dir__ = lazy_names(
        globals(),
        {
            "FollowStats": "limpet.following._follow_stats",
            "Follower": "limpet.following._follower",
            "SyncFollower": "limpet.following._sync_follower",
            "follow": "limpet.following._follow",
        },
        {},
    )
