"""One event on its way through a bot, with the source that waits for its acknowledgement."""

from __future__ import annotations

import enum
import os
from typing import NamedTuple, Protocol

from mewbot.core import InputEvent


class Fate(enum.Enum):
    """What a behaviour has made of an event; each has a counter of this name.

    Each has a word of its own in every message, too: only ``DONE`` is done.
    """

    DONE = enum.auto()
    """Its actions ran to their end."""
    SKIPPED = enum.auto()
    """No trigger matched, or a condition did not pass."""
    FAILED = enum.auto()
    """It was given up into a dead letter."""


class DeliverySource(Protocol):
    """Where deliveries come from: an input of limpet's, or the journal."""

    def acknowledge(self, delivery: Delivery) -> None:
        """Note that the event need not be delivered again."""

    def will_redeliver(self, delivery: Delivery) -> bool:
        """Return whether the next start delivers the event even if nothing stores it."""


class Earlier(NamedTuple):
    """The dead letter that a delivery is replayed from."""

    ident: str
    tries: tuple[object, ...]
    """The records of the tries before, oldest first."""


class Delivery:
    """An event, and how many behaviours still have to finish it."""

    __slots__ = ("_key", "dead_letter", "event", "fate", "remaining", "since", "source", "token")

    def __init__(
        self,
        event: InputEvent,
        source: DeliverySource | None = None,
        token: object = None,
    ) -> None:
        """Wrap an event.

        Args:
            event: The event.
            source: Gets the acknowledgement; ``None`` for inputs that do not expect one.
            token: What the source needs to find the event again.
        """
        self.event = event
        self.source = source
        self.token = token
        self.remaining = 1
        self.since = 0.0
        """When it was taken from the queue, in Unix seconds; 0 before that."""
        self._key = ""
        self.fate: Fate | None = None
        """What the behaviour that finished last has made of it."""
        self.dead_letter: Earlier | None = None
        """The dead letter it is replayed from; if it fails again, it replaces that one."""

    def finish(self) -> None:
        """Count one behaviour as finished, or its work as stored; the last one acknowledges."""
        self.remaining -= 1
        if self.remaining == 0:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Acknowledge the event to its source."""
        if self.source is not None:
            self.source.acknowledge(self)

    @property
    def key(self) -> str:
        """Identifies the delivery on disk: if it is stored twice, it is there once."""
        self._key = self._key or os.urandom(8).hex()
        return self._key

    @property
    def is_redelivered(self) -> bool:
        """Return whether the next start delivers the event even if nothing stores it."""
        return self.source is not None and self.source.will_redeliver(self)
