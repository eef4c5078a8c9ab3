"""What the events in the spool have told of a watched place so far, entry by entry.

It changes in the transaction that stores the events. When the agent starts, after whatever ended
it, the place is listed anew and compared with this: what is different happened while it was away,
or was seen and not stored, and is told as ``offline``. So nothing is missing and nothing is twice.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from limpet._wire import Json, path_of

__all__ = ["Catalogue", "Known", "away", "known_of"]

_SEP: Final = os.sep.encode()
_AFTER_SEP: Final = bytes([_SEP[0] + 1])
"""What is below a folder sorts between these two."""


class Known(NamedTuple):
    """What is remembered of an entry; times in microseconds."""

    kind: str
    inode: str
    size: int
    mtime: int
    birth: int


class Catalogue:
    """The entries of one watch; every method belongs inside a transaction of the spool."""

    def __init__(self, watch: str) -> None:
        """Name the watch whose entries they are."""
        self.watch = watch

    def apply(self, db: sqlite3.Connection, wire: Mapping[str, object]) -> None:
        """Take in what an event tells."""
        path = path_of(wire, "path")
        if path is None or wire.get("scope") == "watch" or wire.get("transient"):
            return
        verb = str(wire["type"]).partition(".")[2]
        old = path_of(wire, "old_path")
        if old is not None:
            self._move(db, old, path)
        known = known_of(wire)
        if known is not None:
            db.execute(
                "insert or replace into known values (?, ?, ?, ?, ?, ?, ?)",
                (self.watch, path, *known),
            )
        elif verb in {"deleted", "vanished"}:
            db.execute("delete from known where watch = ? and path = ?", (self.watch, path))

    def all(self, db: sqlite3.Connection) -> dict[bytes, Known]:
        """Give every entry."""
        rows = db.execute(
            "select path, kind, inode, size, mtime, birth from known where watch = ?",
            (self.watch,),
        )
        return {bytes(path): Known(*rest) for path, *rest in rows}

    def clear(self, db: sqlite3.Connection) -> None:
        """Forget all of them."""
        db.execute("delete from known where watch = ?", (self.watch,))

    def _move(self, db: sqlite3.Connection, old: bytes, new: bytes) -> None:
        """Give an entry another name, and with it all that is below."""
        db.execute("delete from known where watch = ? and path = ?", (self.watch, new))
        db.execute("update known set path = ? where watch = ? and path = ?", (new, self.watch, old))
        rows = db.execute(
            "select path from known where watch = ? and path >= ? and path < ?",
            (self.watch, old + _SEP, old + _AFTER_SEP),
        ).fetchall()
        for (path,) in rows:
            db.execute(
                "update or replace known set path = ? where watch = ? and path = ?",
                (new + bytes(path)[len(old) :], self.watch, path),
            )


def known_of(wire: Mapping[str, object]) -> Known | None:
    """Give what is to be remembered of an entry that an event says is there."""
    stat = wire.get("stat")
    if not isinstance(stat, dict):
        return None
    return Known(
        str(wire.get("entry", "")),
        str(stat.get("ino", "")),
        int(stat.get("size", 0)) if wire.get("entry") != "dir" else 0,
        int(stat.get("mtime_us", 0)) if wire.get("entry") != "dir" else 0,
        int(stat.get("birthtime_us", 0)),
    )


def away(
    before: Mapping[bytes, Known], now: Mapping[bytes, Json]
) -> Iterator[tuple[str, bytes, bytes | None, str]]:
    """Tell what must have happened between two listings, in an order that can be replayed.

    Args:
        before: What was told.
        now: Path -> wire object (as of a created event) of all that is there.

    Yields:
        Verb (``deleted``, ``renamed``, ``created``, ``updated``), path, the path before (of a
        rename), the kind of entry. A rename of a folder moves what is in it; a later path is the
        one after it.
    """
    told = dict(before)
    here = {path: known for path, wire in now.items() if (known := known_of(wire)) is not None}
    by_inode = {
        (known.kind, known.inode, known.birth): path
        for path, known in told.items()
        if path not in here or here[path][:2] != known[:2]
    }
    for path in sorted(here, key=_depth):
        known = here[path]
        if path in told and told[path][:2] == known[:2]:
            continue
        old = by_inode.get((known.kind, known.inode, known.birth))
        free = path not in told
        if old is None or not known.birth or old not in told or not free:
            continue
        if path.startswith(old + _SEP):
            continue
        parent = path.rpartition(_SEP)[0]
        if parent in here and (parent not in told or told[parent].kind != here[parent].kind):
            continue  # the folder it goes into is made later
        yield "renamed", path, old, known.kind
        _rename(told, old, path)
    for path in sorted(told, key=_depth, reverse=True):
        if path not in here or here[path][0] != told[path][0]:
            yield "deleted", path, None, told[path].kind
            del told[path]
    for path in sorted(here, key=_depth):
        was = told.get(path)
        if was is None:
            yield "created", path, None, here[path].kind
        elif was != here[path] and was.kind != "dir":
            yield "updated", path, None, was.kind


def _rename(told: dict[bytes, Known], old: bytes, new: bytes) -> None:
    if told[old].kind == "dir":
        for path in [p for p in told if p.startswith(old + _SEP)]:
            told[new + path[len(old) :]] = told.pop(path)
    told[new] = told.pop(old)


def _depth(path: bytes) -> tuple[int, bytes]:
    return path.count(_SEP), path
