"""Figures of an inbox."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxStats:
    """Figures of an inbox in this process, for operators and tests."""

    waiting: int
    """Names that wait to be examined: new ones, and those that wait for another try."""
    active: int
    """Jobs that are open."""
    retrying: int
    """Jobs that have failed and wait for another try."""
    done: int
    retried: int
    """Tries that have failed and were not the last."""
    failed: int
    """Jobs that were put into ``failed``."""
    oldest: float | None
    """When the oldest open job was begun, in Unix seconds."""
    last_done: float | None
