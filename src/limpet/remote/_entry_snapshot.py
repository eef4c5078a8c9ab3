"""Snapshots: what the stored events say of each entry of a watch.

They change in the transaction that stores the events. When the agent starts, for whatever reason it
ended, the entries that exist are compared with them: each difference happened while no agent ran,
or was seen and not stored, and is reported as ``offline``. So nothing is missing or doubled.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from limpet._wire import Json, path_of

_SEP: Final = os.sep.encode()
_AFTER_SEP: Final = bytes([_SEP[0] + 1])
"""The paths below a directory sort between these two."""


class EntrySnapshot(NamedTuple):
    """The last stored state of an entry; times in microseconds."""

    kind: str
    inode: str
    size: int
    mtime: int
    birth: int


def load_snapshots(db: sqlite3.Connection, watch: str) -> dict[bytes, EntrySnapshot]:
    """Return all entries of a watch, in a transaction."""
    rows = db.execute(
        "select path, kind, inode, size, mtime, birth from snapshot where watch = ?", (watch,)
    )
    return {bytes(path): EntrySnapshot(*rest) for path, *rest in rows}


def update_snapshot(db: sqlite3.Connection, watch: str, wire: Mapping[str, object]) -> None:
    """Apply an event to the entries of its watch, in a transaction."""
    path = path_of(wire, "path")
    if path is None or wire.get("scope") == "watch" or wire.get("transient"):
        return
    verb = str(wire["type"]).partition(".")[2]
    old = path_of(wire, "old_path")
    if old is not None:
        _move(db, watch, old, path)
    found = snapshot_of(wire)
    if found is not None:
        db.execute(
            "insert or replace into snapshot values (?, ?, ?, ?, ?, ?, ?)", (watch, path, *found)
        )
    elif verb in {"deleted", "vanished"}:
        db.execute("delete from snapshot where watch = ? and path = ?", (watch, path))


def _move(db: sqlite3.Connection, watch: str, old: bytes, new: bytes) -> None:
    """Rename an entry, and with it all entries below."""
    db.execute("delete from snapshot where watch = ? and path = ?", (watch, new))
    db.execute("update snapshot set path = ? where watch = ? and path = ?", (new, watch, old))
    rows = db.execute(
        "select path from snapshot where watch = ? and path >= ? and path < ?",
        (watch, old + _SEP, old + _AFTER_SEP),
    ).fetchall()
    for (path,) in rows:
        db.execute(
            "update or replace snapshot set path = ? where watch = ? and path = ?",
            (new + bytes(path)[len(old) :], watch, path),
        )


def snapshot_of(wire: Mapping[str, object]) -> EntrySnapshot | None:
    """Return the snapshot of an event's entry; ``None`` if the event has no status of it."""
    stat = wire.get("stat")
    if not isinstance(stat, dict):
        return None
    is_dir = wire.get("entry") == "dir"
    return EntrySnapshot(
        str(wire.get("entry", "")),
        str(stat.get("ino", "")),
        0 if is_dir else int(stat.get("size", 0)),
        0 if is_dir else int(stat.get("mtime_us", 0)),
        int(stat.get("birthtime_us", 0)),
    )


def diff_offline(
    before: Mapping[bytes, EntrySnapshot], now: Mapping[bytes, Json]
) -> Iterator[tuple[str, bytes, bytes | None, str]]:
    """Return the changes between two states, in an order that can be replayed.

    Args:
        before: The snapshots.
        now: Path -> wire object (as of a created event) of all entries that exist.

    Yields:
        Verb (``deleted``, ``renamed``, ``created``, ``updated``), path, the path before (of a
        rename), the kind of entry. A rename of a directory moves the entries below it; a later
        path is the one after it.
    """
    index = dict(before)
    here = {path: found for path, wire in now.items() if (found := snapshot_of(wire)) is not None}
    by_inode = {
        (one.kind, one.inode, one.birth): path
        for path, one in index.items()
        if path not in here or here[path][:2] != one[:2]
    }
    for path in sorted(here, key=_depth):
        one = here[path]
        if path in index and index[path][:2] == one[:2]:
            continue
        old = by_inode.get((one.kind, one.inode, one.birth))
        if old is None or not one.birth or old not in index or path in index:
            continue
        if path.startswith(old + _SEP):
            continue
        parent = path.rpartition(_SEP)[0]
        if parent in here and (parent not in index or index[parent].kind != here[parent].kind):
            continue  # its new parent is created later
        yield "renamed", path, old, one.kind
        _rename(index, old, path)
    for path in sorted(index, key=_depth, reverse=True):
        if path not in here or here[path][0] != index[path][0]:
            yield "deleted", path, None, index[path].kind
            del index[path]
    for path in sorted(here, key=_depth):
        was = index.get(path)
        if was is None:
            yield "created", path, None, here[path].kind
        elif was != here[path] and was.kind != "dir":
            yield "updated", path, None, was.kind


def _rename(index: dict[bytes, EntrySnapshot], old: bytes, new: bytes) -> None:
    if index[old].kind == "dir":
        for path in [p for p in index if p.startswith(old + _SEP)]:
            index[new + path[len(old) :]] = index.pop(path)
    index[new] = index.pop(old)


def _depth(path: bytes) -> tuple[int, bytes]:
    return path.count(_SEP), path
