"""The checkpoint of a watch: keeps the index between two runs, to report what happened in between.

What is kept is what the *consumer* has: events that were found but not handed out go into the file
as they are, and a file that is held by debounce is kept as it was before. The file is replaced in
one step. Only what begins as a state file of limpet, or is empty, is ever replaced or moved aside:
any other file, or a folder, is refused and left alone.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from limpet._atomic_file import check_writable, replacing
from limpet._state_access import rename_aside, state_error
from limpet._wire import from_wire, to_wire
from limpet.errors import UsageError
from limpet.watching.index._entry_record import unpack
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from limpet.events import Event
    from limpet.watching.emit._debounce import Debouncer

_VERSION: Final = 4
"""Version of the rows and of the packed records in them."""
_HEAD: Final = b'{"limpet-state": '
"""How every state file begins, of any version."""


class DamagedError(Exception):
    """A state file that this watch cannot use; the text says why.

    It is damaged, of another version, or belongs to another watch.
    """


@dataclasses.dataclass(slots=True)
class Saved:
    """The content of a state file."""

    root: DirNode | None
    """The tree of a directory watch."""
    record: bytes | None
    """The record of a file watch."""
    events: list[dict[str, Any]]
    """Events that were found but not handed out, as ``to_wire`` gives them."""
    absent: bool
    """The target was missing."""
    settling: dict[DirNode, bool]
    """New directories that were not finished -> whether it was there when that watch began."""


def save(
    path: Path,
    location: Path,
    target: DirNode | bytes | None,
    debouncer: Debouncer,
    events: list[Event],
    settling: Mapping[DirNode, bool],
) -> None:
    """Write the state file in one step.

    Raises:
        StateFileError: The old file, if any, is unchanged.
    """
    try:
        _write(path, location, target, debouncer, events, settling)
    except OSError as error:
        raise state_error(path, error) from error


def _write(
    path: Path,
    location: Path,
    target: DirNode | bytes | None,
    debouncer: Debouncer,
    events: list[Event],
    settling: Mapping[DirNode, bool],
) -> None:
    head = {
        "limpet-state": _VERSION,
        "location": os.fspath(location),
        "target": "dir" if isinstance(target, DirNode) else "file" if target else None,
        "events": [_encode_event(event) for event in events],
    }
    with replacing(path) as file:
        _write_line(file, head)
        if isinstance(target, DirNode):
            for directory in target.walk():
                row = _encode_directory(directory, debouncer)
                if directory in settling:
                    row["settling"] = settling[directory]
                _write_line(file, row)
        elif target is not None:
            _write_line(file, _text(target))
        _write_line(file, "end")


def _write_line(file: BinaryIO, value: object) -> None:
    file.write(json.dumps(value).encode("ascii") + b"\n")


def load(path: Path, location: Path) -> Saved | None:
    """Read the state file; ``None`` if there is none yet.

    Its folder is created if it is missing, but not where that would create the location.

    Raises:
        UsageError: What is there is not a state file: it is left as it is.
        StateFileError: It cannot be read, or no file could be written in its place.
        DamagedError: It is empty, damaged, or belongs to another location or kind of watch.
    """
    data = _read(path)
    try:
        if not path.parent.is_relative_to(location):
            path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(path)
    except OSError as error:
        raise state_error(path, error) from error
    if data is None:
        return None
    if not data:
        message = "it is empty"
        raise DamagedError(message)
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    try:
        head = json.loads(lines[0])
        if head["limpet-state"] != _VERSION:
            message = f"it has version {head['limpet-state']}, not {_VERSION}"
            raise DamagedError(message)
        if head["location"] != os.fspath(location):
            message = f"it belongs to {head['location']!r}"
            raise DamagedError(message)
        if json.loads(lines[-2]) != "end":
            message = "it is cut off"
            raise DamagedError(message)
        body = [json.loads(line) for line in lines[1:-2]]
        settling: dict[DirNode, bool] = {}
        root = _decode_root(body, settling) if head["target"] == "dir" else None
        record = _record(body[0]) if head["target"] == "file" else None
        return Saved(root, record, list(head["events"]), head["target"] is None, settling)
    except DamagedError:
        raise
    except Exception as error:  # whatever is wrong with its content, it is no other fault
        message = "it is damaged"
        raise DamagedError(message) from error


def _read(path: Path) -> bytes | None:
    """Return the content of what can only be a state file; ``None`` if nothing is there."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            message = f"state={os.fspath(path)!r} is not a regular file: name a file for the state"
            raise UsageError(message)
        with path.open("rb") as file:
            head = file.read(len(_HEAD))
            if head and head != _HEAD:
                message = (
                    f"state={os.fspath(path)!r} was not written by limpet, and is left as it is: "
                    f"name a file that is for the state alone"
                )
                raise UsageError(message)
            return head + file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise state_error(path, error) from error


