"""Watch on one host, decide on another, write on a third; needs ``limpet[nats]`` for the hub.

An agent on each host watches directories and executes commands (``limpet agent``); bots read events
with `EventReader` and write with `RemoteOutput`. All of it runs on asyncio. What runs an agent and
sets up a hub is in `limpet.remote.admin`.
"""

from typing import TYPE_CHECKING

from limpet._config_problem import ConfigError
from limpet._lazy_names import lazy_names
from limpet.remote._checkpoint_store import CheckpointError, CheckpointStore, StreamPosition
from limpet.remote._command_codec import RemoteCode, RemoteRefusedError, RemoteResult
from limpet.remote._connection_config import HubAddress
from limpet.remote._envelope import EnvelopeError, ObjectRef, RemoteEvent
from limpet.remote._event_reader import DeliveredEvent, EventReader
from limpet.remote._path import MountMap, RemotePath, RemotePathError
from limpet.remote._remote_output import INLINE_LIMIT, RemoteOutput
from limpet.remote._spool import Spool
from limpet.remote._spool_file import SpoolError, SpoolFullError
from limpet.remote._subjects import Subjects, slug_of
from limpet.remote._worker_pool import read_events
from limpet.remote.transport import (
    DisconnectedError,
    HubError,
    HubFullError,
    MemoryHub,
    MemoryTransport,
    MissingStreamError,
    NatsTransport,
    NotPermittedError,
    TooLargeError,
    Transport,
    connect,
)
from limpet.remote.transport._addresses import without_password

__all__ = [
    "INLINE_LIMIT",
    "CheckpointError",
    "CheckpointStore",
    "ConfigError",
    "DeliveredEvent",
    "DisconnectedError",
    "EnvelopeError",
    "EventReader",
    "HubAddress",
    "HubError",
    "HubFullError",
    "MemoryHub",
    "MemoryTransport",
    "MissingStreamError",
    "MountMap",
    "NatsTransport",
    "NotPermittedError",
    "ObjectRef",
    "RemoteCode",
    "RemoteEvent",
    "RemoteOutput",
    "RemotePath",
    "RemotePathError",
    "RemoteRefusedError",
    "RemoteResult",
    "Spool",
    "SpoolError",
    "SpoolFullError",
    "StreamPosition",
    "Subjects",
    "TooLargeError",
    "Transport",
    "connect",
    "read_events",
    "slug_of",
    "without_password",
]

if not TYPE_CHECKING:  # the checker knows that a module must be imported
    __getattr__, __dir__ = lazy_names(globals(), {}, {"admin": "limpet.remote.admin"})
