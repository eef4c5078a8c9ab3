"""What a watch and a follower of an agent have in common: how what they saw gets into the spool."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from limpet._wire import Json
from limpet.remote._envelope import ObjectRef, encode, notice
from limpet.remote._path import flavour_here
from limpet.remote._spool import New, Spool, SpoolFullError
from limpet.remote._subjects import Subjects

__all__ = ["Feed", "Item", "now_us"]

_FULL_PAUSE_S: Final = 0.25
_log = logging.getLogger("limpet.agent")
T = TypeVar("T")


class Item(NamedTuple):
    """An event to be stored, and its content if that is too large to be in it."""

    wire: Json
    ref: ObjectRef | None = None
    content: bytes = b""


class Spec(Protocol):
    """What a source of events is made from."""

    @property
    def name(self) -> str:
        """A slug; part of the subject."""


S = TypeVar("S", bound=Spec)


class Feed(ABC, Generic[S]):
    """One source of events of an agent."""

    def __init__(
        self, spec: S, spool: Spool, *, host: str, subjects: Subjects, wake: Callable[[], None]
    ) -> None:
        """Know the parts.

        Args:
            spec: What it is made from.
            spool: Where the events go.
            host: Slug of this host.
            subjects: Of the fleet.
            wake: Called whenever there is something to send.
        """
        self.spec = spec
        self.spool = spool
        self._host, self._subjects, self._wake = host, subjects, wake
        self.ready = asyncio.Event()
        """Set once every later change is seen."""
        self.blocked = False
        """The spool is full, and what comes waits at its source."""
        self.told = 0

    @abstractmethod
    async def run(self) -> None:
        """Bring events until cancelled."""

    async def put(self, items: Sequence[T], commit: Callable[[Sequence[T]], int]) -> None:
        """Store items; while there is no room, they wait here and their source is not read.

        Args:
            items: What is to be stored; where all do not fit, a part at a time.
            commit: Stores some in one transaction, in a worker thread; gives how many events.
        """
        part = len(items)
        while items:
            try:
                count = await asyncio.to_thread(commit, items[:part])
            except SpoolFullError as error:
                if part > 1:
                    part //= 2
                    continue
                if not self.blocked:
                    _log.error("%s: nothing more is taken until there is room", error)
                self.blocked = True
                await asyncio.sleep(_FULL_PAUSE_S)
            else:
                self.blocked = False
                self.told += count
                items = items[part:]
                if count:
                    self._wake()

    def store(self, items: Iterable[Item]) -> int:
        """Number events and add them to the spool, inside a transaction; gives how many.

        Raises:
            SpoolFullError: There is no room.
        """
        first = self.spool.next_seq()
        rows: list[New] = []
        for wire, ref, content in items:
            seq = first + len(rows)
            name = None if ref is None else ref.name
            rows.append(New(seq, *self._message(wire, seq, ref), name, content))
        self.spool.add(rows)
        if self.spool.over:
            self._collapse()
        return len(rows)

    def _collapse(self) -> None:
        """Give up the oldest events of a full spool, and tell which."""
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
        """Give an event's subject and bytes."""
        data = encode(
            wire,
            session=self.spool.session,
            seq=seq,
            host=self._host,
            watch=self.spec.name,
            flavour=flavour_here(),
            content=ref,
        )
        return self._subjects.event(self._host, self.spec.name, str(wire["type"])), data


def now_us() -> int:
    """Give the moment in microseconds since the epoch."""
    return time.time_ns() // 1000
