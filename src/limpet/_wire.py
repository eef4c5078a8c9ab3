"""One event as JSON: pure, versioned by ``event.schema.json``, strict whatever a file is called.

The contract is ``docs/reference/semantics.md``, "On the wire". Beyond the schema's own fields an
object may have: ``changes`` (sorted list) of an update; ``existing`` and ``transient``, there only
when true; ``replaced`` (a stat) of a rename; ``reason`` of a target's end, of a degraded watch and
of a rescan; ``found`` and ``expected`` of a mismatch. ``last_known`` is the status before, of a
deletion as of an update or a rename; it is left out where there is none.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import math
import os
import re
import stat as modes
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path, PurePath
from typing import Any, Final, assert_never

from limpet import events
from limpet.events import (
    Degraded,
    DirCreated,
    DirDeleted,
    DirEvent,
    DirRenamed,
    DirSettled,
    DirUpdated,
    EntryEvent,
    Event,
    FileCreated,
    FileDeleted,
    FileEvent,
    FileRenamed,
    FileStat,
    FileUpdated,
    Kind,
    Mismatched,
    Recovered,
    Rescanned,
    TargetDirDeleted,
    TargetEvent,
    TargetFileDeleted,
    WatchEvent,
    Who,
    event_name,
)

Json = dict[str, object]
"""A JSON object: its values are what ``json.dumps`` takes."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_US, _MOST_US = -62135596800000000, 9007199254740991
"""What the schema allows: from the year 1, which is the first that a date can name, to 2**53 - 1,
which is the last that every JSON reader keeps exact."""

