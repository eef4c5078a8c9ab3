"""``--listen`` of the commands that go on: what they show of themselves while they run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from limpet.errors import UsageError
from limpet.status import (
    FollowStatus,
    Happenings,
    Identity,
    InboxStatus,
    Lags,
    Program,
    Rates,
    State,
    Status,
    WatchStatus,
    health_of,
    problems_of,
)

if TYPE_CHECKING:
    from limpet.cli._run_session import RunSession

_NONE_HERE: Final = "there are no dead letters here: bots have them"


@dataclass(slots=True, kw_only=True)
class Parts:
    """What a command shows at one moment."""

    watches: tuple[WatchStatus, ...] = ()
    follows: tuple[FollowStatus, ...] = ()
    inboxes: tuple[InboxStatus, ...] = ()
    queued: int = 0
    counters: dict[str, int] = field(default_factory=dict)


class SessionStatus:
    """Shows one command; see ``limpet.status.StatusSource``."""

    def __init__(
        self, program: Program, name: str, parts: Callable[[SessionStatus], Parts]
    ) -> None:
        """Show what ``parts`` returns."""
        self.identity = Identity(program=program, name=name)
        self.happenings = Happenings()
        self.rates, self.lags = Rates(), Lags()
        self.state: State = "running"
        self._parts = parts

    def status(self) -> Status:
        """Return a snapshot."""
        parts = self._parts(self)
        problems = problems_of(watches=parts.watches, follows=parts.follows)
        events = sum(one.events for one in parts.watches)
        events += sum(one.lines for one in parts.follows)
        per_minute, last = self.rates.read("events", events)
        return Status(
            **self.identity.fields(),
            time=time.time(),
            state=self.state,
            health=health_of(self.state, problems),
            problems=problems,
            events=events,
            events_per_minute=per_minute,
            last_event=last,
            queued=parts.queued,
            counters=parts.counters,
            watches=parts.watches,
            follows=parts.follows,
            inboxes=parts.inboxes,
        )

    async def dead_letter(self, ident: str) -> dict[str, Any] | None:
        """Return ``None``: there are no dead letters here."""
        del ident
        return None

    async def retry(self, idents: list[str]) -> dict[str, int]:
        """Refuse it.

        Raises:
            UsageError: Always.
        """
        del idents
        raise UsageError(_NONE_HERE)

    async def discard(self, idents: list[str]) -> int:
        """Refuse it.

        Raises:
            UsageError: Always.
        """
        del idents
        raise UsageError(_NONE_HERE)


@contextlib.asynccontextmanager
async def listening(
    listen: str | None, shown: SessionStatus, session: RunSession
) -> AsyncIterator[None]:
    """Serve the status while the block lasts, if that is asked for.

    Raises:
        LimpetError: The address is wrong or taken, or the extra is missing.
        OSError: It cannot listen there.
    """
    if listen is None:
        yield
        return
    from limpet.web import Listening

    serving = Listening(shown, listen)
    await serving.start()
    await session.streams.log(serving.text)
    try:
        yield
    finally:
        shown.state = "draining"
        await serving.aclose()


def name_of(paths: tuple[str, ...]) -> str:
    """Return what a command is called in its status."""
    first = paths[0] if paths else ""
    return first if len(paths) < 2 else f"{first} and {len(paths) - 1} more"
