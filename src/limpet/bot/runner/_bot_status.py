"""A running bot as a status."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from limpet.bot.io._filesystem_input import FileSystemInput
from limpet.bot.io._filesystem_output import FileSystemOutput
from limpet.bot.io._limpet_input import ReadsHub
from limpet.bot.runner._activity import Activity
from limpet.bot.runner._behaviour_queue import BehaviourQueue
from limpet.bot.runner._dead_letters import DeadLetter
from limpet.errors import UsageError
from limpet.following import FollowStats
from limpet.status import (
    BehaviourStatus,
    DeadLettersStatus,
    DeadLetterStatus,
    FollowStatus,
    Happenings,
    HubStatus,
    Identity,
    JournalStatus,
    Lags,
    OutputStatus,
    Rates,
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
    from limpet.bot.runner._event_dispatcher import Dispatcher
    from limpet.bot.runner._input_supervisor import InputSupervisor
    from limpet.bot.runner._replay import ReplayReport
    from limpet.bot.runner._run_options import RunOptions
    from limpet.bot.runner._state_dir import StateDir
    from limpet.bot.runner._stats import Stats

_LOG: Final = logging.getLogger("limpet.bot.runner")

_NEWEST: Final = 50
"""Dead letters in a snapshot."""

_APART: Final = frozenset({"started", "last_event", "events", "replayed", "kept", "lost"})
"""Counters that have a place of their own in a status."""


class ShownBot(Protocol):
    """What is shown of a runner."""

    @property
    def options(self) -> RunOptions: ...

    @property
    def state(self) -> State: ...

    @property
    def stats(self) -> Stats: ...

    @property
    def dispatcher(self) -> Dispatcher: ...

    @property
    def supervisor(self) -> InputSupervisor: ...

    @property
    def state_dir(self) -> StateDir: ...

    @property
    def failures(self) -> dict[str, str]: ...

    async def dead_letters(self) -> list[DeadLetter]: ...

    async def retry(self, idents: Sequence[str]) -> ReplayReport: ...

    async def discard(self, idents: Sequence[str]) -> int: ...


class BotStatus:
    """Shows one bot; see ``limpet.status.StatusSource``."""

    def __init__(self, runner: ShownBot, activity: Activity, name: str) -> None:
        self._runner = runner
        self._activity = activity
        folder = runner.options.state_dir
        self.identity = Identity(
            program="run", name=name, state_dir="" if folder is None else str(folder)
        )
        self._rates = Rates()
        self._lags = Lags()
        self._refreshing: asyncio.Task[None] | None = None
        self._waiting = 0
        self._newest: tuple[DeadLetterStatus, ...] = ()
        """Of the dead letters as they were read last; ``refresh`` reads them again."""
        self._mark: object = None
        """What the file of the dead letters was like then."""

    @property
    def happenings(self) -> Happenings:
        """The last things that happened."""
        return self._activity.happenings

    async def refresh(self) -> None:
        """Read the dead letters again if their file has changed, in its own thread."""
        directory = self._runner.state_dir
        try:
            mark = await directory.in_thread(directory.mark_of_dead_letters)
            if mark != self._mark:
                await self._read()
                self._mark = mark
        except OSError as error:
            _LOG.warning("the dead letters cannot be read for the status: %s", error)
        for one in self._remote():
            await one.refresh()

    async def _read(self) -> list[DeadLetter]:
        found = await self._runner.dead_letters()
        self._waiting = len(found)
        self._newest = tuple(_dead_letter(one) for one in reversed(found[-_NEWEST:]))
        return found

    def _refresh_soon(self) -> None:
        """Read them again in the background, at most one reading at a time.

        A program that looks at the status in another thread, without a loop, has what was read
        last.
        """
        if self._refreshing is not None and not self._refreshing.done():
            return
        try:
            self._refreshing = asyncio.get_running_loop().create_task(self.refresh())
        except RuntimeError:
            return

    def status(self) -> Status:
        """Return a snapshot."""
        self._refresh_soon()
        runner = self._runner
        stats, dispatcher = runner.stats, runner.dispatcher
        watches, follows = self._inputs()
        problems = problems_of(failures=runner.failures, watches=watches, follows=follows)
        per_minute, _ = self._rates.read("events", stats.events)
        numbers = dataclasses.asdict(stats)
        return Status(
            **self.identity.fields(),
            time=time.time(),
            state=runner.state,
            health=health_of(runner.state, problems),
            problems=problems,
            events=stats.events,
            events_per_minute=per_minute,
            last_event=stats.last_event or None,
            queued=dispatcher.waiting,
            counters={key: value for key, value in numbers.items() if key not in _APART},
            watches=watches,
            follows=follows,
            outputs=self._outputs(),
            behaviours=tuple(
                _behaviour(one, dispatcher.down.get(f"behaviour {one.name}", ""))
                for one in dispatcher.behaviour_queues
            ),
            dead_letters=self._dead_letters(),
            hub=self._hub(),
            agents=tuple(one for each in self._remote() for one in each.agents),
            journal=JournalStatus(replayed=stats.replayed, stored=stats.kept, lost=stats.lost),
            age_delivered=self._activity.age_delivered.snapshot(),
            age_done=self._activity.age_done.snapshot(),
        )

    def _inputs(self) -> tuple[tuple[WatchStatus, ...], tuple[FollowStatus, ...]]:
        watches, follows = [], []
        for one in self._runner.supervisor.inputs:
            if not isinstance(one, FileSystemInput):
                continue
            figures, failure = one.figures(), one.failure or ""
            if isinstance(figures, FollowStats):
                status = follow_status(
                    one.label, one.place, figures, self._rates, self._lags, failure=failure
                )
                follows.append(status)
            elif one.place:
                watches.append(
                    watch_status(
                        one.label,
                        one.place,
                        figures,
                        self._rates,
                        degraded=one.degraded,
                        failure=failure,
                    )
                )
        return tuple(watches), tuple(follows)

    def _outputs(self) -> tuple[OutputStatus, ...]:
        return tuple(
            output_status(one.label, *figures, self._rates)
            for one in self._runner.dispatcher.sender.outputs
            if isinstance(one, FileSystemOutput) and (figures := one.figures()) is not None
        )

    def _remote(self) -> list[ReadsHub]:
        return [one for one in self._runner.supervisor.inputs if isinstance(one, ReadsHub)]

    def _hub(self) -> HubStatus | None:
        """Return the connections to the hub as one: the worst state, and all that waits."""
        found = [hub for one in self._remote() if (hub := one.hub()) is not None]
        if not found:
            return None
        worst = min(found, key=lambda hub: (hub.state == "connected", not hub.trouble))
        lag = sum(hub.lag for hub in found)
        return replace(worst, lag=lag, lag_s=self._lags.read("hub", lag))

    def _dead_letters(self) -> DeadLettersStatus:
        return DeadLettersStatus(
            waiting=self._waiting,
            written=self._runner.state_dir.dead_letters,
            newest=self._newest,
        )

    # -- what may be asked ---------------------------------------------------------------------

    async def dead_letter(self, ident: str) -> dict[str, Any] | None:
        """Return the whole story of a dead letter, as it is stored; ``None`` if there is none."""
        found = next((one for one in await self._read() if one.ident == ident), None)
        if found is None:
            return None
        story: dict[str, Any] = json.loads(found.line)
        return story

    async def retry(self, idents: list[str]) -> dict[str, int]:
        """Process dead letters again; return what became of them.

        Raises:
            UsageError: There is none of an id.
        """
        await self._check(idents)
        report = await self._runner.retry(idents)
        await self._read()
        return dataclasses.asdict(report)

    async def discard(self, idents: list[str]) -> int:
        """End dead letters that nobody wants, and return how many these were.

        Raises:
            UsageError: There is none of any of the ids.
        """
        await self._check(idents, all_of_them=False)
        count = await self._runner.discard(idents)
        await self._read()
        return count

    async def _check(self, idents: list[str], *, all_of_them: bool = True) -> None:
        """Check that some are named, and that all of them, or one at least, are there.

        Raises:
            UsageError: They are not.
        """
        if not idents:
            message = "no dead letter is named: give the ids of some"
            raise UsageError(message)
        unknown = set(idents) - {one.ident for one in await self._read()}
        if unknown and (all_of_them or unknown == set(idents)):
            message = f"there is no dead letter {', '.join(sorted(unknown))}"
            raise UsageError(message)


def _behaviour(queue: BehaviourQueue, failure: str) -> BehaviourStatus:
    oldest = queue.oldest
    return BehaviourStatus(
        name=queue.name,
        queue_depth=len(queue),
        active=len(queue.active),
        done=queue.done,
        skipped=queue.skipped,
        retried=queue.retried,
        failed=queue.failed,
        slowest_s=round(queue.slowest, 6),
        oldest_s=0.0 if oldest is None else round(max(0.0, time.time() - oldest), 3),
        failure=failure,
    )


def _dead_letter(one: DeadLetter) -> DeadLetterStatus:
    return DeadLetterStatus(
        id=one.ident,
        time=one.at,
        behaviour=one.name or one.behaviour,
        step=one.step,
        attempts=one.attempts,
        about=one.about,
        error=one.error,
    )
