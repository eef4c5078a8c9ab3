"""Events of another host in the classes that triggers match, with paths of that host."""

from __future__ import annotations

from pathlib import Path, PurePath, PureWindowsPath
from typing import Any, cast

from limpet._wire import from_wire
from limpet.bot.events._host_path import make_host_path
from limpet.bot.events._input_events import FileSystemInputEvent, wrap
from limpet.events import EntryEvent, Event, Rescanned
from limpet.remote import RemoteEvent, RemotePath


def host_path(path: RemotePath) -> PurePath:
    """Return a pure path of another host."""
    pure = path.pure
    return make_host_path(path.host, isinstance(pure, PureWindowsPath), pure.parts)


def to_local_event(
    event: RemoteEvent, io: str, content: str | bytes | None
) -> FileSystemInputEvent:
    """Return an event of another host in the class that mewbot's triggers match."""
    made = wrap(_event(event, content), io, event.session)
    made.remote = event
    return made


def _event(event: RemoteEvent, content: str | bytes | None) -> Event:
    root = make_host_path(event.host, windows=False, parts=("/",))
    if event.root is not None:
        root = host_path(event.root)
    paths = {"root": root}
    if event.path is not None:
        paths["path"] = host_path(event.path)
    if event.source is not None:
        paths["old_path"] = host_path(event.source)
    try:
        found = from_wire(event.data, paths=paths, content=content)
    except ValueError:  # an event of the agent, such as a gap
        found = None
    if isinstance(found, EntryEvent):
        return found
    return Rescanned(
        location=cast("Path", root),
        time=event.time,
        seq=max(1, event.seq),
        origin=cast("Any", event.origin),
        reason="overflow",
    )
