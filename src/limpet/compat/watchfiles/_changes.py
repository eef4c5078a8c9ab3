"""From limpet's events to the sets of changes that watchfiles gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from enum import IntEnum
from pathlib import Path

from limpet import events as ev
from limpet.watching import spread


class Change(IntEnum):
    """What happened to a path."""

    added = 1
    modified = 2
    deleted = 3

    def raw_str(self) -> str:
        """Return the name."""
        return self.name


FileChange = tuple[Change, str]


class ChangeSet:
    """The changes of one step, each path and kind once.

    A path that was added in it is not also modified: a reader of it finds the last content.
    """

    def __init__(self, spelled: Mapping[Path, str]) -> None:
        """Begin with none.

        Args:
            spelled: Place -> how it was given; paths of changes begin with that.
        """
        self._spelled = spelled
        self.found: set[FileChange] = set()

    def add(self, events: Iterable[ev.Event]) -> None:
        """Add what events say of paths."""
        for event in events:
            for one in spread(event):
                if isinstance(one, ev.FileRenamed | ev.DirRenamed):
                    self._put(Change.deleted, one.source, one)
                    self._put(Change.added, one.path, one)
                elif isinstance(one, ev.EntryEvent) and not isinstance(one, ev.DirSettled):
                    self._put(_change_of(one), one.path, one)

    def _put(self, change: Change, path: Path, event: ev.Event) -> None:
        text = self._spell(path, event.location)
        if change is Change.modified and (Change.added, text) in self.found:
            return
        self.found.add((change, text))

    def _spell(self, path: Path, location: Path) -> str:
        if not path.is_relative_to(location):  # the old name, in another of the places
            inside = [one for one in self._spelled if path.is_relative_to(one)]
            location = max(inside, key=lambda one: len(one.parts), default=location)
        given = self._spelled.get(location, os.fspath(location))
        if path == location:
            return given
        return os.path.join(given, os.path.relpath(path, location))


def _change_of(event: ev.EntryEvent) -> Change:
    if isinstance(event, ev.FileCreated | ev.DirCreated):
        return Change.added
    if isinstance(event, ev.FileDeleted | ev.DirDeleted):
        return Change.deleted
    return Change.modified
