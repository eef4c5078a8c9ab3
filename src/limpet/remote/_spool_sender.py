"""Sends the events of the spool to the hub, in order, one batch after the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from limpet._backoff import Backoff
from limpet._tracing import Tracing, tracing
from limpet.remote._envelope import event_id, resign
from limpet.remote._spool import Row, Spool
from limpet.remote.transport import (
    Ack,
    DisconnectedError,
    HubError,
    HubFullError,
    Message,
    NotPermittedError,
    TooLargeError,
    Transport,
)

_WINDOW: Final = 256
"""Events in a batch: more gains nothing (research, 2026-11), and is what may be sent twice."""
_PAUSE_MIN_S: Final = 0.25
_PAUSE_MAX_S: Final = 60.0

State = Literal["starting", "sending", "spooling", "hub full", "refused", "spool failed"]

_STATES: Final[dict[type[Exception], State]] = {
    NotPermittedError: "refused",
    HubFullError: "hub full",
    HubError: "spooling",
    sqlite3.Error: "spool failed",
}

_log = logging.getLogger("limpet.agent")


@dataclass(slots=True)
class SenderHealth:
    """The state of the sender, for operators."""

    state: State = "starting"
    trouble: str = ""
    """The problem in one sentence; empty if there is none."""
    sent: int = 0
    """Events stored by the hub since the start."""
    duplicates: int = 0
    """Those of them that it had already."""
    attempts: int = 0
    """Batches sent to the hub."""
    resent: int = 0
    """Events sent again because the hub was restarted."""
    sessions: int = 0
    """Times that another agent was found to use a copy of this spool."""


class SpoolSender:
    """The only sender of one spool: it preserves the order."""

    def __init__(
        self,
        spool: Spool,
        transport: Transport,
        *,
        pause_min: float = _PAUSE_MIN_S,
        bucket: str = "",
    ) -> None:
        """Create a sender; after a failure it pauses ``pause_min`` seconds, doubled each time.

        ``bucket`` is the destination of large contents.
        """
        self.spool, self.transport = spool, transport
        self.health = SenderHealth()
        self._tracing = tracing()
        self._wakeup = asyncio.Event()
        self._backoff = Backoff(pause_min, _PAUSE_MAX_S)
        self._bucket = bucket
        self.refused: set[str] = set()
        """Subjects that the hub does not allow; their events stay in the spool."""
        self._ask_again = 0.0
        self._drained = asyncio.Event()

    def wake(self) -> None:
        """Report that the spool has new events."""
        self._drained.clear()
        self._wakeup.set()

    async def drained(self) -> None:
        """Wait until the hub has all events of the spool."""
        await self._drained.wait()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                if not self.transport.connected and self.health.state in {"starting", "sending"}:
                    self.health.state, self.health.trouble = "spooling", "the hub is away"
                await self._check_hub()
                sent = await self._send()
            except (HubError, sqlite3.Error) as error:
                await asyncio.sleep(self._failed(error))
            else:
                self._backoff.reset()
                if not self.refused:
                    self.health.state, self.health.trouble = "sending", ""
                if not sent:
                    await self._rest()

    def _failed(self, error: HubError | sqlite3.Error) -> float:
        """Note a failure, and return the seconds until the next attempt."""
        state = next(state for kind, state in _STATES.items() if isinstance(error, kind))
        if (state, str(error)) != (self.health.state, self.health.trouble):
            _log.warning("%s: %s", state, error)
        self.health.state, self.health.trouble = state, str(error)
        if isinstance(error, NotPermittedError):
            self._ask_again = time.monotonic() + self._backoff.longest
            # Events of other subjects are sent at once.
            return 0.0 if self.refused else self._backoff.longest
        pause = self._backoff.next()
        if isinstance(error, HubFullError):
            return max(4 * self._backoff.first, pause)
        # A connection has a back-off of its own.
        return min(1.0, pause) if isinstance(error, DisconnectedError) else pause

    async def _rest(self) -> None:
        """Wait for new events, or for the next attempt at a refused subject."""
        if not self.refused:
            self._drained.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._until_next_attempt()):
                await self._wakeup.wait()
        self._wakeup.clear()

    def _until_next_attempt(self) -> float | None:
        if not self.refused:
            return None
        left = self._ask_again - time.monotonic()
        if left <= 0:
            self.refused.clear()
        return max(0.0, left)

    async def _check_hub(self) -> None:
        """Check which hub it is; one that was restarted may have lost what it acknowledged."""
        identity = await self.transport.identity()
        known = await asyncio.to_thread(self.spool.get, "server")
        if identity.server == known:
            return
        if known is not None:
            again = await asyncio.to_thread(self.spool.send_again)
            self.health.resent += again
            if again:
                _log.info("the hub was restarted: sending %d acknowledged events again", again)
        await asyncio.to_thread(self.spool.put, "server", identity.server)

    async def _send(self) -> int:
        rows = await asyncio.to_thread(
            partial(self.spool.waiting, _WINDOW, without=tuple(self.refused))
        )
        if not rows:
            return 0
        fresh = [row.seq for row in rows if not row.tried]
        if fresh:
            await asyncio.to_thread(self.spool.mark_tried, fresh)
        firsts = set(fresh)
        self.health.attempts += 1
        await self._put_contents(rows)
        session = self.spool.session
        if self._tracing is None:
            batch = [Message(row.subject, row.data, event_id(session, row.seq)) for row in rows]
            return await self._publish(rows, batch, firsts)
        with traced_batch(self._tracing, rows, session) as batch:
            return await self._publish(rows, batch, firsts)

    async def _publish(self, rows: list[Row], batch: list[Message], firsts: set[int]) -> int:
        """Send events, note that the hub has them, and return how many they are."""
        try:
            acks = await self.transport.publish(batch)
        except TooLargeError:
            acks = await self._one_by_one(rows, batch)
        except NotPermittedError:
            await self._find_refused(rows, batch)
            raise
        if any(
            ack.duplicate and row.seq in firsts and not _is_marker(row)
            for ack, row in zip(acks, rows, strict=True)
        ):
            await self._leave_session()
            return len(rows)
        self.health.sent += len(acks)
        self.health.duplicates += sum(ack.duplicate for ack in acks)
        await asyncio.to_thread(self.spool.mark_acked, [row.seq for row in rows])
        return len(rows)

    async def _put_contents(self, rows: list[Row]) -> None:
        """Upload large contents before the events that refer to them."""
        for name in dict.fromkeys(row.object for row in rows):
            if name is not None:
                data = await asyncio.to_thread(self.spool.content, name)
                if data is not None:
                    await self.transport.put_object(self._bucket, name, data)

    async def _one_by_one(self, rows: list[Row], batch: list[Message]) -> list[Ack]:
        """Send events one by one, without those that are too large for the hub."""
        acks = []
        for row, message in zip(rows, batch, strict=True):
            try:
                acks += await self.transport.publish([message])
            except TooLargeError as error:
                _log.error("giving up event %d: %s", row.seq, error)
                acks.append(Ack(0))
        return acks

    async def _find_refused(self, rows: list[Row], batch: list[Message]) -> None:
        """Send events one by one, to find the subjects that are refused."""
        done = []
        for row, message in zip(rows, batch, strict=True):
            if row.subject in self.refused:
                continue
            try:
                await self.transport.publish([message])
            except NotPermittedError as error:
                self.refused.add(row.subject)
                _log.error("%s", error)
            else:
                done.append(row.seq)
        if done:
            await asyncio.to_thread(self.spool.mark_acked, done)

    async def _leave_session(self) -> None:
        """Continue under another session: another agent uses a copy of this spool."""
        self.health.sessions += 1
        session = await asyncio.to_thread(self.spool.new_session, resign)
        _log.error(
            "the hub had an event before it was sent: another agent uses a copy of this spool "
            "(%s); continuing under the new session %s",
            self.spool.path,
            session,
        )


def _is_marker(row: Row) -> bool:
    """Return whether it replaces events that were given up; the hub may have one of them."""
    return row.subject.endswith(".watch.overflow")


@contextlib.contextmanager
def traced_batch(found: Tracing, rows: list[Row], session: str) -> Iterator[list[Message]]:
    """Make a span for each event that is sent in the block; its message carries the trace on."""
    batch = []
    with contextlib.ExitStack() as stack:
        for row in rows:
            ident = event_id(session, row.seq)
            kind = ".".join(row.subject.split(".")[-2:])
            span = found.start(
                f"send {kind}",
                {"cloudevents.event_id": ident, "messaging.destination.name": row.subject},
                kind="producer",
            )
            stack.callback(span.end)
            batch.append(Message(row.subject, row.data, ident, found.headers(span)))
        yield batch
