"""The checkpoints of readers: the last message whose event is acknowledged, in an SQLite table.

The reader stores them and not the hub, whose own notes about its consumers have been wrong after
crashes in both directions (nats-server issues 5412 and 8036).
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from limpet.remote._dedup import DeliveredRanges

_SCHEMA: Final = (
    "create table if not exists limpet_checkpoint "
    "(name text primary key, position text not null, acknowledged text not null)"
)


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
        self._is_closed = False

    def open(self) -> None:
        """Let the store be used again after ``close``."""
        self._is_closed = False

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, which is opened now if it was not yet.

        Raises:
            sqlite3.ProgrammingError: The store is closed.
        """
        if self._is_closed:
            message = "the checkpoint store is closed"
            raise sqlite3.ProgrammingError(message)
        if self._connection is None:
            made = self._where
            if not isinstance(made, sqlite3.Connection):
                made = sqlite3.connect(made, check_same_thread=False, isolation_level=None)
            try:
                if self.owns_file:
                    made.execute("pragma journal_mode=wal")
                made.execute(_SCHEMA)
            except BaseException:
                if self.owns_file:
                    made.close()
                raise
            self._connection = made
        return self._connection

    def load(self, name: str) -> tuple[StreamPosition | None, DeliveredRanges]:
        """Return a checkpoint: the position, and the events that are acknowledged."""
        row = self.connection.execute(
            "select position, acknowledged from limpet_checkpoint where name = ?", (name,)
        ).fetchone()
        if row is None:
            return None, DeliveredRanges()
        return StreamPosition(**json.loads(row[0])), DeliveredRanges.load(row[1])

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
