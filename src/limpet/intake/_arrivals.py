"""From the events of a watch to the names that may be jobs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from limpet.events import (
    Degraded,
    DirDeleted,
    DirRenamed,
    DirSettled,
    Event,
    FileCreated,
    FileDeleted,
    FileRenamed,
    FileUpdated,
    TargetDirDeleted,
    TargetEvent,
)
from limpet.intake._inbox_options import InboxOptions
from limpet.intake._intake import Intake
from limpet.watching import Options as WatchKeywords

_SPECIAL: Final = re.compile(r"([\\*?\[\]!# ])")


def watch_keywords(options: InboxOptions, folders_inside: Iterable[str]) -> WatchKeywords:
    """Return the options of the watch of an inbox.

    Own writes are taken like any other: a program may put files into its own inbox.
    """
    wanted = WatchKeywords(
        existing=options.existing,
        own="keep",
        include=options.include,
        exclude=(*options.exclude, *filter(None, map(_glob_of, folders_inside))),
        default_ignores=options.default_ignores,
        backend=options.backend,
        poll_interval=options.poll_interval,
    )
    if options.unit == "dir":
        wanted["settle_dir"] = options.settle
        return wanted
    wanted["recursive"] = options.recursive
    wanted["settle"] = options.settle
    wanted["settle_max"] = options.settle_max
    wanted["settle_until"] = options.settle_until
    return wanted


def _glob_of(folder: str) -> str:
    """Return a glob that matches one folder; nothing where its name is no text."""
    try:
        folder.encode()
    except UnicodeEncodeError:
        return ""
    return "/" + _SPECIAL.sub(r"\\\1", folder)


def note_events(intake: Intake, events: Iterable[Event]) -> None:
    """Take over what happened in the inbox; of what is there at the start, the oldest first."""
    existing: list[FileCreated] = []
    for event in events:
        if isinstance(event, FileCreated) and event.existing:
            existing.append(event)
            continue
        _take_existing(intake, existing)
        _note(intake, event)
    _take_existing(intake, existing)


def _take_existing(intake: Intake, found: list[FileCreated]) -> None:
    for event in sorted(found, key=lambda one: (one.stat.mtime, one.path)):
        if intake.options.unit == "file":
            intake.add(_name(intake.location, event.path), is_held=True)
    found.clear()


def _note(intake: Intake, event: Event) -> None:
    if isinstance(event, TargetDirDeleted):
        intake.clear()
        return
    if isinstance(event, TargetEvent):
        return
    if isinstance(event, Degraded):
        intake.report(f"the watch of {str(event.location)!r} is limited: {event.message}")
        return
    if intake.options.unit == "dir":
        _note_dir(intake, event)
    else:
        _note_file(intake, event)


def _note_file(intake: Intake, event: Event) -> None:
    at = intake.location
    match event:
        case FileCreated() | FileUpdated() if event.kind == "file":
            intake.add(_name(at, event.path))
        case FileRenamed():
            intake.discard(_name(at, event.source))
            if event.kind == "file":
                intake.add(_name(at, event.path))
        case FileDeleted():
            intake.discard(_name(at, event.path))
        case DirRenamed():
            intake.rename(_name(at, event.source), _name(at, event.path))


def _note_dir(intake: Intake, event: Event) -> None:
    at = intake.location
    match event:
        case DirSettled():
            intake.add(_name(at, event.path).partition("/")[0])
        case DirRenamed():
            name = _name(at, event.path)
            intake.discard(_name(at, event.source))
            if "/" not in name:
                intake.add(name, delay=intake.options.settle)
        case DirDeleted():
            intake.discard(_name(at, event.path))


def _name(location: Path, path: Path) -> str:
    return path.relative_to(location).as_posix()
