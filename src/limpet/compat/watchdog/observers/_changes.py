"""From limpet's events to those that handlers of watchdog are called with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from limpet import events as ev
from limpet.compat.watchdog._event_types import (
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
)
from limpet.watching import spread

_ATTRIBUTES = frozenset(("mode", "owner"))


def events_of(event: ev.Event, given: str, *, recursive: bool) -> Iterator[FileSystemEvent]:
    """Yield what an event of limpet is to handlers.

    Of what came, went or was renamed, the directory it is in is modified, too; a file that came
    with content was modified after it was created. What is in a renamed directory follows as
    synthetic events, which takes a listing.

    Args:
        event: Of one place.
        given: The path of the place, as the program spells it; paths of events begin so.
        recursive: The place is watched with all below it.
    """
    if not isinstance(event, ev.EntryEvent) or isinstance(event, ev.DirSettled):
        return
    path = _spell(event.path, event.location, given)
    if isinstance(event, ev.FileRenamed | ev.DirRenamed):
        old = _spell(event.source, event.location, given)
        made = DirMovedEvent if isinstance(event, ev.DirRenamed) else FileMovedEvent
        yield made(old, path)
        inside = spread(event)[1:] if recursive else []
        yield from _parents(event, old, path)
        for one in inside:
            if isinstance(one, ev.FileRenamed | ev.DirRenamed):
                made = DirMovedEvent if isinstance(one, ev.DirRenamed) else FileMovedEvent
                yield made(
                    _spell(one.source, one.location, given),
                    _spell(one.path, one.location, given),
                    is_synthetic=True,
                )
        return
    yield _class_of(event)(path)
    if not isinstance(event, ev.FileUpdated | ev.DirUpdated):
        yield from _parents(event, path)
    if isinstance(event, ev.FileCreated) and event.kind == "file" and event.stat.size:
        yield FileModifiedEvent(path)


def closes_of(event: ev.Event, given: str) -> Iterator[FileSystemEvent]:
    """Yield that a file was closed, for an event that was held until its writer closed it."""
    if not isinstance(event, ev.FileCreated | ev.FileUpdated) or event.kind != "file":
        return
    if isinstance(event, ev.FileCreated) or not event.changes <= _ATTRIBUTES:
        yield FileClosedEvent(_spell(event.path, event.location, given))


def _parents(event: ev.EntryEvent, *paths: str) -> Iterator[DirModifiedEvent]:
    """Yield the directories that have other entries than before, each once."""
    if not isinstance(event, ev.TargetEvent):
        for parent in dict.fromkeys(os.path.dirname(one) for one in paths):
            yield DirModifiedEvent(parent)


def _spell(path: Path, location: Path, given: str) -> str:
    return given if path == location else os.path.join(given, os.path.relpath(path, location))


def _class_of(event: ev.EntryEvent) -> type[FileSystemEvent]:
    is_dir = isinstance(event, ev.DirEvent)
    if isinstance(event, ev.FileCreated | ev.DirCreated):
        return DirCreatedEvent if is_dir else FileCreatedEvent
    if isinstance(event, ev.FileDeleted | ev.DirDeleted):
        return DirDeletedEvent if is_dir else FileDeletedEvent
    if isinstance(event, ev.DirUpdated):
        return DirAttribEvent
    if isinstance(event, ev.FileUpdated) and event.changes and event.changes <= _ATTRIBUTES:
        return FileAttribEvent
    return FileModifiedEvent
