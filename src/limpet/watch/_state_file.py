"""The checkpoint of a watch: keeps the index between two runs, to report what happened in between.

What is kept is what the *consumer* has: events that were found but not handed out go into the file
as they are, and a file that is held by debounce is kept as it was before. The file is replaced in
one step; one that cannot be read is moved aside and reported, never trusted.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from limpet._atomic_file import replacing
from limpet._wire import from_wire, to_wire
from limpet.watch.index._index import DirNode

if TYPE_CHECKING:
    from limpet.events import Event
    from limpet.watch.emit._debounce import Debouncer

_VERSION = 3


class StateError(Exception):
    """The state file cannot be used; the text says why."""


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


def save(
    path: Path,
    location: Path,
    target: DirNode | bytes | None,
    debouncer: Debouncer,
    events: list[Event],
) -> None:
    """Write the state file in one step.

    Raises:
        OSError: The old file, if any, is unchanged.
    """
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
                _write_line(file, _encode_directory(directory, debouncer))
        elif target is not None:
            _write_line(file, _text(target))
        _write_line(file, "end")


def _write_line(file: BinaryIO, value: object) -> None:
    file.write(json.dumps(value).encode("ascii") + b"\n")


def load(path: Path, location: Path) -> Saved | None:
    """Read the state file; ``None`` if there is none yet.

    Raises:
        StateError: It is damaged, or belongs to another location or kind of watch.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(error.strerror or str(error)) from error
    try:
        head = json.loads(lines[0])
        if head["limpet-state"] != _VERSION:
            message = f"it has version {head['limpet-state']}, not {_VERSION}"
            raise StateError(message)
        if head["location"] != os.fspath(location):
            message = f"it belongs to {head['location']!r}"
            raise StateError(message)
        if json.loads(lines[-2]) != "end":
            message = "it is cut off"
            raise StateError(message)
        body = [json.loads(line) for line in lines[1:-2]]
        root = _decode_root(body) if head["target"] == "dir" else None
        record = base64.b64decode(body[0]) if head["target"] == "file" else None
        return Saved(root, record, list(head["events"]), head["target"] is None)
    except StateError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        message = "it is damaged"
        raise StateError(message) from error


def set_aside(path: Path) -> None:
    """Move an unusable state file aside, so that it can be examined."""
    with contextlib.suppress(OSError):
        path.replace(path.with_name(path.name + ".bad"))


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


def _decode_root(rows: list[dict[str, Any]]) -> DirNode:
    directories: dict[str, DirNode] = {}
    for row in rows:
        path = row["path"]
        parent_path, _, name = path.rpartition("/")
        parent = directories[parent_path] if path else None
        device, inode = row["id"]
        directory = DirNode(name, parent, int(inode), int(device), base64.b64decode(row["record"]))
        directory.link, directory.seen = int(row["link"]), int(row["seen"])
        directory.entries = {
            entry: base64.b64decode(value) if isinstance(value, str) else int(value)
            for entry, value in row["entries"].items()
        }
        directories[path] = directory
        if parent is not None:
            parent.entries[name] = directory
    return directories[""]


def _encode_event(event: Event) -> dict[str, Any]:
    wire = to_wire(event, session="state", exact=True)
    wire.pop("content", None)  # it is read again from the file, if that is there
    return wire


def decode_event(saved: dict[str, Any], seq: int) -> Event:
    """Return an event of a state file again, with a new place in the order.

    Raises:
        StateError: It is not an event.
    """
    origin = "initial" if saved.get("origin") == "initial" else "offline"
    try:
        return from_wire({**saved, "seq": seq, "origin": origin})
    except ValueError as error:
        message = "it is damaged"
        raise StateError(message) from error