_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""JSON leaves these as they are; a terminal obeys some, some readers end a line at others, and the
last, lone surrogates, are in no encoding."""

_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
"""What a CloudEvents String must not hold (CloudEvents 1.0.2, "Type System")."""

_CLASSES: Final[dict[tuple[str, bool], type[Event]]] = {
    (event_name(kind), issubclass(kind, TargetEvent)): kind
    for kind in vars(events).values()
    if isinstance(kind, type)
    and issubclass(kind, Event)
    and dataclasses.is_dataclass(kind)
    and kind not in {Event, EntryEvent, FileEvent, DirEvent, WatchEvent}
}
"""Type on the wire, whether it is about the location itself -> class."""

EVENT_TYPES: Final = tuple(dict.fromkeys(name for name, _ in _CLASSES))
"""Every ``type`` an event can have, entry events first."""

_MOMENTS: Final = ("mtime_us", "ctime_us", "birthtime_us")

_NODES: Final = {
    modes.S_IFIFO: "fifo",
    modes.S_IFSOCK: "socket",
    modes.S_IFBLK: "block",
    modes.S_IFCHR: "char",
}
_FORMS: Final = {
    "dir": modes.S_IFDIR,
    "symlink": modes.S_IFLNK,
    **{name: form for form, name in _NODES.items()},
}


@cache
def schema() -> Json:
    """Return the JSON Schema that each object of `to_wire` fulfils; not to be changed."""
    import json
    from importlib.resources import files  # 20 ms that no event needs

    text = files("limpet").joinpath("event.schema.json").read_text(encoding="utf-8")
    loaded: Json = json.loads(text)
    return loaded


def to_wire(event: Event, *, session: str, name: str | None = None, exact: bool = False) -> Json:
    """Return the event as a JSON object that fulfils the schema and can always be serialised.

    Args:
        event: Any event.
        session: Identifies one run of one watch; printable ASCII without spaces. Two watches must
            not share one: with ``seq`` it makes the id unique.
        name: Name of the watch; its location if not given.
        exact: Also add what the schema rounds or leaves out (times as floats, the whole mode), for
            ``from_wire`` to return an equal event. For files of limpet's own.
    """
    observed = min(max(_microseconds(event.time) or 0, _LEAST_US), _MOST_US)
    wire: Json = {
        "v": 1,
        "id": f"{session}.{event.seq}",
        "session": session,
        "seq": event.seq,
        "type": event_name(type(event)),
        "observed_at": wire_time(observed),
        "observed_us": observed,
        "watch": {"name": _display(str(event.location)) if name is None else name},
        "origin": event.origin,
        "scope": _scope(event),
    }
    put_path(wire, "root", event.location)
    if exact:
        wire["time"] = repr(event.time)
    match event:
        case EntryEvent():
            _put_entry(wire, event, exact=exact)
        case Degraded():
            _put_place(wire, event.location, event.path)
            wire["reason"] = event.reason
            message = event.message if exact else _display(event.message)
            wire["error"] = {"code": event.reason, "message": message}
        case Recovered():
            _put_place(wire, event.location, event.path)
        case Rescanned():
            wire["reason"] = event.reason
        case Mismatched():
            wire["found"], wire["expected"] = event.found, event.expected
    return wire


def from_wire(
    wire: Mapping[str, object],
    *,
    paths: Mapping[str, PurePath] | None = None,
    content: str | bytes | None = None,
) -> Event:
    """Return the event that a wire object stands for: the inverse of ``to_wire``.

    Times are exact to the microsecond, and to the bit for an object made with ``exact``.

    Args:
        wire: An object of ``to_wire``, as JSON has it.
        paths: Paths in place of those in the object (keys ``root``, ``path``, ``old_path``), for
            events of another system.
        content: Content in place of the one in the object, which may have none of its own.

    Raises:
        ValueError: It is not an event of this version.
    """
    try:
        return _event(wire, dict(paths or {}), content)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        message = f"not an event on the wire: {error!r}"
        raise ValueError(message) from error


def _event(
    wire: Mapping[str, Any], paths: dict[str, PurePath], content: str | bytes | None
) -> Event:
    is_target = wire.get("scope") == "target"
    kind = _CLASSES.get((wire["type"], is_target)) or _CLASSES[wire["type"], False]
    for key in ("root", "path", "old_path"):
        found = path_of(wire, key) if key not in paths else None
        if found is not None:
            paths[key] = Path(os.fsdecode(found))
    fields: dict[str, Any] = {
        "location": paths["root"],
        "time": float(wire["time"]) if "time" in wire else wire["observed_us"] / 1e6,
        "seq": max(1, wire["seq"]),
        "origin": wire["origin"],
        "path": paths.get("path"),
        "source": paths.get("old_path"),
        "own": bool(wire.get("own")),
        "who": _who_of(wire.get("who")),
        "existing": bool(wire.get("existing")),
        "transient": bool(wire.get("transient")),
        "message": wire.get("error", {}).get("message"),
    }
    fields |= {key: wire[key] for key in ("reason", "found", "expected") if key in wire}
    if issubclass(kind, EntryEvent):
        entry = wire["entry"]
        kind_name: Kind = entry if entry in {"file", "dir", "symlink"} else "other"
        now = wire.get("stat")
        fields |= {
            "kind": kind_name,
            "stat": _stat_of({} if now is None else now, entry, kind_name),
            "previous": _stat_of(wire.get("last_known"), entry, kind_name),
            "replaced": _stat_of(wire.get("replaced"), entry, kind_name),
            "changes": frozenset(wire.get("changes", ("content",))),
        }
        fields |= _content_fields(wire.get("content"), content)
    names = _field_names(kind)
    return kind(**{name: value for name, value in fields.items() if name in names})


def _who_of(found: Mapping[str, Any] | None) -> Who | None:
    if found is None:
        return None
    program = path_of(found, "program")
    return Who(pid=int(found["pid"]), program=None if program is None else os.fsdecode(program))


def _field_names(kind: type[Event]) -> frozenset[str]:
    return frozenset(item.name for item in dataclasses.fields(kind))


def _stat_of(found: Mapping[str, Any] | None, entry: str, kind: Kind) -> FileStat | None:
    if found is None:
        return None
    form = _FORMS.get(entry, modes.S_IFREG)
    moments = [found[key] / 1e6 if key in found else None for key in _MOMENTS]
    mtime, ctime, birthtime = moments
    mode = form | int(found.get("mode", "0"), 8)
    if "exact" in found:
        *exact, mode, kind = found["exact"]
        mtime, ctime, birthtime = (None if one is None else float(one) for one in exact)
    return FileStat(
        size=int(found.get("size", 0)),
        mtime=0.0 if mtime is None else mtime,
        ctime=0.0 if ctime is None else ctime,
        birthtime=birthtime,
        mode=mode,
        uid=int(found.get("uid", 0)),
        gid=int(found.get("gid", 0)),
        inode=int(found.get("ino", 0)),
        device=int(found.get("dev", 0)),
        kind=kind,
    )


def _content_fields(found: Mapping[str, Any] | None, given: str | bytes | None) -> dict[str, Any]:
    """Return the fields of an event that are about its content."""
    if found is None:
        return {}
    content, mode = given, found["mode"]
    if content is None and "text" in found:
        content = found["text"]
    elif content is None and "b64" in found:
        content = base64.b64decode(found["b64"])
        if mode == "r":
            content = content.decode(found["encoding"], found["errors"])
    return {
        "content": content,
        "content_mode": mode,
        "content_error": None if content is not None else found.get("reason", "error"),
        "content_offset": found.get("offset"),
    }


def to_json_line(event: Event, *, session: str, name: str | None = None) -> bytes:
    """Return the event as one line of strict JSON in UTF-8, its line feed included."""
    return dump_line(to_wire(event, session=session, name=name))


def to_cloudevent(event: Event, *, session: str, name: str | None = None) -> Json:
    """Return the event as a CloudEvents 1.0 object in structured mode; ``data`` is on the wire."""
    return cloudevent_of(to_wire(event, session=session, name=name), event.location)


def cloudevent_of(wire: Mapping[str, object], location: Path) -> Json:
    """Wrap a wire object of the watch at ``location``; it must have ``id`` and ``observed_at``."""
    subject = wire.get("rel")
    return {
        "specversion": "1.0",
        "id": wire["id"],
        "source": location.as_uri(),
        "type": f"limpet.{wire['type']}",
        "time": wire["observed_at"],
        **({} if subject is None else {"subject": attribute_text(str(subject))}),
        "datacontenttype": "application/json",
        "dataschema": "urn:limpet:event:1",
        "data": dict(wire),
    }


def dump_line(wire: Mapping[str, object]) -> bytes:
    """Return one line without other line separators and terminal control codes.

    Raises:
        ValueError: There is a NaN or an infinity in it.
    """
    import json  # 3 ms that lines of text do not need; found again in a fraction of a microsecond

    text = json.dumps(wire, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"


def wire_time(microseconds: int) -> str:
    """Return a moment, in microseconds since the epoch, as RFC 3339 in UTC."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def attribute_text(text: str) -> str:
    """Return a text as a CloudEvents String: with U+FFFD for what that must not contain."""
    return _NOT_TEXT.sub("\ufffd", text)


