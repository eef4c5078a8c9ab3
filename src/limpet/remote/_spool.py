"""The spool of an agent: every event is stored here first and sent from here, hub or no hub.

Restart, hub down, hub slow and hub full are then one case. Not an existing queue: persist-queue
takes ten times as long and acknowledges one by one, litequeue has no numbers (research, 2026-11).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from limpet.remote._spool_file import Durability, SpoolFile, SpoolFullError

WhenFull = Literal["block", "collapse"]
"""``block``: the watch is not read, and scans everything again once there is room; ``collapse``:
the oldest events are given up, and one ``watch.overflow`` reports their numbers."""


class Row(NamedTuple):
    """An event that waits to be sent, or to be removed."""

    seq: int
    subject: str
    data: bytes
    tried: bool
    """It was sent to the hub before, in this run or an earlier one."""
    object: str | None
    """Name of the content that must be on the hub before the event."""


class NewRow(NamedTuple):
    """An event to store."""

    seq: int
    subject: str
    data: bytes
    object: str | None = None
    """Name of a content too large for the event; its SHA-256."""
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStats:
    """How full a spool is."""

    waiting: int
    """Events that are not acknowledged."""
    waiting_bytes: int
    kept: int
    """Events that are acknowledged and stored for a while, for a hub that forgets."""
    collapsed: int
    """Events given up since the file was created."""


class Spool(SpoolFile):
    """Events of one agent, numbered without a gap, until the hub has them; thread-safe."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 512 << 20,
        max_events: int = 2_000_000,
        when_full: WhenFull = "block",
        durability: Durability = "normal",
        retain_s: float = 300.0,
        retain_events: int = 50_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the file; create it if it is missing.

        Args:
            path: The file; its directory must exist.
            max_bytes: Maximum size of all waiting events together.
            max_events: Maximum number of waiting events.
            when_full: What happens when one of these is reached.
            durability: What a power cut may take: ``normal`` the last commits, ``full`` nothing.
            retain_s: Seconds for which an acknowledged event is kept.
            retain_events: Maximum number of acknowledged events that are kept.
            clock: Unix seconds.

        Raises:
            SpoolError: It is damaged, has another version, or is open in another process.
        """
        self.max_bytes, self.max_events, self.when_full = max_bytes, max_events, when_full
        self.retain_s, self.retain_events = retain_s, retain_events
        self._clock = clock
        self._waiting = self._waiting_bytes = 0
        super().__init__(path, durability=durability)
        self._waiting, self._waiting_bytes = self._count()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all changes of the block, or none; one transaction at a time."""
        with self._mutex:
            before = self._waiting, self._waiting_bytes
            try:
                with super().transaction() as db:
                    yield db
            except BaseException:
                self._waiting, self._waiting_bytes = before
                raise

    # -- storing ---------------------------------------------------------------------------------

    def next_seq(self) -> int:
        """Return the number of the next event, in the transaction that adds it."""
        row = self._db.execute("select seq from sqlite_sequence where name='spool'").fetchone()
        return 1 if row is None else int(row[0]) + 1

    def add(self, rows: Iterable[NewRow]) -> None:
        """Store events and their contents, in a transaction.

        Raises:
            SpoolFullError: There is no room and ``when_full`` is ``block``; nothing is stored.
        """
        found = list(rows)
        self._waiting += len(found)
        self._waiting_bytes += sum(len(row.data) for row in found)
        for row in found:
            if row.object is not None:  # a content that is stored already takes no more room
                added = self._db.execute(
                    "insert or ignore into object values (?, ?)", (row.object, row.content)
                ).rowcount
                self._waiting_bytes += len(row.content) if added > 0 else 0
        self._db.executemany(
            "insert into spool (seq, subject, data, object) values (?, ?, ?, ?)",
            [row[:4] for row in found],
        )
        if self._waiting_bytes > self.max_bytes:
            # Acknowledged events make room first: only a hub that forgets would miss them.
            self._db.execute("delete from spool where acked is not null and object is not null")
            self._clear_objects(self._db)
        if self.when_full == "block" and self._is_over and self._waiting > 1:
            message = (
                f"the spool {str(self.path)!r} is full: {self._waiting - len(found):,} events wait "
                "for the hub"
            )
            raise SpoolFullError(message)

    def content(self, name: str) -> bytes | None:
        """Return a content to put on the hub."""
        with self._mutex:
            row = self._db.execute("select data from object where name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    @property
    def _is_over(self) -> bool:
        return self._waiting > self.max_events or self._waiting_bytes > self.max_bytes

    @property
    def over(self) -> int:
        """The number of the oldest events to give up so that the rest has room (``collapse``)."""
        if not self._is_over:
            return 0
        return max(self._waiting - self.max_events * 9 // 10, self._waiting // 10, 1)

    def drop_oldest(self, count: int) -> tuple[int, int, int]:
        """Drop the oldest waiting events, in a transaction; return first, last, how many."""
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
        """Store the event that reports a loss under the number of the last lost event."""
        self._waiting += 1
        self._waiting_bytes += len(data)
        self._db.execute(
            "insert into spool (seq, subject, data, first) values (?, ?, ?, ?)",
            (last, subject, data, first),
        )

    # -- sending ---------------------------------------------------------------------------------

    def waiting(
        self, limit: int, *, max_bytes: int = 4 << 20, without: Collection[str] = ()
    ) -> list[Row]:
        """Return the oldest events that the hub has not acknowledged, in order.

        ``without`` names subjects whose events are left out.
        """
        found: list[Row] = []
        size = 0
        marks = ", ".join("?" * len(without))
        with self._mutex:
            rows = self._db.execute(
                "select seq, subject, data, tried, object from spool where acked is null "  # noqa: S608 - question marks alone
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
        """Note, before events are sent, that the hub may have them from now on."""
        with self.transaction() as db:
            db.executemany("update spool set tried = 1 where seq = ?", [(seq,) for seq in seqs])

    def mark_acked(self, seqs: Sequence[int]) -> None:
        """Note that the hub has stored events, and remove those that were kept long enough."""
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
        """Remove contents that no event needs any more."""
        gone = db.execute(
            "delete from object where name not in "
            "(select object from spool where object is not null) returning length(data)"
        ).fetchall()
        self._waiting_bytes -= sum(size for (size,) in gone)

    def send_again(self) -> int:
        """Make the acknowledged events wait again, for another hub; return how many."""
        with self._mutex:
            with self.transaction() as db:
                count = db.execute("update spool set acked = null where acked is not null").rowcount
            self._waiting, self._waiting_bytes = self._count()
        return count

    def new_session(self, resign: Callable[[bytes, str], bytes]) -> str:
        """Start another session with the waiting events: another agent uses this one.

        Args:
            resign: Returns an event's bytes with another session.
        """
        session = secrets.token_hex(16)
        with self._mutex, self.transaction() as db:
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
        """Return the figures of now."""
        with self._mutex:
            kept = self._db.execute("select count(*) from spool where acked is not null").fetchone()
            return SpoolStats(
                waiting=self._waiting,
                waiting_bytes=self._waiting_bytes,
                kept=kept[0],
                collapsed=int(self.get("collapsed") or 0),
            )

    def _count(self) -> tuple[int, int]:
        with self._mutex:
            row = self._db.execute(
                "select count(*), coalesce(sum(length(data)), 0) from spool where acked is null"
            ).fetchone()
            large = self._db.execute("select coalesce(sum(length(data)), 0) from object").fetchone()
        return int(row[0]), int(row[1]) + int(large[0])
