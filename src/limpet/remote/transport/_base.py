"""The calls a message engine must offer, and what each promises; one suite tests every engine.

An engine stores messages in streams, numbers them, and recognises a message id that it has seen a
short while ago. Everything else, such as the spool, exactly-once effects and waiting out faults,
is built on top of it and is the same for each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from limpet.errors import LimpetError

__all__ = [
    "Ack",
    "Consumer",
    "Delivery",
    "DisconnectedError",
    "HubError",
    "HubFullError",
    "Identity",
    "Message",
    "MissingStreamError",
    "NotPermittedError",
    "Stored",
    "StreamSpec",
    "TooLargeError",
    "Transport",
    "Worker",
]


class HubError(LimpetError):
    """The hub could not do what was asked of it; the message says what to do."""

    def __init__(self, message: str, *, code: str = "hub") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class DisconnectedError(HubError):
    """The hub is not there, or did not answer in time: what was asked may have been done."""

    def __init__(self, message: str, *, code: str = "hub-away") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class HubFullError(HubError):
    """The stream has reached its bound and refuses more: nothing of the message is stored."""

    def __init__(self, message: str, *, code: str = "hub-full") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class NotPermittedError(HubError):
    """The hub's rules do not allow it for this user: trying again will not help."""

    def __init__(self, message: str, *, code: str = "hub-denied") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class MissingStreamError(HubError):
    """The stream is not there: ``limpet hub init`` makes it."""

    def __init__(self, message: str, *, code: str = "hub-stream") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class TooLargeError(HubError):
    """The message is larger than the hub takes: nothing of it was sent."""

    def __init__(self, message: str, *, code: str = "hub-size") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be stored."""

    subject: str
    data: bytes
    id: str = ""
    """A message with an id that the stream has seen a short while ago is not stored again."""


@dataclass(frozen=True, slots=True)
class Ack:
    """It is stored."""

    seq: int
    """Its number in the stream; of a repeat, the first one's."""
    duplicate: bool = False
    """The id was recognised, and nothing was stored this time."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it is read."""

    subject: str
    data: bytes
    id: str
    seq: int
    """Its number in the stream."""
    time: float
    """When it was stored, unix seconds of the hub's clock."""


class Delivery(Protocol):
    """A message that was given to one of several workers."""

    message: Stored
    attempt: int
    """1 the first time."""

    async def ack(self, *, confirm: bool = True) -> None:
        """It is dealt with: it does not come again.

        With ``confirm`` it returns once the hub knows; without, a broken line may bring it again.
        """

    async def nak(self, delay: float) -> None:
        """Not now: it comes again after so many seconds."""

    async def term(self) -> None:
        """Never: it does not come again."""

    async def in_progress(self) -> None:
        """It takes longer: wait for it."""


class Consumer(Protocol):
    """Reads one stream in order, from a place on; remembers nothing on the hub."""

    async def fetch(self, limit: int, timeout: float) -> list[Stored]:
        """Give what is there, at most ``limit``; an empty list after ``timeout`` seconds without.

        Raises:
            DisconnectedError: The place is lost: open another consumer after the last that came.
        """

    async def close(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which hub this is."""

    server: str
    """Changes when the hub is restarted."""
    version: str
    max_payload: int
    """Bytes a message may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """How a stream is made."""

    name: str
    subjects: tuple[str, ...]
    retention: Literal["limits", "work"] = "limits"
    """``work``: a message goes once it is acknowledged."""
    max_age_s: float = 0.0
    max_bytes: int = -1
    max_msg_size: int = -1
    max_per_subject: int = -1
    duplicate_window_s: float = 120.0
    replicas: int = 1


class Transport(Protocol):
    """A connection to a hub."""

    async def publish(self, batch: Sequence[Message]) -> list[Ack]:
        """Store messages in this order, and wait until all are.

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
        self,
        stream: str,
        subject: str,
        *,
        name: str,
        after: int | None = None,
        since: float | None = None,
    ) -> Consumer:
        """Read what a stream has of a subject: after a number, since a time, or all of it.

        Raises:
            HubError: As ``publish``.
        """

    async def work(
        self, stream: str, name: str, subject: str | None, *, ack_wait: float, limit: int
    ) -> Worker:
        """Take part in the work of the durable consumer ``name``; made if ``subject`` is given.

        Args:
            stream: Its stream.
            name: Workers with one name share the messages.
            subject: Filter it is made with; ``None`` if an administrator has made it.
            ack_wait: Seconds after which an unanswered message comes again.
            limit: Messages that may be unanswered at a time.
        """

    async def latest(self, stream: str, subject: str) -> Stored | None:
        """Give the newest message of a subject."""

    async def at(self, stream: str, seq: int) -> Stored | None:
        """Give a message by its number."""

    async def created(self, stream: str) -> str:
        """Say when the stream was made, as text that is another for another stream."""

    def listen(self, subject: str) -> AsyncIterator[Message]:
        """Give messages of a subject as they come, from now on; none is kept for later."""

    async def put_object(self, bucket: str, name: str, data: bytes) -> None:
        """Store a large content; one of that name that is there already is left as it is."""

    async def get_object(self, bucket: str, name: str) -> bytes | None:
        """Give it back; ``None`` if it is not there."""

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        """Store a small value under a key; it goes after the bucket's time."""

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        """Give it back; ``None`` if it is not there."""

    async def identity(self) -> Identity:
        """Say which hub this is, waiting until there is one."""

    @property
    def connected(self) -> bool:
        """Whether the hub is there now, as far as is known."""

    async def close(self) -> None:
        """Let go of the hub."""


class Worker(Protocol):
    """One of several that share a stream's messages."""

    async def fetch(self, limit: int, timeout: float) -> Sequence[Delivery]:
        """Give what is to be done, at most ``limit``; an empty list after ``timeout`` seconds."""

    async def close(self) -> None:
        """Take part no more; what is unanswered comes to another."""
