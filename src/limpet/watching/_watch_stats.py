"""Figures of a watch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchStats:
    """Figures of a watch, for operators and tests."""

    backend: str
    """``fanotify``, ``inotify``, ``windows``, ``watchfiles`` or ``poll``."""
    marks: int
    """Directories this watch has marked in the kernel, those on the way to the location included.
    """
    polled: int
    """Directories that must be scanned in intervals."""
    entries: int
    """Entries in the index."""
    scans: int
    """Number of examinations."""
    rescans: int
    """Number of full scans after the first."""
    dirty: int
    """Names with hints that wait for the next examination."""
    held: int
    """Files held by debounce."""
    events: int
    """Events made since the start."""
    speedups: str
    """``compiled`` or ``python``: which form runs of the functions that are there twice."""
