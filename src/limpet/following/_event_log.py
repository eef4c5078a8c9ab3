"""Events of a follower that iterates lines go to the log."""

from __future__ import annotations

import logging
from typing import Final

from limpet.following._follow_events import (
    CheckpointCorrupt,
    Content,
    FollowEvent,
    Gap,
    Inaccessible,
    Truncated,
    WatchDegraded,
)

__all__ = ["report"]


_log: Final = logging.getLogger("limpet.follow")


def report(event: FollowEvent) -> None:
    """Log what those who only want lines would not learn otherwise."""
    if isinstance(event, Gap | Truncated | Inaccessible | CheckpointCorrupt | WatchDegraded):
        _log.warning("%r", event)
    elif isinstance(event, Content):
        _log.warning("%s: mode='whole' gives events, not lines: use events()", event.path)
