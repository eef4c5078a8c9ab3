"""Watch on one host, decide on another, write on a third; needs ``limpet[nats]`` for the hub.

An agent on each host watches folders and executes commands (``limpet agent``); bots read events
with `EventReader` and ask for writes with `RemoteOutput`. All of it runs on asyncio.
"""

from limpet.remote._command_codec import RemoteCode, RemoteRefusedError, RemoteResult
from limpet.remote._connection_config import HubAddress
from limpet.remote._envelope import EnvelopeError, ObjectRef, RemoteEvent
from limpet.remote._event_reader import CursorStore, EventReader, Handle, Position, read_events
from limpet.remote._path import MountMap, RemotePath, RemotePathError
from limpet.remote._remote_output import INLINE_LIMIT, RemoteOutput
from limpet.remote._spool import Spool, SpoolError, SpoolFullError
from limpet.remote._subjects import Subjects, slug_of
from limpet.remote.transport import (
    DisconnectedError,
    HubError,
    HubFullError,
    MemoryHub,
    MemoryTransport,
    MissingStreamError,
    NotPermittedError,
    TooLargeError,
    Transport,
)
from limpet.remote.transport._nats import NatsTransport, connect

__all__ = [
    "INLINE_LIMIT",
    "CursorStore",
    "DisconnectedError",
    "EnvelopeError",
    "EventReader",
    "Handle",
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
    "Position",
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
    "Subjects",
    "TooLargeError",
    "Transport",
    "connect",
    "read_events",
    "slug_of",
]
