"""Events of another host in the classes that triggers match, with paths of that host.

Such a path has a name, a suffix and a parent like any other, prints as ``host:path``, and raises
when a program tries to open it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, NoReturn, cast

from limpet._wire import from_wire
from limpet.bot.events._input_events import FileSystemInputEvent, wrap
from limpet.events import EntryEvent, Event, Rescanned
from limpet.remote import RemoteEvent, RemotePath, RemotePathError


@lru_cache(maxsize=256)
def _class_for(host: str, base: type[PurePath]) -> type[PurePath]:
    """Create the class of one host's paths; paths derived from one of them have it, too."""

    class HostPath(base):  # type: ignore[valid-type, misc]  # made for each host
        """A path of another host; it cannot be opened here."""

        __slots__ = ()

        def __str__(self) -> str:
            return f"{host}:{super().__str__()}" if self.is_absolute() else super().__str__()

        def __fspath__(self) -> NoReturn:
            message = (
                f"{self} is on another host and cannot be opened here: let the event carry its "
                "content (option content of the watch in that host's agent)"
            )
            raise RemotePathError(message)

        def __reduce__(self) -> tuple[Any, ...]:
            return _host_path, (host, base is PureWindowsPath, self.parts)

    return HostPath


def _host_path(host: str, windows: bool, parts: tuple[str, ...]) -> PurePath:  # noqa: FBT001
    return _class_for(host, PureWindowsPath if windows else PurePosixPath)(*parts)


def host_path(path: RemotePath) -> PurePath:
    """Return a pure path of another host."""
    pure = path.pure
    return _class_for(path.host, type(pure))(*pure.parts)


def to_local_event(
    event: RemoteEvent, io: str, content: str | bytes | None
) -> FileSystemInputEvent:
    """Return an event of another host in the class that mewbot's triggers match."""
    made = wrap(_event(event, content), io, event.session)
    made.remote = event
    return made


def _event(event: RemoteEvent, content: str | bytes | None) -> Event:
    root = _host_path(event.host, windows=False, parts=("/",))
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
