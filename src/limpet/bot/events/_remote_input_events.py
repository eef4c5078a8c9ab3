"""Events of another host in the classes that triggers match, with paths of that host.

Such a path has a name, a suffix and a parent like any other, prints as ``host:path``, and raises
when a program tries to open it.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, Final, NoReturn, cast

from limpet import events as ev
from limpet.bot.events._input_events import FileSystemInputEvent, wrap
from limpet.events import Event, FileStat, event_name
from limpet.remote import RemoteEvent, RemotePath, RemotePathError

__all__ = ["host_path", "to_local_event"]

_CLASSES: Final = {
    (event_name(kind), issubclass(kind, ev.TargetEvent)): kind
    for kind in (
        ev.FileCreated, ev.FileUpdated, ev.FileRenamed, ev.FileDeleted,
        ev.DirCreated, ev.DirUpdated, ev.DirRenamed, ev.DirDeleted,
        ev.TargetFileCreated, ev.TargetFileUpdated, ev.TargetFileDeleted,
        ev.TargetDirCreated, ev.TargetDirUpdated, ev.TargetDirDeleted,
    )
}  # fmt: skip


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
    """Return an event of another host in the class that mewbot's triggers match.

    Args:
        event: The event; it is ``remote`` of the one returned.
        io: The name of the ``RemoteFileSystem``.
        content: The content of the file, if the event carries it.
    """
    made = wrap(_event(event, content), io, event.session)
    made.remote = event
    return made


def _event(event: RemoteEvent, content: str | bytes | None) -> Event:
    data = event.data
    target = data.get("scope") == "target"
    kind = _CLASSES.get((event.type, target)) or _CLASSES.get((event.type, False))
    root = _path(event.root, event.host)
    common: dict[str, Any] = {
        "location": root,
        "time": event.time,
        "seq": max(1, event.seq),
        "origin": event.origin,
    }
    if kind is None or event.path is None:
        return ev.Rescanned(**common, reason="overflow")
    sent = data.get("content")
    content_mode = sent.get("mode", "r") if isinstance(sent, dict) else None
    content_error = (
        sent.get("reason", "error") if isinstance(sent, dict) and content is None else None
    )
    now, before = _stat(data.get("stat"), data), _stat(data.get("last_known"), data)
    known = now or before or _stat({}, data)
    changes = data.get("changes")
    fields: dict[str, Any] = {
        **common,
        "path": _path(event.path, event.host),
        "own": False,
        "kind": known.kind if known is not None else "file",
        "stat": known,
        "previous": before,
        "existing": bool(data.get("existing")),
        "transient": bool(data.get("transient")),
        "changes": frozenset(changes if isinstance(changes, list) else ["content"]),
        "source": _path(event.source or event.path, event.host),
        "replaced": None,
        "reason": data.get("reason", "deleted"),
        "content": content if content_mode else None,
        "content_mode": content_mode,
        "content_error": content_error,
    }
    names = {item.name for item in dataclasses.fields(kind) if item.init}
    return kind(**{name: value for name, value in fields.items() if name in names})


def _path(path: RemotePath | None, host: str) -> Path:
    """Return a path of another host where a local one is expected; it cannot be opened."""
    found = _host_path(host, windows=False, parts=("/",)) if path is None else host_path(path)
    return cast("Path", found)


def _stat(found: object, data: Any) -> FileStat | None:  # noqa: ANN401 - a JSON object
    if not isinstance(found, dict):
        return None
    entry = str(data.get("entry", "file"))
    form = {"dir": 0o040000, "symlink": 0o120000}.get(entry, 0o100000)
    kind = entry if entry in {"file", "dir", "symlink"} else "other"

    def seconds(key: str) -> float:
        return float(found.get(key, 0)) / 1e6

    return FileStat(
        size=int(found.get("size", 0)),
        mtime=seconds("mtime_us"),
        ctime=seconds("ctime_us"),
        birthtime=seconds("birthtime_us") if "birthtime_us" in found else None,
        mode=form | int(str(found.get("mode", "0")), 8),
        uid=int(found.get("uid", 0)),
        gid=int(found.get("gid", 0)),
        inode=int(found.get("ino", 0)),
        device=int(found.get("dev", 0)),
        kind=cast("Any", kind),
    )
