"""A running agent as a status."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import TYPE_CHECKING, Final

from limpet._wire import Json
from limpet.following import FollowStats
from limpet.remote._agent_follow import AgentFollow
from limpet.remote._spool import SpoolStats
from limpet.remote.transport._addresses import without_password
from limpet.status import (
    AgentStatus,
    FollowStatus,
    Happenings,
    HubStatus,
    Identity,
    Lags,
    NoDeadLetters,
    OutputStatus,
    Problem,
    Rates,
    SpoolStatus,
    State,
    Status,
    WatchStatus,
    follow_status,
    health_of,
    output_status,
    problems_of,
    watch_status,
)

if TYPE_CHECKING:
    from limpet.remote._agent import Agent

_GOOD: Final = frozenset({"starting", "sending"})
"""States of the sender in which nothing is wrong."""


class AgentShown(NoDeadLetters):
    """Shows one agent; see ``limpet.status.StatusSource``."""

    why_none = "an agent has no dead letters: bots have them"

    def __init__(self, agent: Agent, *, url: str) -> None:
        self._agent = agent
        self._url = without_password(url)
        self.identity = Identity(program="agent", name=agent.options.host)
        self.happenings = Happenings()
        agent.on_event = self._note
        self._rates, self._lags = Rates(), Lags()
        self._spool: SpoolStats | None = None
        self._refreshing: asyncio.Task[None] | None = None

    def _note(self, watch: str, wire: Json) -> None:
        """Keep an event that was stored in the spool; called in its thread."""
        self.happenings.add("event", wire, watch)

    async def refresh(self) -> None:
        """Ask the spool, in a thread, how full it is."""
        spool = self._agent.spool
        if spool is not None:
            try:
                self._spool = await asyncio.to_thread(spool.stats)
            except sqlite3.Error:  # it is closed, or its disk does not answer
                self._spool = None

    def status(self) -> Status:
        """Return a snapshot."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self.refresh())
        agent = self._agent
        watches, follows = self._sources()
        state: State = "running" if agent.ready.is_set() else "starting"
        if agent.is_stopping:
            state = "draining"
        problems = (
            *problems_of(failures=agent.failures, watches=watches, follows=follows),
            *self._trouble(),
        )
        events = self.happenings.count  # it does not fall when a source is removed
        per_minute, last = self._rates.read("events", events)
        return Status(
            **self.identity.fields(),
            time=time.time(),
            state=state,
            health=health_of(state, problems),
            problems=problems,
            events=events,
            events_per_minute=per_minute,
            last_event=last,
            watches=watches,
            follows=follows,
            outputs=self._outputs(),
            spool=self._spool_status(),
            hub=self._hub(),
            agents=(self._itself(),),
        )

    def _sources(self) -> tuple[tuple[WatchStatus, ...], tuple[FollowStatus, ...]]:
        watches, follows = [], []
        for one in self._agent.sources:
            name, place = one.spec.name, one.spec.path
            figures = None if one.figures is None else one.figures()
            failure = self._agent.failures.get(f"watch {name!r}", "")
            if isinstance(figures, FollowStats):
                follows.append(
                    follow_status(name, place, figures, self._rates, self._lags, failure=failure)
                )
            elif isinstance(one, AgentFollow):
                follows.append(FollowStatus(name=name, place=place, failure=failure))
            else:
                watches.append(
                    watch_status(
                        name, place, figures, self._rates, degraded=one.degraded, failure=failure
                    )
                )
        return tuple(watches), tuple(follows)

    def _outputs(self) -> tuple[OutputStatus, ...]:
        return tuple(
            output_status(name, one.output.path, one.output.stats(), self._rates)
            for name, one in self._agent.outputs.items()
        )

    def _trouble(self) -> tuple[Problem, ...]:
        found = []
        sender = self._agent.sender
        if sender is not None and sender.health.state not in _GOOD:
            reason = sender.health.trouble or sender.health.state
            is_failure = sender.health.state in {"refused", "spool failed"}
            found.append(Problem(where="hub", reason=reason, is_failure=is_failure))
        found += [
            Problem(where=one.spec.name, reason="the spool is full: it waits for room")
            for one in self._agent.sources
            if one.blocked
        ]
        return tuple(found)

    def _spool_status(self) -> SpoolStatus | None:
        sender, stats = self._agent.sender, self._spool
        if sender is None or stats is None:
            return None
        return SpoolStatus(
            waiting=stats.waiting,
            waiting_bytes=stats.waiting_bytes,
            kept=stats.kept,
            collapsed=stats.collapsed,
            sent=sender.health.sent,
            blocked=tuple(one.spec.name for one in self._agent.sources if one.blocked),
        )

    def _hub(self) -> HubStatus:
        agent, waiting = self._agent, 0 if self._spool is None else self._spool.waiting
        connected = agent.transport is not None and agent.transport.connected
        sender, presence = agent.sender, agent.presence
        return HubStatus(
            url=self._url,
            state="connected" if connected else "connecting",
            trouble="" if sender is None else sender.health.trouble,
            lag=waiting,
            lag_s=self._lags.read("spool", waiting),
            clock_offset_s=0.0 if presence is None else round(presence.offset, 3),
        )

    def _itself(self) -> AgentStatus:
        agent = self._agent
        sender, executor = agent.sender, agent.executor
        return AgentStatus(
            host=agent.options.host,
            state="starting" if sender is None else sender.health.state,
            since=self.identity.started,
            last_seen=time.time(),
            waiting=0 if self._spool is None else self._spool.waiting,
            trouble="" if sender is None else sender.health.trouble,
            commands_done=0 if executor is None else executor.stats.done,
            commands_refused=0 if executor is None else executor.stats.refused,
        )
