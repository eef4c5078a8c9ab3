"""Events of another host in the classes that triggers and actions know, with paths that stay there.

A path of another host has a name, a suffix and a parent like any other, prints as ``host:path``,
and raises when a program tries to open it.
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

__all__ = ["local_form", "pure_of"]

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
    """Make the class of one host's paths; what is derived from one of them is one, too."""

    class HostPath(base):  # type: ignore[valid-type, misc]  # made for each host
        """A path of another host, which cannot be opened here."""

        __slots__ = ()

        def __str__(self) -> str:
            return f"{host}:{super().__str__()}" if self.is_absolute() else super().__str__()

        def __fspath__(self) -> NoReturn:
            message = (
                f"{self} lies on another host and cannot be opened here: have its content come "
                "with the event (content of the watch in that host's agent)"
            )
            raise RemotePathError(message)

        def __reduce__(self) -> tuple[Any, ...]:
            return _again, (host, base is PureWindowsPath, self.parts)

    return HostPath


def _again(host: str, windows: bool, parts: tuple[str, ...]) -> PurePath:  # noqa: FBT001
    return _class_for(host, PureWindowsPath if windows else PurePosixPath)(*parts)


def pure_of(path: RemotePath) -> PurePath:
    """Give a path that behaves like any pure path, and is another host's."""
    pure = path.pure
    return _class_for(path.host, type(pure))(*pure.parts)


def local_form(event: RemoteEvent, io: str, content: str | bytes | None) -> FileSystemInputEvent:
    """Give an event of another host in the class that mewbot's triggers look for.

    ``remote`` of it is the event as it came.
    """
    made = wrap(_event(event, content), io, event.session)
    made.__dict__["remote"] = event
    return made


def _event(event: RemoteEvent, content: str | bytes | None) -> Event:
    data = event.data
    target = data.get("scope") == "target"
    kind = _CLASSES.get((event.type, target)) or _CLASSES.get((event.type, False))
    root = _place(event.root, event.host)
    common: dict[str, Any] = {
        "location": root,
        "time": event.time,
        "seq": max(1, event.seq),
        "origin": event.origin,
    }
    if kind is None or event.path is None:
        return ev.Rescanned(**common, reason="overflow")
    said = data.get("content")
    content_mode = said.get("mode", "r") if isinstance(said, dict) else None
    trouble = said.get("reason", "error") if isinstance(said, dict) and content is None else None
    now, before = _stat(data.get("stat"), data), _stat(data.get("last_known"), data)
    known = now or before or _stat({}, data)
    changes = data.get("changes")
    fields: dict[str, Any] = {
        **common,
        "path": _place(event.path, event.host),
        "own": False,
        "kind": known.kind if known is not None else "file",
        "stat": known,
        "previous": before,
        "existing": bool(data.get("existing")),
        "transient": bool(data.get("transient")),
        "changes": frozenset(changes if isinstance(changes, list) else ["content"]),
        "source": _place(event.source or event.path, event.host),
        "replaced": None,
        "reason": data.get("reason", "deleted"),
        "content": content if content_mode else None,
        "content_mode": content_mode,
        "content_error": trouble,
    }
    names = {item.name for item in dataclasses.fields(kind) if item.init}
    return kind(**{name: value for name, value in fields.items() if name in names})


def _place(path: RemotePath | None, host: str) -> Path:
    """Give a path of another host where a local one is expected; it cannot be opened."""
    found = _again(host, windows=False, parts=("/",)) if path is None else pure_of(path)
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