def path_of(wire: Mapping[str, object], key: str) -> bytes | None:
    """Return the exact bytes of the path that ``put_path`` put there; ``None`` if there is none."""
    exact = wire.get(key + "_b64")
    if isinstance(exact, str):
        return base64.b64decode(exact)
    text = wire.get(key)
    return text.encode() if isinstance(text, str) else None


def put_path(wire: Json, key: str, path: PurePath | str) -> None:
    """Add a path under ``key`` and, unless it is valid UTF-8, its bytes under ``key`` + _b64."""
    name = str(path)
    wire[key] = _display(name)
    if wire[key] != name:
        wire[key + "_b64"] = base64.b64encode(_bytes_of(name)).decode("ascii")


def _scope(event: Event) -> str:
    if isinstance(event, WatchEvent):
        return "watch"
    return "target" if isinstance(event, TargetEvent) else "inside"


def _put_entry(wire: Json, event: EntryEvent, *, exact: bool) -> None:
    """Add what the event has of its entry: path, kind, status before and now."""
    _put_place(wire, event.location, event.path)
    now, before = _stats(event)
    wire["entry"] = _entry(event.kind, now or before)
    transient = isinstance(event, FileCreated | DirCreated) and event.transient and not exact
    wire["stat"] = None if now is None or transient else _stat(now, exact=exact)
    if before is not None:
        wire["last_known"] = _stat(before, exact=exact)
    wire["own"] = event.own
    if event.who is not None:
        who: Json = {"pid": event.who.pid}
        if event.who.program is not None:
            put_path(who, "program", event.who.program)
        wire["who"] = who
    match event:
        case DirSettled():
            wire |= {"existing": True} if event.existing else {}
        case FileCreated() | DirCreated():
            wire |= {key: True for key in ("existing", "transient") if getattr(event, key)}
        case FileUpdated() | DirUpdated():
            wire["changes"] = sorted(event.changes)
        case FileRenamed() | DirRenamed():
            within = event.source.is_relative_to(event.location)
            wire["move"] = "within" if within else "in"  # from another place of the same watch
            _put_place(wire, event.location, event.source, prefix="old_")
            if event.replaced is not None:
                wire["replaced"] = _stat(event.replaced, exact=exact)
        case TargetFileDeleted() | TargetDirDeleted():
            wire["reason"] = event.reason
    if isinstance(event, FileCreated | FileUpdated):
        _put_content(wire, event)