def set_aside(path: Path) -> str:
    """Move an unusable state file aside, so that it can be examined; return its name then.

    An empty one stays. Nothing is overwritten: the first free one of ``NAME.bad``,
    ``NAME.bad-2``, ... is taken.

    Raises:
        StateFileError: It could not be moved.
    """
    if not os.path.getsize(path):
        return path.name
    try:
        return os.path.basename(rename_aside(os.fspath(path), "bad"))
    except OSError as error:
        raise state_error(path, error) from error


def _text(record: bytes) -> str:
    return base64.b64encode(record).decode("ascii")


def _encode_directory(directory: DirNode, debouncer: Debouncer) -> dict[str, Any]:
    entries: dict[str, int | str] = {}
    for name, entry in directory.entries.items():
        if isinstance(entry, DirNode):
            continue
        held = debouncer.held.get((directory, name))
        if held is not None and held.created:
            continue
        kept = entry if held is None or held.previous is None else held.previous
        entries[name] = _text(kept) if isinstance(kept, bytes) else kept
    return {
        "path": directory.relative(),
        "id": [directory.device, directory.inode],
        "link": directory.link,
        "seen": directory.seen,
        "record": _text(directory.record),
        "entries": entries,
    }


def _decode_root(rows: list[dict[str, Any]], settling: dict[DirNode, bool]) -> DirNode:
    directories: dict[str, DirNode] = {}
    for row in rows:
        path = row["path"]
        parent_path, _, name = path.rpartition("/")
        parent = directories[parent_path] if path else None
        device, inode = row["id"]
        if path:
            _name(name)
        inode, device = _brief(inode), _brief(device)
        directory = DirNode(name, parent, inode, device, _record(row["record"]))
        directory.link, directory.seen = _brief(row["link"]), _brief(row["seen"])
        directory.entries = {
            _name(entry): _record(value) if isinstance(value, str) else _brief(value)
            for entry, value in row["entries"].items()
        }
        directories[path] = directory
        if "settling" in row:  # which earlier builds did not write
            settling[directory] = bool(row["settling"])
        if parent is not None:
            parent.entries[name] = directory
    return directories[""]


def _record(text: str) -> bytes:
    """Return a packed record; raise ``struct.error`` if the text does not hold one."""
    record = base64.b64decode(text, validate=True)
    unpack(record)
    return record


def _name(text: str) -> str:
    """Return a name in a directory; raise ``ValueError`` if it cannot be one."""
    if text in {"", ".", ".."} or "/" in text or "\0" in text:
        raise ValueError(text)
    os.fsencode(text)
    return text


def _brief(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _encode_event(event: Event) -> dict[str, Any]:
    wire = to_wire(event, session="state", exact=True)
    wire.pop("content", None)  # it is read again from the file, if that is there
    return wire


def decode_event(saved: dict[str, Any], seq: int) -> Event:
    """Return an event of a state file again, with a new place in the order.

    Raises:
        DamagedError: It is not an event.
    """
    try:
        origin = "initial" if saved.get("origin") == "initial" else "offline"
        return from_wire({**saved, "seq": seq, "origin": origin})
    except Exception as error:  # see ``load``
        message = "it is damaged"
        raise DamagedError(message) from error
