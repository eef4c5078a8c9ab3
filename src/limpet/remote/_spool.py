"""The spool of an agent: every event is stored here first and sent from here, hub or no hub.

Restart, hub down, hub slow and hub full are then one case. One SQLite file in WAL mode: after a
kill nothing that was committed is missing; after a power cut the last commits may be, unless
``durability="full"``. What the agent knows of its watches lies in the same file and changes in the
same transaction as the events (``_catalogue.py``), so that neither runs ahead of the other.

Not an existing queue: persist-queue takes ten times as long and acknowledges one by one, litequeue
keeps no numbers (research, 2026-11).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from limpet.errors import LimpetError

__all__ = ["New", "Row", "Spool", "SpoolError", "SpoolFullError", "WhenFull"]

WhenFull = Literal["block", "collapse"]
"""``block``: events are not taken, and the watch looks at everything again once there is room;
``collapse``: the oldest go, and one ``watch.overflow`` tells which."""

_SCHEMA: Final = """
create table if not exists meta (key text primary key, value text not null);
create table if not exists spool (
    seq integer primary key autoincrement, subject text not null, data blob not null,
    object text, tried integer not null default 0, acked real, first integer);
create table if not exists object (name text primary key, data blob not null) without rowid;
create index if not exists spool_acked on spool (acked) where acked is not null;
create index if not exists spool_object on spool (object) where object is not null;
create table if not exists known (
    watch text not null, path blob not null, kind text not null, inode text not null,
    size integer not null, mtime integer not null, birth integer not null,
    primary key (watch, path)) without rowid;
create table if not exists position (
    watch text not null, key blob not null, value blob not null,
    primary key (watch, key)) without rowid;
create table if not exists command (
    id text primary key, pre_size integer, length integer, sha256 text, result blob,
    ended real) without rowid;
