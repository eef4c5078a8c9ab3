"""Reports the own writes of one batch to the watches of this process.

A watch subscribes to the registry of own writes. While no watch is subscribed, the output collects
nothing.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import ClassVar

from limpet import _own_write_registry as registry
from limpet._own_write_registry import ANY, State


def state_of(found: os.stat_result | None) -> State | None:
    """Return what distinguishes one state of a name from another; ``None`` if nothing is there."""
    if found is None:
        return None
    if stat.S_ISDIR(found.st_mode):
        return (found.st_ino,)
    ctime = 0 if sys.platform == "win32" else found.st_ctime_ns  # as the watch has it
    return (found.st_ino, found.st_size, found.st_mtime_ns, ctime)


class NoReport:
    """The report while no watch runs: nothing is sent."""

    is_active: ClassVar[bool] = False
    """Whether a watch receives it, so that finding out what to report is worth it."""

    def begin(self, parts: tuple[str, ...]) -> None:
        """Announce a change of a name: watches put off examining it."""

    def wrote(self, parts: tuple[str, ...], before: State | None, after: State | None) -> None:
        """Report what a name was, and what it is by this process alone."""

    def moved(self, parts: tuple[str, ...], after: State | None) -> None:
        """Report a name that a rename brought here with the state it had."""

    def unsure(self, parts: tuple[str, ...]) -> None:
        """Report that another process changed the name too: its state is not by us alone."""

    def close(self) -> None:
        """Send all of it to the watches."""


class OwnWriteReport(NoReport):
    """The own writes of one batch, announced one by one and reported as one."""

    is_active: ClassVar[bool] = True

    def __init__(self, bases: tuple[str, ...], *, is_brief: bool) -> None:
        self._bases = bases
        self._is_brief = is_brief
        self._begun: set[str] = set()
        self._notes: list[tuple[str, State | None, State | None]] = []
        self._unsure: set[str] = set()

    def _paths(self, parts: tuple[str, ...]) -> list[str]:
        return [os.path.join(base, *parts) for base in self._bases]

    def begin(self, parts: tuple[str, ...]) -> None:
        new = [path for path in self._paths(parts) if path not in self._begun]
        if new:
            registry.begin(new, is_brief=self._is_brief)
            self._begun.update(new)

    def wrote(self, parts: tuple[str, ...], before: State | None, after: State | None) -> None:
        self._notes += [(path, before, after) for path in self._paths(parts)]

    def moved(self, parts: tuple[str, ...], after: State | None) -> None:
        self._notes += [(path, ANY, after) for path in self._paths(parts)]

    def unsure(self, parts: tuple[str, ...]) -> None:
        self._unsure.update(self._paths(parts))

    def close(self) -> None:
        if self._begun or self._notes:
            registry.end(self._begun, self._notes, self._unsure, is_brief=self._is_brief)


def open_report(bases: tuple[str, ...], *, is_brief: bool = True) -> NoReport:
    """Return the report of one batch, or of something that takes long.

    RACE: a watch that starts while a batch without a report is under way takes the last changes of
    that batch for another process's. The window is one batch, once; to close it, start the watch
    first.
    """
    if not registry.has_subscribers():
        return NoReport()
    return OwnWriteReport(bases, is_brief=is_brief)


def watched_with_keep(path: str) -> bool:
    """Return whether a running watch delivers own writes below ``path`` like any other change."""
    return registry.kept_at(path)
