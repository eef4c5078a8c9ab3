"""The file of a spool: one SQLite database in WAL mode that only one process may open.

After a kill nothing that was committed is missing; after a power cut the last commits may be,
unless ``durability="full"``. The snapshots, the positions of followers and the journal of commands
are in the same file and change in the same transaction as the events, so that none of them is ahead
of the others.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from limpet._file_lock import FileLock, holder_of
from limpet.errors import LimpetError

Durability = Literal["normal", "full"]

_SCHEMA: Final = """
create table if not exists meta (key text primary key, value text not null);
create table if not exists spool (
    seq integer primary key autoincrement, subject text not null, data blob not null,
    object text, tried integer not null default 0, acked real, first integer);
create table if not exists object (name text primary key, data blob not null) without rowid;
create index if not exists spool_acked on spool (acked) where acked is not null;
create index if not exists spool_object on spool (object) where object is not null;
create table if not exists snapshot (
    watch text not null, path blob not null, kind text not null, inode text not null,
    size integer not null, mtime integer not null, birth integer not null,
    primary key (watch, path)) without rowid;
create table if not exists position (
    watch text not null, key blob not null, value blob not null,
    primary key (watch, key)) without rowid;
create table if not exists command (
    id text primary key, pre_size integer, result blob, ended real) without rowid;
"""
_VERSION: Final = "1"


class SpoolError(LimpetError):
    """The spool file cannot be used: the message gives the reason. Nothing in it was changed."""

    default_code = "spool"


class SpoolFullError(SpoolError):
    """The spool has reached its bound: the hub has been away, or full, for too long."""

    default_code = "spool-full"


class SpoolFile:
    """The database of one agent; thread-safe."""

    def __init__(self, path: str | os.PathLike[str], *, durability: Durability = "normal") -> None:
        """Open the file; create it if it is missing.

        Args:
            path: The file; its directory must exist.
            durability: What a power cut may take: ``normal`` the last commits, ``full`` nothing.

        Raises:
            SpoolError: It is damaged, has another version, or is open in another process.
        """
        self.path = Path(path)
        self._mutex = threading.RLock()
        self._lock = self._locked()
        self._db: sqlite3.Connection = None  # type: ignore[assignment] # until it is open
        try:
            self._db = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=5
            )
            self._db.execute("pragma journal_mode=wal")
            self._db.execute(f"pragma synchronous={'full' if durability == 'full' else 'normal'}")
            self._db.executescript(_SCHEMA)
            version = self.get("version") or self._create_session()
            if version != _VERSION:
                message = (
                    f"the spool {str(self.path)!r} has version {version}, this limpet writes "
                    f"{_VERSION}: let the version that created it send all of it, or name another "
                    "file"
                )
                raise SpoolError(message)
        except sqlite3.DatabaseError as error:
            self._close_all()
            message = (
                f"cannot use the spool {str(self.path)!r}: {error}; move it away to start a new "
                "one (the events that wait in it are then not sent)"
            )
            raise SpoolError(message) from error
        except BaseException:
            self._close_all()
            raise
        self.session = self.get("session") or ""
        """128 random bits in hex: created with the file, so that ids cannot be guessed."""

    def close(self) -> None:
        """Close the file; the next run sends the events that wait in it."""
        with self._mutex:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("pragma wal_checkpoint(truncate)")
            self._close_all()

    def _close_all(self) -> None:
        if self._db is not None:
            self._db.close()
        self._lock.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all changes of the block, or none; one transaction at a time."""
        with self._mutex:
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("rollback")
                raise

    def get(self, key: str) -> str | None:
        """Return a small value that is stored beside the events."""
        with self._mutex:
            row = self._db.execute("select value from meta where key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, value: str) -> None:
        """Store a small value, in the transaction of the caller if there is one."""
        with self._mutex:
            self._db.execute("insert or replace into meta values (?, ?)", (key, value))

    def _create_session(self) -> str:
        with self.transaction():
            self.put("session", secrets.token_hex(16))
            self.put("version", _VERSION)
        return _VERSION

    def _locked(self) -> FileLock:
        path = self.path.with_name(self.path.name + ".lock")
        try:
            return FileLock(path)
        except BlockingIOError as error:
            message = (
                f"another process has the spool {str(self.path)!r} open{holder_of(path)}: use one "
                "per agent"
            )
            raise SpoolError(message, code="spool-busy") from error
        except OSError as error:
            message = (
                f"cannot open the spool {str(self.path)!r}: {error.strerror}; its directory must "
                "exist"
            )
            raise SpoolError(message) from error
