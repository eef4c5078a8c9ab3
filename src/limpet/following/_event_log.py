"""The log for events that an iteration of lines does not return."""

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

_log: Final = logging.getLogger("limpet.follow")


def report(event: FollowEvent) -> None:
    """Log an event that means lost or delayed lines."""
    if isinstance(event, Gap | Truncated | Inaccessible | CheckpointCorrupt | WatchDegraded):
        _log.warning("%r", event)
    elif isinstance(event, Content):
        _log.warning("%s: mode='whole' returns events, not lines: use events()", event.path)
