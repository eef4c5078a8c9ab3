"""The base of limpet's own inputs, which know what becomes of their events."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol, runtime_checkable

from mewbot.api.v1 import Input

from limpet.bot._delivery import Delivery
from limpet.status import AgentStatus, HubStatus


@runtime_checkable
class HasLeftovers(Protocol):
    """An input that may have read more than it has queued when the bot stops."""

    @property
    def label(self) -> str:
        """The name of the component that the input belongs to."""

    async def leftovers(self) -> list[Delivery]:
        """Return what was found and not queued, where the next start would not find it again."""


@runtime_checkable
class ReadsHub(Protocol):
    """An input that reads from a hub."""

    @property
    def agents(self) -> tuple[AgentStatus, ...]:
        """Those of the hosts that it reads, as ``refresh`` found them last."""

    def hub(self) -> HubStatus | None:
        """Return the connection to the hub; ``None`` if nothing is read from it."""

    async def refresh(self) -> None:
        """Ask the hub what the agents that it reads have reported last."""


class LimpetInput(Input):
    """An input that takes acknowledgements.

    It goes on while a stopping bot drains its queues, so that the acknowledgements still reach it.
    """

    @property
    @abstractmethod
    def label(self) -> str:
        """The name of the component that the input belongs to."""

    @abstractmethod
    def quiesce(self) -> None:
        """Deliver no more events."""

    @abstractmethod
    def acknowledge(self, delivery: Delivery) -> None:
        """Note that the event was processed, or is stored elsewhere, and need not come again."""

    @abstractmethod
    def will_redeliver(self, delivery: Delivery) -> bool:
        """Return whether the next start delivers the event even if nothing stores it."""