def _stats(event: EntryEvent) -> tuple[FileStat | None, FileStat | None]:
    """Return the status of the entry now and before, as far as its event has them."""
    match event:
        case FileCreated() | DirCreated() | DirSettled():
            return event.stat, None
        case FileUpdated() | DirUpdated() | FileRenamed() | DirRenamed():
            return event.stat, event.previous
        case FileDeleted() | DirDeleted():
            return None, event.previous
    message = f"{type(event).__name__} has no form on the wire"
    raise TypeError(message)


def _put_place(wire: Json, location: Path, path: Path, *, prefix: str = "") -> None:
    """Add the path and, if it is below the location, the path from there ("." for itself).

    The latter has ``/`` between its parts on every system, for it is read on others, too.
    """
    put_path(wire, prefix + "path", path)
    if path.is_relative_to(location):
        put_path(wire, prefix + "rel", path.relative_to(location).as_posix())


def _put_content(wire: Json, event: FileCreated | FileUpdated) -> None:
    if event.content_mode is None:
        return
    content: Json = {"included": event.content is not None, "mode": event.content_mode}
    match event.content:
        case None:
            content["reason"] = event.content_error or "error"
        case bytes() as data:
            content["b64"] = base64.b64encode(data).decode("ascii")
        case str() as text if _display(text) == text:
            content["text"] = text
        case str() as text:
            # Surrogates, from an error handler such as surrogateescape, are not Unicode text and so
            # no JSON: ``b64`` decoded with this encoding and handler is the text exactly.
            content["encoding"], content["errors"] = "utf-8", "surrogatepass"
            content["b64"] = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")
        case _:
            assert_never(event.content)
    if event.content_offset is not None:
        content["offset"] = event.content_offset
    wire["content"] = content


def _entry(kind: Kind, known: FileStat | None) -> str:
    if kind == "other":
        return _NODES.get(modes.S_IFMT(known.mode), "unknown") if known else "unknown"
    return kind


def _stat(stat: FileStat, *, exact: bool) -> Json:
    """Return a status with times in whole microseconds, without those the schema cannot hold."""
    moments = {
        "mtime_us": _microseconds(stat.mtime),
        "ctime_us": _microseconds(stat.ctime),
        "birthtime_us": None if stat.birthtime is None else _microseconds(stat.birthtime),
    }
    return {
        "size": stat.size,
        **{
            key: value
            for key, value in moments.items()
            if value is not None and _LEAST_US <= value <= _MOST_US
        },
        "mode": f"0{modes.S_IMODE(stat.mode):03o}",
        "uid": stat.uid,
        "gid": stat.gid,
        "ino": str(stat.inode),
        "dev": str(stat.device),
        **({"exact": _exact(stat)} if exact else {}),
    }


def _exact(stat: FileStat) -> list[object]:
    """Return what a status on the wire rounds or leaves out, as strict JSON has it."""
    moments = (stat.mtime, stat.ctime, stat.birthtime)
    return [*(None if one is None else repr(one) for one in moments), stat.mode, stat.kind]


def _microseconds(seconds: float) -> int | None:
    return round(seconds * 1_000_000) if math.isfinite(seconds) else None


def _bytes_of(name: str, *, windows: bool = os.name == "nt") -> bytes:
    """Return the name's bytes, as ``os.fsdecode`` takes them back.

    On Windows a name may have lone surrogates, which are encoded as such; elsewhere they stand for
    bytes that are not UTF-8.
    """
    if not windows:
        with contextlib.suppress(UnicodeEncodeError):
            return name.encode("utf-8", "surrogateescape")
    return name.encode("utf-8", "surrogatepass")


def _display(text: str) -> str:
    """Return the text with U+FFFD for what is not Unicode; the same text if all of it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _bytes_of(text).decode("utf-8", "replace")
    return text
