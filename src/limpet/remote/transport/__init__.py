"""The interface to a message engine, and the engines that implement it."""

from limpet.remote.transport._base import (
    Ack,
    Consumer,
    DisconnectedError,
    HubError,
    HubFullError,
    HubIdentity,
    Message,
    MissingStreamError,
    NotPermittedError,
    StoredMessage,
    StreamSpec,
    TooLargeError,
    Transport,
    WorkConsumer,
    WorkMessage,
)
from limpet.remote.transport._memory import MemoryHub, MemoryTransport
from limpet.remote.transport._nats_stores import NatsTransport, connect

__all__ = [
    "Ack",
    "Consumer",
    "DisconnectedError",
    "HubError",
    "HubFullError",
    "HubIdentity",
    "MemoryHub",
    "MemoryTransport",
    "Message",
    "MissingStreamError",
    "NatsTransport",
    "NotPermittedError",
    "StoredMessage",
    "StreamSpec",
    "TooLargeError",
    "Transport",
    "WorkConsumer",
    "WorkMessage",
    "connect",
]
