"""What the agent was asked to do, noted before it is done, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from limpet.remote._spool import Spool

__all__ = ["Intent", "Intents"]

_KEEP_S: Final = 86_400.0
"""Seconds an answer is kept: as long as the hub keeps it, and far longer than a command waits."""


class Intent(NamedTuple):
    """A command that was begun."""

    pre_size: int | None
    """Of an append: the file's size before it, bytes."""
    length: int
    sha256: str
    result: bytes | None
    """The answer, once it is done."""


class Intents:
    """The commands of one agent, in its spool's file."""

    def __init__(self, spool: Spool, clock: Callable[[], float] = time.time) -> None:
        """Use this file."""
        self._spool, self._clock = spool, clock

    def find(self, key: str) -> Intent | None:
        """Give what is noted of a command."""
        with self._spool.transaction() as db:
            row = db.execute(
                "select pre_size, length, sha256, result from command where id = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        size, length, digest, result = row
        return Intent(size, int(length or 0), str(digest or ""), result and bytes(result))

    def begin(self, key: str, pre_size: int | None, length: int, sha256: str) -> None:
        """Note what is about to be done."""
        with self._spool.transaction() as db:
            db.execute(
                "insert or replace into command (id, pre_size, length, sha256) values (?, ?, ?, ?)",
                (key, pre_size, length, sha256),
            )

    def end(self, key: str, result: bytes) -> None:
        """Note the answer, and forget those of a day ago."""
        now = self._clock()
        with self._spool.transaction() as db:
            db.execute(
                "insert into command (id, result, ended) values (?, ?, ?) on conflict (id) "
                "do update set result = excluded.result, ended = excluded.ended",
                (key, result, now),
            )
            db.execute("delete from command where ended < ?", (now - _KEEP_S,))
