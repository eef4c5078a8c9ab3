"""The calls a message engine must offer, and what each promises; one suite tests every engine.

An engine stores messages in streams, numbers them, and recognises a message id that it has seen a
short while ago. Everything else, such as the spool, exactly-once effects and waiting out faults,
is built on top of it and is the same for each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from limpet.errors import LimpetError

OBJECT_LIMIT: Final = 512 << 20
"""Maximum bytes of a large content: it is in memory as a whole while it is sent and fetched."""


class HubError(LimpetError):
    """The hub could not do what was asked of it; the message gives the next step."""

    default_code = "hub"


class DisconnectedError(HubError):
    """The hub is not there, or did not answer in time: the request may have been performed."""

    default_code = "hub-away"


class HubFullError(HubError):
    """The stream has reached its bound and refuses more: nothing of the message is stored."""

    default_code = "hub-full"


class NotPermittedError(HubError):
    """The hub's rules do not allow it for this user: trying again will not help."""

    default_code = "hub-denied"


class MissingStreamError(HubError):
    """The stream does not exist: ``limpet hub init`` creates it."""

    default_code = "hub-stream"


class NoLeaderError(DisconnectedError, MissingStreamError):
    """No server of a cluster takes it: its stream has no leader at the moment, or is missing.

    Which of the two it is only a later answer shows; so this is an error after which one tries
    again, as after a lost connection.
    """

    default_code = DisconnectedError.default_code


class TooLargeError(HubError):
    """The message is larger than the hub allows: nothing of it was sent."""

    default_code = "hub-size"


def too_large(name: str, size: int) -> str:
    """Return the reason for which a content is not stored."""
    return f"the content {name} of {size:,} bytes is more than the {OBJECT_LIMIT:,} of one content"


def beyond_the_stream(name: str, stream: str, position: int, last: int) -> str:
    """Return the report of a consumer whose position is after the last message."""
    return (
        f"the consumer {name} of {stream} is at message {position}, after the last one, {last}: "
        "the hub has lost messages in a crash, and passes over new ones; run 'limpet hub init'"
    )


@dataclass(frozen=True, slots=True)
class Message:
    """A message to store."""

    subject: str
    data: bytes
    id: str = ""
    """A message with an id that the stream has seen a short while ago is not stored again."""
    trace: Mapping[str, str] | None = None
    """The headers of a trace (W3C Trace Context), if it belongs to one."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The hub's confirmation that a message is stored."""

    seq: int
    """Its number in the stream; of a repeat, the first one's."""
    duplicate: bool = False
    """The id was recognised, and nothing was stored this time."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as it is read."""

    subject: str
    data: bytes
    id: str
    seq: int
    """Its number in the stream."""
    time: float
    """When it was stored, unix seconds of the hub's clock."""
    trace: Mapping[str, str] | None = None
    """The headers of the trace that its sender belongs to."""


class WorkMessage(Protocol):
    """A message that was delivered to one of several workers."""

    message: StoredMessage
    attempt: int
    """1 the first time."""

    async def ack(self, *, confirm: bool = True) -> None:
        """Acknowledge it: it is not delivered again.

        With ``confirm`` it returns once the hub has the acknowledgement; without, a connection
        that breaks may cause another delivery.
        """

    async def nak(self, delay: float) -> None:
        """Refuse it for now: it is delivered again after ``delay`` seconds."""

    async def term(self) -> None:
        """Refuse it for good: it is not delivered again."""

    async def in_progress(self) -> None:
        """Ask the hub to wait longer for the answer."""


class Consumer(Protocol):
    """Reads one stream in order, from a position on; the hub remembers nothing of it."""

    @property
    def lag(self) -> int:
        """Messages that are known to be on the hub, and were not fetched."""

    async def fetch(self, limit: int, timeout: float) -> list[StoredMessage]:
        """Return at most ``limit`` messages; an empty list after ``timeout`` seconds without any.

        Raises:
            DisconnectedError: The position is lost: open another consumer after the last message.
        """

    async def close(self) -> None:
        """Stop reading."""


