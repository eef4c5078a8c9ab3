"""Which changes on disk are this process's own, told to the watches that run in it.

A watch subscribes to the registry of own writes. While none does, there is nobody to report to, and
the output does not find out what it would report.
"""

from __future__ import annotations

import os
import stat
from typing import ClassVar

from limpet import _own_write_registry as registry
from limpet._own_write_registry import State

__all__ = ["Journal", "Silent", "open_journal", "state_of", "watched_with_keep"]


def state_of(found: os.stat_result | None) -> State | None:
    """Give what tells one state of a name from another; ``None`` of nothing."""
    if found is None:
        return None
    if stat.S_ISDIR(found.st_mode):
        return (found.st_ino,)
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Silent:
    """No watch runs: there is nobody to tell."""

    told: ClassVar[bool] = False
    """Whether anybody hears of it, so that it is worth finding out what to tell."""

    def claim(self, parts: tuple[str, ...]) -> None:
        """Before a name is changed: watches put off looking at it."""

    def note(self, parts: tuple[str, ...], before: State | None, after: State | None) -> None:
        """After it was changed: what it was, and what it is by our doing and nobody else's."""

    def moved(self, parts: tuple[str, ...], after: State | None) -> None:
        """As ``note``, for what came here by a rename and brought its state along."""

    def spoil(self, parts: tuple[str, ...]) -> None:
        """Somebody else had a hand in it: what is found there is not ours alone."""

    def close(self) -> None:
        """Tell the watches."""


class Journal(Silent):
    """One batch of operations, claimed and then told as one."""

    told: ClassVar[bool] = True

    def __init__(self, bases: tuple[str, ...]) -> None:
        """Start with nothing; ``bases`` are the spellings of the root's path."""
        self._bases = bases
        self._claimed: set[str] = set()
        self._notes: list[tuple[str, State | None, State | None]] = []
        self._arrived: list[tuple[str, State | None]] = []
        self._unsure: set[str] = set()

    def _paths(self, parts: tuple[str, ...]) -> list[str]:
        return [os.path.join(base, *parts) for base in self._bases]

    def claim(self, parts: tuple[str, ...]) -> None:
        """As ``Silent`` says."""
        new = [path for path in self._paths(parts) if path not in self._claimed]
        if new:
            registry.begin(new)
            self._claimed.update(new)

    def note(self, parts: tuple[str, ...], before: State | None, after: State | None) -> None:
        """As ``Silent`` says."""
        self._notes += [(path, before, after) for path in self._paths(parts)]

    def moved(self, parts: tuple[str, ...], after: State | None) -> None:
        """As ``Silent`` says."""
        self._notes += [(path, (), after) for path in self._paths(parts)]

    def spoil(self, parts: tuple[str, ...]) -> None:
        """As ``Silent`` says."""
        self._unsure.update(self._paths(parts))

    def close(self) -> None:
        """As ``Silent`` says."""
        if self._claimed or self._notes:
            registry.end(self._claimed, self._notes, self._unsure)


def open_journal(bases: tuple[str, ...]) -> Silent:
    """Give the journal of one batch.

    RACE: a watch that starts while a batch without one is under way takes the batch's last changes
    for somebody else's. The window is one batch, once; nothing closes it but starting the watch
    first.
    """
    return Journal(bases) if registry.has_subscribers() else Silent()


def watched_with_keep(path: str) -> bool:
    """Whether a running watch delivers changes below ``path`` as if they were not our own."""
    return registry.kept_at(path)
