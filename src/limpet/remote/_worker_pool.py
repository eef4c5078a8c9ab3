"""Work mode: several processes share the events, each event goes to one of them."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from limpet.remote._dedup import Seen
from limpet.remote._envelope import RemoteEvent
from limpet.remote._message_decoding import event_of, keep
from limpet.remote._subjects import Subjects
from limpet.remote.transport import (
    Delivery,
    HubError,
    Message,
    NotPermittedError,
    Transport,
    Worker,
)

__all__ = ["Pool"]

_log = logging.getLogger("limpet.remote")


class Pool:
    """One worker's share."""

    def __init__(
        self,
        transport: Transport,
        *,
        bot: str,
        subjects: Subjects,
        hosts: Sequence[str],
        handler: Callable[[RemoteEvent], Awaitable[None]],
        tries: int,
        retry_delay: float,
        ack_wait: float,
        batch: int,
        on_event: Callable[[str, Any], None] | None,
    ) -> None:
        """Know what is to be done; see ``read_events``."""
        self._transport, self._bot, self._subjects = transport, bot, subjects
        self._handler, self._tries, self._retry_delay = handler, tries, retry_delay
        self._ack_wait, self._batch = ack_wait, batch
        self._tell = on_event or (lambda _what, _event: None)
        self._filters = [(f"work-{bot}-{host}", subjects.events_of(host)) for host in hosts] or [
            (f"work-{bot}", subjects.events_of())
        ]
        self._seen = Seen()
        """Events this worker has dealt with: an answer that was lost brings them again."""

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, subject in self._filters:
                tasks.create_task(self._work(name, subject))

    async def _work(self, name: str, subject: str) -> None:
        worker: Worker | None = None
        while True:
            try:
                if worker is None:
                    worker = await self._transport.work(
                        self._subjects.events,
                        name,
                        subject,
                        ack_wait=self._ack_wait,
                        limit=2 * self._batch,
                    )
                batch = deque(await worker.fetch(self._batch, 2.0))
                keeper = asyncio.create_task(keep(batch, self._ack_wait))
                try:
                    while batch:
                        await self._handle(batch[0])
                        batch.popleft()
                finally:
                    keeper.cancel()
            except NotPermittedError:
                raise
            except HubError as error:
                _log.warning("working: %s", error)
                worker = None
                await asyncio.sleep(0.25)

    async def _handle(self, delivery: Delivery) -> None:
        event = event_of(delivery.message, self._subjects)
        if event is None:
            await delivery.term()
            return
        if self._seen.has(event.session, event.seq):
            await delivery.ack(confirm=False)
            return
        try:
            await self._handler(event)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 (a handler may fail in any way)
            await self._failed(delivery, event, error)
            return
        self._seen.add(event.session, event.seq)
        await delivery.ack(confirm=False)
        self._tell("done", event)

    async def _failed(self, delivery: Delivery, event: RemoteEvent, error: Exception) -> None:
        if delivery.attempt < self._tries:
            _log.warning("attempt %d at %s failed: %r", delivery.attempt, event.id, error)
            self._tell("failed", event)
            await delivery.nak(self._retry_delay)
            return
        letter = {
            "v": 1,
            "bot": self._bot,
            "attempts": delivery.attempt,
            "error": "".join(traceback.format_exception(error))[-8000:],
            "event": json.loads(delivery.message.data),
            "subject": delivery.message.subject,
        }
        subject = self._subjects.dead_letters(self._bot)
        data = json.dumps(letter, separators=(",", ":")).encode()
        await self._transport.publish([Message(subject, data, f"dead.{self._bot}.{event.id}")])
        await delivery.term()
        _log.error("gave up on %s after %d attempts: %r", event.id, delivery.attempt, error)
        self._tell("dead", event)
