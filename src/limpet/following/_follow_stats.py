"""Figures of a follower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limpet.following._follower_state import FollowerState


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowStats:
    """Figures of a follower, for operators and tests."""

    paths: int
    """Paths followed, those that match a glob included."""
    generations: int
    """Files being read, rotated ones included."""
    open_files: int
    pinned_bytes: int
    """Bytes of deleted files that are held open."""
    backlog: int
    """Bytes known to be there and not read."""
    bytes_read: int
    lines: int
    """Lines read."""
    passes: int
    """Passes over the files."""
    gaps: int
    gap_bytes: int
    """Bytes reported as gaps."""
    truncations: int
    lost_bytes: int
    """Bytes reported as lost by truncation."""
    saves: int
    """Times the checkpoint was saved."""
    events_dropped: int
    """Informing events (a file appeared, was rotated) that were dropped because nobody consumed
    them."""
    last_error: str


def stats_of(state: FollowerState, saves: int) -> FollowStats:
    """Return the figures; while the follower's thread runs they may be of two moments."""
    counters = state.counters
    files = list(state.files.values())
    return FollowStats(
        paths=len(state.paths),
        generations=len(files),
        open_files=len(state.held),
        pinned_bytes=sum(file.size for file in files if file.fd is not None and not file.nlink),
        backlog=sum(file.backlog for file in files),
        bytes_read=counters.bytes_read,
        lines=counters.lines,
        passes=counters.passes,
        gaps=counters.gaps,
        gap_bytes=counters.gap_bytes,
        truncations=counters.truncations,
        lost_bytes=counters.lost_bytes,
        saves=saves,
        events_dropped=state.events.dropped,
        last_error=counters.last_error,
    )