"""
_VERSION: Final = 1


class SpoolError(LimpetError):
    """The spool file cannot be used: the message says why. Nothing in it was changed."""

    def __init__(self, message: str, *, code: str = "spool") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class SpoolFullError(SpoolError):
    """The spool is as large as it may be: the hub has been away, or full, for too long."""

    def __init__(self, message: str, *, code: str = "spool-full") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class Row(NamedTuple):
    """An event that waits to be sent, or to be forgotten."""

    seq: int
    subject: str
    data: bytes
    tried: bool
    """It was given to the hub before, in this run or an earlier one."""
    object: str | None
    """Name of the content that must be on the hub before the event."""


class New(NamedTuple):
    """An event to be stored."""

    seq: int
    subject: str
    data: bytes
    object: str | None = None
    """Name of a content too large for the event; its SHA-256."""
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStats:
    """How full it is."""

    waiting: int
    """Events not acknowledged yet."""
    waiting_bytes: int
    kept: int
    """Events that are acknowledged and kept for a while, for a hub that forgets."""
    collapsed: int
    """Events given up since the file was made."""


class Spool:
    """Events of one agent, numbered without a gap, until the hub has them; thread-safe."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 512 << 20,
        max_events: int = 2_000_000,
        when_full: WhenFull = "block",
        durability: Literal["normal", "full"] = "normal",
        retain_s: float = 300.0,
        retain_events: int = 50_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the file, making it if there is none.

        Args:
            path: The file; its folder must be there.
            max_bytes: Of events that wait, at most.
            max_events: The same in number.
            when_full: What happens then.
            durability: What a power cut may take: ``normal`` the last commits, ``full`` nothing.
            retain_s: Seconds an acknowledged event is kept.
            retain_events: The same in number.
            clock: Unix seconds.

        Raises:
            SpoolError: It is damaged, of another version, or another process has it open.
        """
        self.path = Path(path)
        self.max_bytes, self.max_events, self.when_full = max_bytes, max_events, when_full
        self.retain_s, self.retain_events = retain_s, retain_events
        self._clock = clock
        self._lock = threading.RLock()
        self._waiting = self._waiting_bytes = 0
        self._guard = _take_lock(self.path)
        try:
            self._db = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=5
            )
            self._db.execute("pragma journal_mode=wal")
            self._db.execute(f"pragma synchronous={'full' if durability == 'full' else 'normal'}")
            self._db.executescript(_SCHEMA)
            version = self.get("version") or self._begin_session()
            if int(version) != _VERSION:
                message = (
                    f"the spool {str(self.path)!r} has version {version}, this limpet writes "
                    f"{_VERSION}: let the version that made it empty it, or name another file"
                )
                raise SpoolError(message)
        except sqlite3.DatabaseError as error:
            self._guard()
            message = (
                f"cannot use the spool {str(self.path)!r}: {error}; move it away to begin a new "
                "one (what waits in it is then not sent)"
            )
            raise SpoolError(message) from error
        except BaseException:
            self._guard()
            raise
        self.session = self.get("session") or ""
        """128 random bits in hex: made with the file, so that ids cannot be guessed."""
        self._waiting, self._waiting_bytes = self._count()

    def close(self) -> None:
        """Close the file; what waits in it is sent by the next run."""
        with self._lock:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("pragma wal_checkpoint(truncate)")
            self._db.close()
            self._guard()

    # -- what is stored ------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: what is done in the block; one at a time."""
        with self._lock:
            self._db.execute("begin immediate")
            before = self._waiting, self._waiting_bytes
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("rollback")
                self._waiting, self._waiting_bytes = before
                raise

    def next_seq(self) -> int:
        """Give the number the next event gets; call it inside the transaction that adds it."""
        row = self._db.execute("select seq from sqlite_sequence where name='spool'").fetchone()
        return 1 if row is None else int(row[0]) + 1

    def add(self, rows: Iterable[New]) -> None:
        """Store events, inside a transaction, and the contents that go with them.

        Raises:
            SpoolFullError: There is no room and ``when_full`` is ``block``; nothing is stored.
        """
        found = list(rows)
        self._waiting += len(found)
        self._waiting_bytes += sum(len(row.data) for row in found)
        for row in found:
            if row.object is not None:  # one that is there already takes no more room
                added = self._db.execute(
                    "insert or ignore into object values (?, ?)", (row.object, row.content)
                ).rowcount
                self._waiting_bytes += len(row.content) if added > 0 else 0
        self._db.executemany(
            "insert into spool (seq, subject, data, object) values (?, ?, ?, ?)",
            [row[:4] for row in found],
        )
        if self._waiting_bytes > self.max_bytes:
            # What the hub has already makes room first: only a hub that forgets would miss it.
            self._db.execute("delete from spool where acked is not null and object is not null")
            self._clear_objects(self._db)
        over = self._waiting > self.max_events or self._waiting_bytes > self.max_bytes
        if over and self.when_full == "block" and self._waiting > 1:
            message = (
                f"the spool {str(self.path)!r} is full: {self._waiting - len(found):,} events wait "
                "for the hub"
            )
            raise SpoolFullError(message)

    def content(self, name: str) -> bytes | None:
        """Give a content that is to be put on the hub."""
        with self._lock:
            row = self._db.execute("select data from object where name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    @property
    def over(self) -> int:
        """How many of the oldest events must go so that the rest has room (``collapse``)."""
        if self._waiting <= self.max_events and self._waiting_bytes <= self.max_bytes:
            return 0
        return max(self._waiting - self.max_events * 9 // 10, self._waiting // 10, 1)

    def drop_oldest(self, count: int) -> tuple[int, int, int]:
        """Give up the oldest events that wait, inside a transaction: first, last, how many."""
        rows = self._db.execute(
            "select seq, length(data), coalesce(first, seq) from spool where acked is null "
            "order by seq limit ?",
            (count,),
        ).fetchall()
        if not rows:
            return 0, 0, 0
        first, last = rows[0][2], rows[-1][0]
        self._db.execute("delete from spool where acked is null and seq <= ?", (last,))
        self._waiting -= len(rows)
        self._waiting_bytes -= sum(row[1] for row in rows)
        self._clear_objects(self._db)
        before = int(self.get("collapsed") or 0)
        self.put("collapsed", str(before + len(rows) - (rows[0][2] != rows[0][0])))
        return first, last, last - first + 1

    def mark_collapsed(self, first: int, last: int, subject: str, data: bytes) -> None:
        """Put the event that tells of what was given up in the place of the last of it."""
        self._waiting += 1
        self._waiting_bytes += len(data)
        self._db.execute(
            "insert into spool (seq, subject, data, first) values (?, ?, ?, ?)",
            (last, subject, data, first),
        )

    # -- what is sent --------------------------------------------------------------------------

    def waiting(
        self, limit: int, *, max_bytes: int = 4 << 20, without: Collection[str] = ()
    ) -> list[Row]:
        """Give the oldest events that the hub has not acknowledged, in order.

        ``without`` names subjects whose events are left out.
        """
        found: list[Row] = []
        size = 0
        marks = ", ".join("?" * len(without))
        with self._lock:
            rows = self._db.execute(
                "select seq, subject, data, tried, object from spool where acked is null "  # noqa: S608 (question marks alone)
                f"and subject not in ({marks}) order by seq limit ?",
                (*without, limit),
            ).fetchall()
        for seq, subject, data, tried, name in rows:
            size += len(data)
            if found and size > max_bytes:
                break
            found.append(Row(seq, subject, bytes(data), bool(tried), name))
        return found

    def mark_tried(self, seqs: Sequence[int]) -> None:
        """Note, before they are sent, that the hub may have them from now on."""
        with self.transaction() as db:
            db.executemany("update spool set tried = 1 where seq = ?", [(seq,) for seq in seqs])

    def mark_acked(self, seqs: Sequence[int]) -> None:
        """Note that the hub has stored them, and forget those that were kept long enough."""
        now = self._clock()
        with self.transaction() as db:
            for seq in seqs:
                row = db.execute(
                    "update spool set acked = ? where seq = ? and acked is null "
                    "returning length(data)",
                    (now, seq),
                ).fetchone()
                if row is not None:
                    self._waiting -= 1
                    self._waiting_bytes -= row[0]
            db.execute("delete from spool where acked < ?", (now - self.retain_s,))
            db.execute(
                "delete from spool where acked is not null and seq <= "
                "(select max(seq) from spool where acked is not null) - ?",
                (self.retain_events,),
            )
            self._clear_objects(db)

    def _clear_objects(self, db: sqlite3.Connection) -> None:
        """Forget contents that no event needs any more."""
        gone = db.execute(
            "delete from object where name not in "
            "(select object from spool where object is not null) returning length(data)"
        ).fetchall()
        self._waiting_bytes -= sum(size for (size,) in gone)

    def send_again(self) -> int:
        """Have sent again what is acknowledged and kept, for the hub is another; gives how many."""
        with self._lock:
            with self.transaction() as db:
                count = db.execute("update spool set acked = null where acked is not null").rowcount
            self._waiting, self._waiting_bytes = self._count()
        return count

    def new_session(self, resign: Callable[[bytes, str], bytes]) -> str:
        """Begin a session of its own, for another agent uses this one; what waits goes with it.

        Args:
            resign: Gives an event's bytes with another session in them.
        """
        session = secrets.token_hex(16)
        with self._lock, self.transaction() as db:
            db.execute("delete from spool where acked is not null")
            for seq, data in db.execute("select seq, data from spool").fetchall():
                db.execute(
                    "update spool set data = ?, tried = 0 where seq = ?",
                    (resign(bytes(data), session), seq),
                )
            self._clear_objects(db)
            self.put("session", session)
            self.session = session
        return session

    def stats(self) -> SpoolStats:
        """Give the figures."""
        with self._lock:
            kept = self._db.execute("select count(*) from spool where acked is not null").fetchone()
            return SpoolStats(
                waiting=self._waiting,
                waiting_bytes=self._waiting_bytes,
                kept=kept[0],
                collapsed=int(self.get("collapsed") or 0),
            )

    # -- small values --------------------------------------------------------------------------

    def get(self, key: str) -> str | None:
        """Give a small value kept beside the events."""
        with self._lock:
            row = self._db.execute("select value from meta where key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, value: str) -> None:
        """Keep a small value; part of the transaction it is called in, if any."""
        with self._lock:
            self._db.execute("insert or replace into meta values (?, ?)", (key, value))

    def _begin_session(self) -> str:
        with self.transaction():
            self.put("session", secrets.token_hex(16))
            self.put("version", str(_VERSION))
        return str(_VERSION)

    def _count(self) -> tuple[int, int]:
        with self._lock:
            row = self._db.execute(
                "select count(*), coalesce(sum(length(data)), 0) from spool where acked is null"
            ).fetchone()
            large = self._db.execute("select coalesce(sum(length(data)), 0) from object").fetchone()
        return int(row[0]), int(row[1]) + int(large[0])


def _take_lock(path: Path) -> Callable[[], None]:
    """Keep other processes out of the spool while this one has it; gives what ends that."""
    lock = path.with_name(path.name + ".lock")
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        message = f"cannot open the spool {str(path)!r}: {error.strerror}; its folder must be there"
        raise SpoolError(message) from error
    try:
        _lock_whole(fd)
    except OSError as error:
        os.close(fd)
        if error.errno not in {errno.EAGAIN, errno.EACCES}:
            raise
        message = f"another process has the spool {str(path)!r} open: each agent needs its own"
        raise SpoolError(message, code="spool-busy") from error
    return lambda: os.close(fd)


def _lock_whole(fd: int) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    else:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[attr-defined, unused-ignore]