class WorkConsumer(Protocol):
    """One of several workers that share a stream's messages."""

    async def fetch(self, limit: int, timeout: float) -> Sequence[WorkMessage]:
        """Return at most ``limit`` messages; none after ``timeout`` seconds."""

    def arrived(self) -> Sequence[WorkMessage]:
        """Return the messages that came since; without waiting."""

    async def close(self) -> None:
        """Stop working; messages without an answer are delivered to another worker."""


@dataclass(frozen=True, slots=True)
class HubIdentity:
    """Which hub this is."""

    server: str
    """Changes when the hub is restarted."""
    version: str
    max_payload: int
    """Bytes a message may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """The settings of a stream."""

    name: str
    subjects: tuple[str, ...]
    retention: Literal["limits", "work"] = "limits"
    """``work``: a message is removed once it is acknowledged."""
    max_age_s: float = 0.0
    max_bytes: int = -1
    max_msg_size: int = -1
    max_per_subject: int = -1
    live: str = ""
    """Subject, ending in ``>``, under which the hub publishes what it has stored; none if empty.

    What ``>`` of the stream's own subject stood for takes its place.
    """
    live_headers_only: bool = False
    """Publish no content there."""
    duplicate_window_s: float = 120.0
    replicas: int = 1


class Transport(Protocol):
    """A connection to a hub."""

    async def publish(self, batch: Sequence[Message]) -> list[Ack]:
        """Store messages in this order, and wait until all are stored.

        Repeating a call with the same ids, after any error, neither doubles nor reorders within
        the stream's window of ids.

        Raises:
            DisconnectedError: Some may be stored, some may not.
            HubFullError: The same.
            NotPermittedError: None is stored that is not allowed.
            MissingStreamError: None is stored.
            TooLargeError: None is stored.
        """

    async def read(
        self, stream: str, *, live: str = "", after: int | None = None, since: float | None = None
    ) -> Consumer:
        """Read a stream in order: after a number, since a time, or all of it.

        Args:
            stream: Its name.
            live: Subject under which the hub publishes what it has stored there (``StreamSpec``);
                without it, new messages are found with some delay.
            after: Number of the message before the first one to read.
            since: Unix seconds of the hub's clock; only if ``after`` is not given.

        Raises:
            HubError: As ``publish``.
        """

    async def work(
        self, stream: str, name: str, subject: str | None, *, ack_wait: float, limit: int
    ) -> WorkConsumer:
        """Take part in the work of the durable consumer ``name``.

        Args:
            stream: Its stream.
            name: Workers with one name share the messages.
            subject: Filter that it is created with if this user may create one; ``None`` if only an
                administrator creates it.
            ack_wait: Seconds after which a message without an answer is delivered again.
            limit: Messages that may be without an answer at a time.
        """

    async def stalled(self, stream: str, name: str) -> str:
        """Return why a durable consumer cannot deliver what is new; empty if it can."""

    async def latest(self, stream: str, subject: str) -> StoredMessage | None:
        """Return the newest message of a subject."""

    async def at(self, stream: str, seq: int) -> StoredMessage | None:
        """Return a message by its number."""

    async def newest(self, stream: str) -> StoredMessage | None:
        """Return the newest message of a stream; ``None`` if it never had any.

        A message that was removed has only its number; its other fields are empty.
        """

    def listen(self, subject: str) -> AsyncIterator[Message]:
        """Yield messages of a subject as they arrive, from now on; none is stored for later."""

    async def put_object(self, bucket: str, name: str, data: bytes) -> None:
        """Store a large content; an existing one of that name is left as it is.

        Raises:
            TooLargeError: It has more than ``OBJECT_LIMIT`` bytes.
            HubError: As ``publish``.
        """

    async def get_object(self, bucket: str, name: str, size: int) -> bytes | None:
        """Return a large content; ``None`` if there is none of that size, or if it is not whole."""

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        """Store a small value under a key; it is removed after the bucket's time."""

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        """Return a small value; ``None`` if there is none."""

    async def get_stored(self, bucket: str, key: str) -> StoredMessage | None:
        """Return a small value with its number and time; ``None`` if there is none."""

    async def identity(self) -> HubIdentity:
        """Return which hub this is; wait until there is one."""

    @property
    def connected(self) -> bool:
        """Return whether the hub is connected now, as far as is known."""

    async def close(self) -> None:
        """Disconnect from the hub."""
