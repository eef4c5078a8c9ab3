"""A folder's rename as renames of all that is in it, for consumers that know files only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from limpet import events as ev
from limpet._file_stat import file_stat
from limpet.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def spread(event: Event) -> list[Event]:
    """Return the event and, of a renamed folder, one renamed event for each entry now in it.

    Parents come first. The entries are read from the disk, which takes as long as a listing: what
    came or went since the rename is there or missing, and has events of its own. All have the
    number of the event they are made from. Any other event is returned alone.
    """
    if not isinstance(event, ev.DirRenamed):
        return [event]
    return [event, *_below(event, event.path)]


def _below(event: ev.DirRenamed, directory: Path) -> Iterator[Event]:
    try:
        with os.scandir(directory) as found:
            entries = sorted(found, key=lambda one: one.name)
    except OSError:  # it has gone or changed since: its own events say so
        return
    for entry in entries:
        path = directory / entry.name
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        stat = file_stat(status)
        made = ev.DirRenamed if stat.kind == "dir" else ev.FileRenamed
        yield made(
            location=event.location,
            time=event.time,
            seq=event.seq,
            origin=event.origin,
            path=path,
            source=event.source / path.relative_to(event.path),
            kind=stat.kind,
            own=event.own,
            who=event.who,
            stat=stat,
            previous=None,
        )
        if stat.kind == "dir":
            yield from _below(event, path)
