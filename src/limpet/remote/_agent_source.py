"""The common part of an agent's watches and followers: how their events get into the spool."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, Protocol, TypeVar

from limpet._wire import Json
from limpet.remote._envelope import ObjectRef, encode, notice
from limpet.remote._path import flavour_here
from limpet.remote._spool import NewRow, Spool
from limpet.remote._spool_file import SpoolFullError
from limpet.remote._subjects import Subjects
from limpet.status import DegradedPaths

if TYPE_CHECKING:
    from limpet.following import FollowStats
    from limpet.watching import WatchStats

_FULL_PAUSE_S: Final = 0.25
_COMMIT_S: Final = 5.0
"""How long a cancelled source waits for its last commit: a disk may not answer."""
_log = logging.getLogger("limpet.agent")
T = TypeVar("T")


class SourceEvent(NamedTuple):
    """An event to store, and its content if that is too large for the event."""

    wire: Json
    ref: ObjectRef | None = None
    content: bytes = b""


class Spec(Protocol):
    """The settings of a source."""

    @property
    def name(self) -> str:
        """A slug; part of the subject."""

    @property
    def path(self) -> str:
        """The path to watch or follow."""


S = TypeVar("S", bound=Spec)


class AgentSource(ABC, Generic[S]):
    """One source of events of an agent."""

    def __init__(
        self, spec: S, spool: Spool, *, host: str, subjects: Subjects, wake: Callable[[], None]
    ) -> None:
        """Create a source; it calls ``wake`` whenever there is something to send."""
        self.spec = spec
        self.spool = spool
        self.host, self.subjects, self._wake = host, subjects, wake
        self.ready = asyncio.Event()
        """Set once every later change is reported."""
        self.blocked = False
        """The spool is full, and the source is not read."""
        self.stored = 0
        """Events stored in the spool so far."""
        self.on_event: Callable[[str, Json], None] | None = None
        """Is called in a worker thread with the name of the source and each event."""
        self.degraded = DegradedPaths()
        self.figures: Callable[[], WatchStats | FollowStats] | None = None
        """Returns those of the watch or the follower, once it has started."""

    @abstractmethod
    async def run(self) -> None:
        """Store events until cancelled."""

    async def put(self, items: Sequence[T], commit: Callable[[Sequence[T]], int]) -> None:
        """Store items; while there is no room, wait, and leave the source unread.

        Args:
            items: The items, a part at a time if not all of them fit.
            commit: Stores items in one transaction, in a worker thread; returns the number of
                events.
        """
        part = len(items)
        while items:
            try:
                count = await _to_its_end(commit, items[:part])
            except SpoolFullError as error:
                if part > 1:
                    part //= 2
                    continue
                if not self.blocked:
                    _log.error("%s: the source waits until there is room", error)
                self.blocked = True
                await asyncio.sleep(_FULL_PAUSE_S)
            else:
                self.blocked = False
                self.stored += count
                items = items[part:]
                if count:
                    self._wake()

    def store(self, events: Iterable[SourceEvent]) -> int:
        """Number events and add them to the spool, in a transaction; return how many.

        Raises:
            SpoolFullError: There is no room.
        """
        first = self.spool.next_seq()
        rows: list[NewRow] = []
        for wire, ref, content in events:
            if self.on_event is not None:
                self.on_event(self.spec.name, wire)
            seq = first + len(rows)
            name = None if ref is None else ref.name
            rows.append(NewRow(seq, *self._message(wire, seq, ref), name, content))
        self.spool.add(rows)
        if self.spool.over:
            self._collapse()
        return len(rows)

    def _collapse(self) -> None:
        """Drop the oldest events of a full spool, and store an event with their numbers."""
        first, last, count = self.spool.drop_oldest(self.spool.over)
        if not count:
            return
        _log.error(
            "the spool is full: the oldest %d events (%d to %d) are given up", count, first, last
        )
        lost = {"first": first, "last": last, "count": count}
        wire = notice("watch.overflow", watch=self.spec.name, time_us=now_us(), lost=lost)
        self.spool.mark_collapsed(first, last, *self._message(wire, last))

    def _message(self, wire: Json, seq: int, ref: ObjectRef | None = None) -> tuple[str, bytes]:
        """Return an event's subject and bytes."""
        data = encode(
            wire,
            session=self.spool.session,
            seq=seq,
            host=self.host,
            watch=self.spec.name,
            flavour=flavour_here(),
            content=ref,
        )
        return self.subjects.event(self.host, self.spec.name, str(wire["type"])), data


def now_us() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000


async def _to_its_end(commit: Callable[[Sequence[T]], int], items: Sequence[T]) -> int:
    """Run a commit in a thread; a cancellation comes once it has ended.

    Else the source that a reload starts in the place of this one could read the spool before it,
    and store the same events again.
    """
    committing = asyncio.create_task(asyncio.to_thread(commit, items))
    try:
        return await asyncio.shield(committing)
    except asyncio.CancelledError:
        await asyncio.wait({committing}, timeout=_COMMIT_S)
        if committing.done() and not committing.cancelled():
            committing.exception()
        raise
