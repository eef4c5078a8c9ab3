"""What limpet needs of a message engine, and the engines that give it."""

from limpet.remote.transport._base import (
    Ack,
    Consumer,
    Delivery,
    DisconnectedError,
    HubError,
    HubFullError,
    Identity,
    Message,
    MissingStreamError,
    NotPermittedError,
    Stored,
    StreamSpec,
    TooLargeError,
    Transport,
    Worker,
)
from limpet.remote.transport._memory import MemoryHub, MemoryTransport

__all__ = [
    "Ack",
    "Consumer",
    "Delivery",
    "DisconnectedError",
    "HubError",
    "HubFullError",
    "Identity",
    "MemoryHub",
    "MemoryTransport",
    "Message",
    "MissingStreamError",
    "NotPermittedError",
    "Stored",
    "StreamSpec",
    "TooLargeError",
    "Transport",
    "Worker",
]
