"""The hosts of a fleet, as ``limpet hub init`` has written them to the hub."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection
from typing import Final

from limpet.remote._subjects import Subjects, is_slug
from limpet.remote.transport import HubError, MissingStreamError, Transport

_ASK_S: Final = 30.0
"""Seconds between two questions for hosts that were added."""

_log = logging.getLogger("limpet.remote")


class FleetHosts:
    """Asks the hub for the hosts of its fleet: a reader of all hosts reads each host's stream."""

    def __init__(self, transport: Transport, subjects: Subjects, *, ask_s: float = _ASK_S) -> None:
        self._transport, self._subjects, self._ask_s = transport, subjects, ask_s

    async def names(self) -> list[str]:
        """Return the hosts.

        Raises:
            MissingStreamError: The hub has no list of them.
            HubError: It does not answer, or refuses.
        """
        raw = await self._transport.get_value(self._subjects.fleet, "hosts")
        try:
            found = None if raw is None else json.loads(raw)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list):
            message = "the hub has no list of the fleet's hosts; run 'limpet hub init FLEET'"
            raise MissingStreamError(message)
        return [name for name in found if isinstance(name, str) and is_slug(name)]

    async def added(self, known: Collection[str]) -> list[str]:
        """Wait until there are hosts that are not known, and return them."""
        while True:
            await asyncio.sleep(self._ask_s)
            try:
                fresh = [name for name in await self.names() if name not in known]
            except HubError as error:
                _log.debug("cannot ask for the fleet's hosts: %s", error)
                continue
            if fresh:
                return fresh
