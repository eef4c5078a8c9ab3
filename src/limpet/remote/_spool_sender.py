"""Empties the spool into the hub, in order, one batch after the other, while the agent runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from limpet.remote._envelope import event_id, resign
from limpet.remote._spool import Row, Spool
from limpet.remote.transport import (
    Ack,
    DisconnectedError,
    HubError,
    HubFullError,
    Message,
    MissingStreamError,
    NotPermittedError,
    TooLargeError,
    Transport,
)

__all__ = ["Health", "Sender"]

_WINDOW: Final = 256
"""Events a batch: more gains nothing (research, 2026-11), and is what may come twice."""
_PAUSE_MIN_S: Final = 0.25
_PAUSE_MAX_S: Final = 60.0

State = Literal["starting", "sending", "spooling", "hub full", "refused", "spool failed"]

_log = logging.getLogger("limpet.agent")


@dataclass(slots=True)
class Health:
    """How the sending stands, for operators."""

    state: State = "starting"
    trouble: str = ""
    """What is wrong, in one sentence; empty if nothing is."""
    sent: int = 0
    """Events stored by the hub since the start."""
    duplicates: int = 0
    """Of those, the ones it had already."""
    attempts: int = 0
    """Batches given to the hub."""
    resent: int = 0
    """Events sent again because the hub is another than before."""
    sessions: int = 0
    """Times another agent was found to use this one's spool."""


