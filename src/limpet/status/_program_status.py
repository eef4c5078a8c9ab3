"""The status of a program in Python: whatever it watches, follows and writes, as it is shown."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from limpet._error_text import error_text
from limpet.errors import UsageError
from limpet.status._degraded import DegradedPaths
from limpet.status._happenings import Happenings
from limpet.status._identity import Identity
from limpet.status._model import (
    FollowStatus,
    InboxStatus,
    OutputStatus,
    Program,
    State,
    Status,
    WatchStatus,
)
from limpet.status._no_dead_letters import NoDeadLetters
from limpet.status._parts import (
    Lags,
    follow_status,
    health_of,
    inbox_status,
    output_status,
    problems_of,
    watch_status,
)
from limpet.status._rates import Rates

if TYPE_CHECKING:
    from limpet.following import Follower, SyncFollower
    from limpet.intake import Inbox, SyncInbox
    from limpet.output import AsyncOutput, Output
    from limpet.watching import MultiWatch, SyncMultiWatch, SyncWatch, Watch

    Shown: TypeAlias = (
        Watch
        | SyncWatch
        | MultiWatch
        | SyncMultiWatch
        | Follower
        | SyncFollower
        | Output
        | AsyncOutput
        | Inbox
        | SyncInbox
    )

Part: TypeAlias = "WatchStatus | FollowStatus | OutputStatus | InboxStatus"


class ProgramStatus(NoDeadLetters):
    """Shows what a program has added; see ``limpet.status.StatusSource``.

    ```python
    shown = ProgramStatus("thumbnails")
    async with limpet.watch_dir("photos") as watch:
        shown.add(watch)
        listening = Listening(shown, "127.0.0.1:9000")
        await listening.start()
        async for event in watch:
            shown.happenings.add("event", event)
    ```
    """

    def __init__(self, name: str, *, program: Program = "python") -> None:
        """Show nothing yet.

        Args:
            name: What it is called on the page and by ``limpet status``.
            program: Which command it is.
        """
        self.identity = Identity(program=program, name=name)
        self.happenings = Happenings()
        """The last things that happened; the program adds them."""
        self.degraded = DegradedPaths()
        """Paths seen late or not at all; the program notes its events in it."""
        self.state: State = "running"
        self.counters: Callable[[], dict[str, int]] = dict
        """Returns what the program counts beside."""
        self.queued: Callable[[], int] = int
        """Returns how many events wait."""
        self.rates, self.lags = Rates(), Lags()
        self._parts: list[Callable[[], list[Part]]] = []

    def add(self, one: Shown, name: str = "") -> None:
        """Show a watch, a follower, an output or an inbox from now on, while it runs.

        Raises:
            UsageError: It is something else.
        """
        self._parts.append(self._part(one, name))

    def show(self, part: Callable[[], list[Part]]) -> None:
        """Show what a function returns; it is called for each snapshot."""
        self._parts.append(part)

    def status(self) -> Status:
        """Return a snapshot; what does not run is left out."""
        parts, failures = self._shown()
        watches = tuple(one for one in parts if isinstance(one, WatchStatus))
        follows = tuple(one for one in parts if isinstance(one, FollowStatus))
        events = sum(one.events for one in watches) + sum(one.lines for one in follows)
        queued, counters = 0, dict[str, int]()
        try:
            queued, counters = self.queued(), self.counters()
        except Exception as error:  # noqa: BLE001 - functions of the program's own
            failures["counters"] = f"{type(error).__name__}: {error_text(error)}"
        problems = problems_of(failures=failures, watches=watches, follows=follows)
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
            queued=queued,
            counters=counters,
            watches=watches,
            follows=follows,
            outputs=tuple(one for one in parts if isinstance(one, OutputStatus)),
            inboxes=tuple(one for one in parts if isinstance(one, InboxStatus)),
        )

    def _shown(self) -> tuple[list[Part], dict[str, str]]:
        """Return what is shown, and the parts that fail: one does not take the others with it."""
        parts: list[Part] = []
        failures: dict[str, str] = {}
        for number, part in enumerate(self._parts, start=1):
            try:
                parts += part()
            except RuntimeError:  # it was closed, or has not started
                continue
            except Exception as error:  # noqa: BLE001 - a function of the program's own
                failures[f"part {number}"] = f"{type(error).__name__}: {error_text(error)}"
        return parts, failures

    def _part(self, one: Shown, name: str) -> Callable[[], list[Part]]:
        from limpet.following import Follower, SyncFollower
        from limpet.intake import Inbox, SyncInbox
        from limpet.output import AsyncOutput, Output
        from limpet.watching import MultiWatch, SyncMultiWatch, SyncWatch, Watch

        if isinstance(one, Watch | SyncWatch):
            place = one.location
            return lambda: [self.watch(name or str(place), place, one.stats())]
        if isinstance(one, MultiWatch | SyncMultiWatch):
            return lambda: [
                self.watch(str(place), place, stats) for place, stats in one.stats().items()
            ]
        if isinstance(one, Follower | SyncFollower):
            shown = name or "follower"
            return lambda: [follow_status(shown, shown, one.stats(), self.rates, self.lags)]
        if isinstance(one, Output | AsyncOutput):
            root = os.fspath(one.path)
            return lambda: [output_status(name or root, root, one.stats(), self.rates)]
        if isinstance(one, Inbox | SyncInbox):
            return lambda: [inbox_status(one.location, one.stats())]
        message = (
            f"a status shows watches, followers, outputs and inboxes, not {type(one).__name__}; "
            "for something else give a function to show()"
        )
        raise UsageError(message)

    def watch(self, name: str, place: str | os.PathLike[str], stats: Any) -> WatchStatus:  # noqa: ANN401
        """Return the status of a watch, with the paths at or below it that are degraded."""
        root = os.fspath(place)
        below = os.path.join(root, "")
        degraded = {
            path: why
            for path, why in self.degraded.items()
            if path == root or path.startswith(below)
        }
        return watch_status(name, place, stats, self.rates, degraded=degraded)
