"""The write-ahead journal of commands, in the spool's file: each command, and then its answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from limpet.remote._spool import Spool

_RETAIN_S: Final = 86_400.0
"""Seconds an answer is stored: as long as on the hub, and far longer than a command waits."""


class CommandRecord(NamedTuple):
    """A command whose execution was started."""

    pre_size: int | None
    """Size of the file before an append, in bytes."""
    result: bytes | None
    """The answer, once it is done."""


class CommandJournal:
    """The commands of one agent."""

    def __init__(self, spool: Spool, clock: Callable[[], float] = time.time) -> None:
        self._spool, self._clock = spool, clock

    def find(self, key: str) -> CommandRecord | None:
        with self._spool.transaction() as db:
            row = db.execute("select pre_size, result from command where id = ?", (key,)).fetchone()
        return None if row is None else CommandRecord(row[0], row[1] and bytes(row[1]))

    def begin(self, key: str, pre_size: int | None) -> None:
        """Store a command before it is performed."""
        with self._spool.transaction() as db:
            db.execute(
                "insert or replace into command (id, pre_size) values (?, ?)", (key, pre_size)
            )

    def end(self, key: str, result: bytes) -> None:
        """Store the answer, and remove those that are older than a day."""
        now = self._clock()
        with self._spool.transaction() as db:
            db.execute(
                "insert into command (id, result, ended) values (?, ?, ?) on conflict (id) "
                "do update set result = excluded.result, ended = excluded.ended",
                (key, result, now),
            )
            db.execute("delete from command where ended < ?", (now - _RETAIN_S,))