class Sender:
    """One ordered sender for one spool."""

    def __init__(
        self,
        spool: Spool,
        transport: Transport,
        *,
        pause_min: float = _PAUSE_MIN_S,
        pause_max: float = _PAUSE_MAX_S,
        window: int = _WINDOW,
        bucket: str = "",
        on_refused: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """Know the parts.

        Args:
            bucket: Where large contents go.
            spool: Where the events are.
            transport: Where they go.
            pause_min: Seconds before the first new attempt after a failure; doubled with each.
            pause_max: Seconds between attempts, at most.
            window: Events a batch.
            on_refused: Called with a subject that the hub does not allow.
        """
        self.spool, self.transport = spool, transport
        self.health = Health()
        self._news = asyncio.Event()
        self._pause_min, self._pause_max, self._window = pause_min, pause_max, window
        self._bucket, self._on_refused = bucket, on_refused
        self.refused: set[str] = set()
        """Subjects the hub does not allow; their events stay in the spool."""
        self._ask_again = 0.0
        self._firsts: set[int] = set()
        """Events that were given to the hub for the first time by this process."""
        self._drained = asyncio.Event()

    def wake(self) -> None:
        """There is something new in the spool."""
        self._drained.clear()
        self._news.set()

    async def drained(self) -> None:
        """Return once the hub has all that is in the spool."""
        await self._drained.wait()

    async def run(self) -> None:
        """Send until cancelled."""
        pause = self._pause_min
        while True:
            try:
                if not self.transport.connected and self.health.state in {"starting", "sending"}:
                    self.health.state, self.health.trouble = "spooling", "the hub is away"
                await self._check_hub()
                sent = await self._send()
            except asyncio.CancelledError:
                raise
            except NotPermittedError as error:
                self._fail("refused", error)
                self._ask_again = time.monotonic() + self._pause_max
                if self.refused:
                    continue  # what is allowed goes on at once
                pause = self._pause_max
            except HubFullError as error:
                self._fail("hub full", error)
                pause = max(1.0 if self._pause_min >= _PAUSE_MIN_S else self._pause_min, pause)
            except MissingStreamError as error:
                self._fail("spooling", error)
            except DisconnectedError as error:
                self._fail("spooling", error)
                pause = min(pause, 1.0)  # the connection has a back-off of its own
            except HubError as error:
                self._fail("spooling", error)
            except sqlite3.Error as error:
                self._fail("spool failed", error)
            else:
                pause = self._pause_min
                if not self.refused:
                    self.health.state, self.health.trouble = "sending", ""
                if not sent:
                    await self._rest()
                continue
            await asyncio.sleep(pause)
            pause = min(self._pause_max, pause * 2)

    async def _rest(self) -> None:
        """Wait for something to send, or until what was refused may be asked for again."""
        if not self.refused:
            self._drained.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._until_asked_again()):
                await self._news.wait()
        self._news.clear()

    def _until_asked_again(self) -> float | None:
        if not self.refused:
            return None
        left = self._ask_again - time.monotonic()
        if left <= 0:
            self.refused.clear()
        return max(0.0, left)

    def _fail(self, state: State, error: HubError | sqlite3.Error) -> None:
        if (state, str(error)) != (self.health.state, self.health.trouble):
            _log.warning("%s: %s", state, error)
        self.health.state, self.health.trouble = state, str(error)

    async def _check_hub(self) -> None:
        """See which hub it is; one that was restarted may have forgotten what it acknowledged."""
        identity = await self.transport.identity()
        known = await asyncio.to_thread(self.spool.get, "server")
        if identity.server == known:
            return
        if known is not None:
            again = await asyncio.to_thread(self.spool.send_again)
            self.health.resent += again
            if again:
                _log.info("the hub was restarted: %d kept events are sent again", again)
        await asyncio.to_thread(self.spool.put, "server", identity.server)

    async def _send(self) -> int:
        rows = await asyncio.to_thread(
            partial(self.spool.waiting, self._window, without=tuple(self.refused))
        )
        if not rows:
            return 0
        fresh = [row.seq for row in rows if not row.tried]
        if fresh:
            await asyncio.to_thread(self.spool.mark_tried, fresh)
            self._firsts = set(fresh)
        else:
            self._firsts = set()
        self.health.attempts += 1
        await self._put_contents(rows)
        batch = [
            Message(row.subject, row.data, event_id(self.spool.session, row.seq)) for row in rows
        ]
        try:
            acks = await self.transport.publish(batch)
        except TooLargeError:
            acks = await self._one_by_one(rows, batch)
        except NotPermittedError:
            await self._find_refused(rows, batch)
            raise
        if any(
            ack.duplicate and row.seq in self._firsts and not _is_marker(row)
            for ack, row in zip(acks, rows, strict=True)
        ):
            await self._leave_session()
            return len(rows)
        self.health.sent += len(acks)
        self.health.duplicates += sum(ack.duplicate for ack in acks)
        await asyncio.to_thread(self.spool.mark_acked, [row.seq for row in rows])
        return len(rows)

    async def _put_contents(self, rows: list[Row]) -> None:
        """Put large contents on the hub before the events that name them: none names nothing."""
        for name in dict.fromkeys(row.object for row in rows):
            if name is not None:
                data = await asyncio.to_thread(self.spool.content, name)
                if data is not None:
                    await self.transport.put_object(self._bucket, name, data)

    async def _one_by_one(self, rows: list[Row], batch: list[Message]) -> list[Ack]:
        """Send each alone, without those that are larger than the hub takes."""
        acks = []
        for row, message in zip(rows, batch, strict=True):
            try:
                acks += await self.transport.publish([message])
            except TooLargeError as error:
                _log.error("event %d is given up: %s", row.seq, error)
                acks.append(Ack(0))
        return acks

    async def _find_refused(self, rows: list[Row], batch: list[Message]) -> None:
        """Send each alone, to learn which subjects are refused; what is allowed goes on."""
        done = []
        for row, message in zip(rows, batch, strict=True):
            if row.subject in self.refused:
                continue
            try:
                await self.transport.publish([message])
            except NotPermittedError as error:
                self.refused.add(row.subject)
                _log.error("%s", error)
                if self._on_refused is not None:
                    await self._on_refused(row.subject)
            else:
                done.append(row.seq)
        if done:
            await asyncio.to_thread(self.spool.mark_acked, done)

    async def _leave_session(self) -> None:
        """Another agent uses a copy of this spool: go on under a session of our own."""
        self.health.sessions += 1
        session = await asyncio.to_thread(self.spool.new_session, resign)
        _log.error(
            "the hub knew an event before it was sent: another agent uses a copy of this spool "
            "(%s); a new session %s is begun here",
            self.spool.path,
            session,
        )


def _is_marker(row: Row) -> bool:
    """Whether it stands in the place of events that were given up, one of which may be stored."""
    return row.subject.endswith(".watch.overflow")
