"""Work mode: several processes share the events, and each event goes to one of them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from limpet._dead_letter import LONGEST_TRACE, dead_letter
from limpet._error_text import traceback_text
from limpet.remote._dedup import DeliveredRanges
from limpet.remote._envelope import RemoteEvent
from limpet.remote._fleet_hosts import FleetHosts
from limpet.remote._message_decoding import event_of, handle_each
from limpet.remote._stall_check import StallCheck
from limpet.remote._stream_setup import work_consumer
from limpet.remote._subjects import Subjects, check_slug
from limpet.remote.transport import (
    DisconnectedError,
    HubError,
    Message,
    NotPermittedError,
    StoredMessage,
    Transport,
    WorkConsumer,
    WorkMessage,
)

_log = logging.getLogger("limpet.remote")


async def read_events(
    transport: Transport,
    *,
    bot: str,
    handler: Callable[[RemoteEvent], Awaitable[None]],
    hosts: Sequence[str] = (),
    subjects: Subjects | None = None,
    tries: int = 5,
    retry_delay: float = 5.0,
    ack_wait: float = 30.0,
    batch: int = 16,
    on_event: Callable[[str, Any], None] | None = None,
) -> None:
    """Share the events with other processes that call this with the same ``bot``; until cancelled.

    Work mode: the order is not preserved, the events of a worker that died go to another after
    ``ack_wait``, and an event that fails ``tries`` times becomes a dead letter with its reason.

    Args:
        transport: The connection to the hub.
        bot: Workers with one name share the events.
        handler: Processes an event; an exception is a failure.
        hosts: The hosts to read; none is every host.
        subjects: For a fleet with a prefix of its own.
        tries: Attempts for each event.
        retry_delay: Seconds before the next attempt.
        ack_wait: Seconds without an answer after which another worker gets the events.
        batch: Events that a worker takes at a time.
        on_event: Called with ``("done", event)``, ``("failed", event)``, ``("dead", event)`` or
            ``("set aside", message)``, for figures.

    Raises:
        NotPermittedError: The hub's rules do not allow it.
    """
    subjects = subjects or Subjects()
    bot = check_slug(bot, "bot")
    names = [check_slug(host, "host") for host in hosts]
    fleet = FleetHosts(transport, subjects)
    pool = _WorkerPool(
        transport=transport,
        bot=bot,
        subjects=subjects,
        handler=handler,
        tries=tries,
        retry_delay=retry_delay,
        ack_wait=ack_wait,
        batch=batch,
        on_event=on_event or (lambda _what, _event: None),
    )
    async with asyncio.TaskGroup() as tasks:
        known = names or await fleet.names()
        for host in known:
            tasks.create_task(pool.work(host))
        while not names:
            added = await fleet.added(known)
            for host in added:
                tasks.create_task(pool.work(host))
            known = [*known, *added]


@dataclass(slots=True, kw_only=True)
class _WorkerPool:
    """The workers of one call of ``read_events``: one for each filter."""

    transport: Transport
    bot: str
    subjects: Subjects
    handler: Callable[[RemoteEvent], Awaitable[None]]
    tries: int
    retry_delay: float
    ack_wait: float
    batch: int
    on_event: Callable[[str, Any], None]
    processed: dict[str, DeliveredRanges] = field(
        default_factory=lambda: defaultdict(DeliveredRanges)
    )
    """Host -> its events that were processed here: delivered again if the answer was lost. By host,
    for the session in an event is what its host says."""

    async def work(self, host: str) -> None:
        """Process the events of one host until cancelled."""
        worker: WorkConsumer | None = None
        stalls = StallCheck(self.transport, self.subjects.events(host), work_consumer(self.bot))
        try:
            while True:
                try:
                    if worker is None:
                        worker = await self._open(host)
                    batch = await worker.fetch(self.batch, 2.0)
                    await stalls.after(len(batch))
                    await handle_each(worker, batch, self.ack_wait, partial(self._handle, host))
                except NotPermittedError:
                    raise
                except HubError as error:
                    _log.warning("worker: hub error, reconnecting: %s", error)
                    worker = None
                    await asyncio.sleep(0.25)
        finally:
            if worker is not None:
                await worker.close()

    async def _open(self, host: str) -> WorkConsumer:
        return await self.transport.work(
            self.subjects.events(host),
            work_consumer(self.bot),
            self.subjects.events_of(host),
            ack_wait=self.ack_wait,
            limit=2 * self.batch,
        )

    async def _handle(self, host: str, delivery: WorkMessage) -> None:
        event = event_of(delivery.message, self.subjects, host)
        if event is None:
            await delivery.term()
            self._report("set aside", delivery.message)
            return
        if self.processed[host].has(event.session, event.seq):
            await delivery.ack(confirm=False)
            return
        try:
            await self.handler(event)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a handler may fail in any way
            await self._failed(delivery, event, error)
            return
        self.processed[event.host].add(event.session, event.seq)
        await delivery.ack(confirm=False)
        self._report("done", event)

    def _report(self, what: str, event: RemoteEvent | StoredMessage) -> None:
        try:
            self.on_event(what, event)
        except Exception:  # noqa: BLE001 - a caller's figures stop no event
            _log.exception("on_event(%r) failed", what)

    async def _failed(self, delivery: WorkMessage, event: RemoteEvent, error: Exception) -> None:
        if delivery.attempt < self.tries:
            _log.warning("attempt %d of event %s failed: %r", delivery.attempt, event.id, error)
            self._report("failed", event)
            await delivery.nak(self.retry_delay)
            return
        record = dead_letter(
            json.loads(delivery.message.data),
            attempts=delivery.attempt,
            error=error,
            bot=self.bot,
            subject=delivery.message.subject,
            traceback=traceback_text(error, LONGEST_TRACE),
        )
        subject = self.subjects.dead_letters(self.bot)
        data = json.dumps(record, separators=(",", ":")).encode()
        try:
            await self.transport.publish([Message(subject, data)])
        except DisconnectedError:
            raise
        except HubError as failure:
            _log.error("cannot store the dead letter of event %s: %s", event.id, failure)
            await delivery.nak(self.retry_delay)
            return
        await delivery.term()
        _log.error("gave up event %s after %d attempts: %r", event.id, delivery.attempt, error)
        self._report("dead", event)
