"""The checkpoints of readers: the last message whose event is acknowledged, in an SQLite table.

The reader stores them and not the hub, whose own notes about its consumers have been wrong after
crashes in both directions (nats-server issues 5412 and 8036).
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from limpet._file_lock import FileLock
from limpet._state_access import state_error
from limpet.errors import LimpetError
from limpet.remote._dedup import DeliveredRanges
from limpet.remote._envelope import DECODING_ERRORS

_NO_DATABASE: Final = "not a database"
"""Part of SQLite's message for a file of another kind (SQLITE_NOTADB), which has no class of its
own among the driver's exceptions."""

_SCHEMA: Final = (
    "create table if not exists limpet_checkpoint "
    "(name text primary key, position text not null, acknowledged text not null)"
)


class CheckpointError(LimpetError):
    """The checkpoints of a reader cannot be used: the file is unchanged."""

    default_code = "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPosition:
    """A position in a stream: that of one message."""

    seq: int
    """Number of the message; 0 before the first one."""
    id: str
    """Its id: with the time, it tells whether the hub still has this message under its number."""
    time: float
    """When the hub stored it; unix seconds of the hub's clock."""


class CheckpointStore:
    """Checkpoints in an SQLite file, or in a database of the program's own."""

    def __init__(self, where: str | Path | sqlite3.Connection) -> None:
        """Open nothing yet: a file is opened by its first use, in the thread that uses it.

        Args:
            where: A file; or a connection, then ``save`` becomes part of its open transaction, and
                the program commits it.
        """
        self.owns_file = not isinstance(where, sqlite3.Connection)
        """Whether the store opens the file, and the program has no connection to it."""
        self._where = where
        self._connection: sqlite3.Connection | None = None
        self._lock: FileLock | None = None
        self._is_closed = False

    def open(self) -> None:
        """Let the store be used again after ``close``."""
        self._is_closed = False

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, which is opened now if it was not yet.

        Raises:
            sqlite3.ProgrammingError: The store is closed.
            CheckpointError: The file is damaged, or another reader has it open.
        """
        if self._is_closed:
            message = "the checkpoint store is closed"
            raise sqlite3.ProgrammingError(message)
        if self._connection is None:
            where = self._where
            if isinstance(where, sqlite3.Connection):
                where.execute(_SCHEMA)
                self._connection = where
            else:
                self._connection = self._opened(Path(where))
        return self._connection

    def _opened(self, path: Path) -> sqlite3.Connection:
        """Lock and open the file."""
        try:
            self._lock = FileLock(path.with_name(path.name + ".lock"))
        except BlockingIOError as error:
            message = (
                f"another reader has the checkpoint file {str(path)!r} open, and both would do the "
                "same work: give each its own, or share the work with read_events"
            )
            raise CheckpointError(message, code="checkpoint-busy") from error
        except OSError as error:
            raise CheckpointError(str(state_error(path, error))) from error
        made = None
        try:
            made = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            made.execute("pragma journal_mode=wal")
            made.execute(_SCHEMA)
        except BaseException as error:
            if made is not None:
                made.close()
            self._lock.close()
            if isinstance(error, sqlite3.DatabaseError) and _NO_DATABASE in str(error):
                raise CheckpointError(_damaged(path, str(error))) from error
            raise
        return made

    def load(self, name: str) -> tuple[StreamPosition | None, DeliveredRanges]:
        """Return a checkpoint: the position, and the events that are acknowledged.

        Raises:
            CheckpointError: It is damaged; it stays as it is.
        """
        row = self.connection.execute(
            "select position, acknowledged from limpet_checkpoint where name = ?", (name,)
        ).fetchone()
        if row is None:
            return None, DeliveredRanges()
        try:
            return _position(json.loads(row[0])), DeliveredRanges.load(row[1])
        except DECODING_ERRORS as error:
            where = "the program's own database" if not self.owns_file else self._where
            raise CheckpointError(_damaged(where, f"{name}: {error!r}")) from error

    def save(self, name: str, position: StreamPosition, acknowledged: DeliveredRanges) -> None:
        self.connection.execute(
            "insert or replace into limpet_checkpoint values (?, ?, ?)",
            (name, json.dumps(asdict(position)), acknowledged.dump()),
        )

    def close(self) -> None:
        """Close the file, unless it is the program's own."""
        if not self.owns_file:
            return
        self._is_closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self._lock is not None:
            self._lock.close()


def _position(found: Any) -> StreamPosition:
    """Return the position in a row.

    Raises:
        ValueError, TypeError, LookupError: The row has no position.
    """
    seq, name, moment = found["seq"], found["id"], found["time"]
    if type(seq) is not int or not isinstance(name, str) or type(moment) not in {int, float}:
        message = f"the position is {found!r}"
        raise TypeError(message)
    return StreamPosition(seq=seq, id=name, time=float(moment))


def _damaged(where: object, reason: str) -> str:
    return (
        f"cannot use the checkpoints in {str(where)!r}: {reason}; move the file away to start "
        "without them, as 'start' says"
    )
