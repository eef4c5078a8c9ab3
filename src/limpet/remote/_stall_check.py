"""A durable consumer whose position is beyond its stream: it delivers nothing, without an error.

Servers before 2.12 may restore a stream without its last messages, and the consumer with a
position among them (nats-server issue 5412). New messages then have numbers that it passes over.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from limpet.remote.transport import HubError, Transport

_QUIET_S: Final = 10.0
"""Seconds without an event before the hub is asked, and between two such requests."""

_log = logging.getLogger("limpet.remote")


class StallCheck:
    """Reports that a consumer is stalled, once."""

    def __init__(
        self, transport: Transport, stream: str, consumer: str, *, quiet_s: float = _QUIET_S
    ) -> None:
        self._transport, self._stream, self._consumer = transport, stream, consumer
        self._quiet_s = quiet_s
        self._since = time.monotonic()
        self.reason = ""
        """Why nothing is delivered any more; empty if all is well."""

    async def after(self, count: int) -> None:
        """Note how many events a request brought; check the consumer if none come for some time."""
        now = time.monotonic()
        if count:
            self._since, self.reason = now, ""
        elif now - self._since >= self._quiet_s:
            self._since = now
            await self._check()

    async def _check(self) -> None:
        try:
            reason = await self._transport.stalled(self._stream, self._consumer)
        except HubError as error:
            _log.debug("cannot check the consumer %s: %s", self._consumer, error)
            return
        if reason and reason != self.reason:
            _log.error("worker: no more events: %s", reason)
        self.reason = reason
