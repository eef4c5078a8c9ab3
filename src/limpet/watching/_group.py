"""The synchronous core of a watch of several places: a core for each, and one stream of events.

The cores share the router, so one wait serves them all. What they find is put into one order, and
what moved from one place into another becomes one event (``_group_order``); then it is selected,
numbered, and content is read.
"""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.errors import UsageError
from limpet.events import DirDeleted, DirRenamed
from limpet.watching._explanation import Explanation
from limpet.watching._group_hints import GroupHints
from limpet.watching._group_member import GroupMember
from limpet.watching._group_stream import GroupStream
from limpet.watching._places import ResolvedPlace, check_apart, covering, inner_places, resolve
from limpet.watching._selection import Selection
from limpet.watching._watch_stats import WatchStats
from limpet.watching._watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from limpet.backends import HintRouter
    from limpet.events import Event, Kind
    from limpet.watching._places import Place


class WatcherGroup:
    """The synchronous core of several places."""

    def __init__(
        self,
        places: Iterable[Place | Path],
        common: Mapping[str, object],
        selection: Selection | None,
        router: HintRouter,
    ) -> None:
        """Keep what is wanted; the disk is not touched.

        Args:
            places: Folders, files, and paths that are there.
            common: Options of all places.
            selection: Which events the consumer gets; ``None`` is all.
            router: Shared by the watches of one loop.
        """
        self.router = router
        self.closed = False
        self._wanted = list(places)
        self._common: Final = common
        self._selection: Final = selection
        self._stream: Final = GroupStream((selection or Selection()).restarted())
        self._members: tuple[GroupMember, ...] = ()
        """Replaced as a whole: who goes through them needs no lock."""
        self.hints = GroupHints()
        self._process = os.getpid()
        self._mutex = threading.Lock()
        """Held while an examination runs and while the members change."""

    # -- in a worker thread --------------------------------------------------------------------

    def start(self) -> None:
        """Start every place; afterwards every later change is seen.

        Raises:
            UsageError: Nothing is at a path that does not say what it is to be, two places are the
                same or share a state file, or what a single watch raises.
        """
        places = [resolve(one, self._common) for one in self._wanted]
        check_apart(places)
        left_out = inner_places(places)
        for place in places:
            self._start_one(place, left_out.get(place.path, frozenset()))
        with self._mutex:  # what moved between places while none was watched is one event, too
            self._set_members(list(self._members))
            self._stream.collect(self._members)

    def add(self, place: Place | Path) -> bool:
        """Start another place; return whether it is one more.

        Raises:
            UsageError: As ``start``; also for a place inside a folder that is watched otherwise.
        """
        resolved = resolve(place, self._common)
        there = [member.place for member in self._members]
        if resolved in there:
            return False
        outer = covering(resolved, there)
        if (
            outer is not None
            and not outer.options.recursive
            and (resolved.path.parent != outer.path)
        ):
            outer = None
        if outer is not None:
            if outer.options == resolved.options and resolved.expects == "dir":
                return False
            message = (
                f"{os.fspath(resolved.path)!r} is inside the folder {os.fspath(outer.path)!r}, "
                "which is watched already: name both when the watch begins, or use another watch"
            )
            raise UsageError(message)
        check_apart([*there, resolved])
        left_out = inner_places([*there, resolved])
        self._start_one(resolved, left_out.get(resolved.path, frozenset()))
        with self._mutex:
            self._set_members(list(self._members))
            self._stream.collect(self._members)
        return True

    def _start_one(self, place: ResolvedPlace, left_out: frozenset[tuple[str, str]]) -> None:
        if self.closed:
            return
        watcher = Watcher(
            place.path,
            place.options,
            place.expects,
            self.router,
            left_out=left_out,
            in_group=True,
        )
        member = GroupMember(place, watcher)
        watcher.kept = lambda: self._stream.kept_for(member)
        watcher.hints.crossings = self._stream.crossings
        try:
            watcher.start()
        except BaseException:
            watcher.close()
            raise
        with self._mutex:
            self._members = (*self._members, member)
        if self.closed:
            watcher.stop()

    def _set_members(self, members: list[GroupMember]) -> None:
        """Replace the members; one inside another comes after it."""
        members.sort(key=lambda one: one.depth)
        folders = {one.place.path: one for one in members if one.place.expects == "dir"}
        for member in members:
            member.around = [folders[up] for up in member.place.path.parents if up in folders]
        self._members = tuple(members)
        self.hints.parts = [one.watcher.hints for one in members]
        self.hints.awaited = self.hints.awaited  # of the new ones, too

    def remove(self, path: Path) -> None:
        """Stop the place at a path; none of its events is handed out afterwards.

        Raises:
            UsageError: There is no such place.
            StateFileError: Its state could not be saved; all else is done.
        """
        with self._mutex:
            member = next((one for one in self._members if one.place.path == path), None)
            if member is None:
                shown = ", ".join(os.fspath(one.place.path) for one in self._members) or "none"
                message = f"{os.fspath(path)!r} is not a place of this watch; its places: {shown}"
                raise UsageError(message)
            self._set_members([one for one in self._members if one is not member])
            self._stream.collect(self._members)
            left = self._stream.kept_for(member)
            member.watcher.kept = lambda: left
            self._stream.drop(member)
        member.watcher.hints.awaited = False
        member.watcher.close()

    def examine(self, *, force: bool = False, drained: bool = False) -> bool:
        """Examine every place that has something to examine, and make the events ready."""
        if drained:
            if not self._mutex.acquire(blocking=False):
                return False
            try:
                self._examine(force=force)
            finally:
                self._mutex.release()
            return True
        try:
            with self._mutex:  # it is free again also after a signal handler that raises
                self.router.drain()
                self._examine(force=force)
        finally:
            for one in self._members[:1]:
                self.router.pass_on(one.watcher.hints)
        return True

    def _examine(self, *, force: bool) -> None:
        trouble: BaseException | None = None
        self._poll_together()
        for member in self._members:
            try:
                member.watcher.examine_in_group(force=force, lost_way=self._lost_its_way(member))
            except BaseException as error:  # noqa: BLE001 (raised once the others are done)
                trouble = trouble or error
        self._stream.collect(self._members)
        if trouble is not None:
            raise trouble

    def _lost_its_way(self, member: GroupMember) -> bool:
        """Return whether a place around this one has just found changes on the way to it."""
        path = member.place.path
        return any(
            isinstance(event, DirDeleted | DirRenamed)
            and (path.is_relative_to(event.path) or path.is_relative_to(_source(event)))
            for outer in member.around
            for event in outer.watcher.found
        )

    def _poll_together(self) -> None:
        """Let all places be polled when one is, so that what moved between them is seen at once."""
        due = math.inf
        polls = []
        for member in self._members:
            context = member.watcher.context
            if context is not None and context.poll.directories:
                polls.append(context.poll)
                if context.poll.next is not None:
                    due = min(due, context.poll.next)
        for poll in polls:
            if poll.next is not None:
                poll.next = due

    def examine_names(self) -> bool:
        """Examine the names that wait, in the event loop; return whether it was done."""
        if not self._mutex.acquire(blocking=False):
            return False
        try:
            for member in self._members:
                if member.watcher.hints and not member.watcher.examine_names():
                    return False  # what was found so far waits for the rest
            self._stream.collect(self._members)
            return True
        finally:
            self._mutex.release()

    def close(self, *, keep_marks: bool = False) -> None:
        """Close every place.

        Raises:
            StateFileError: A state could not be saved; all else is done.
        """
        self.stop()
        trouble: BaseException | None = None
        for member in self._members:
            try:
                member.watcher.close(keep_marks=keep_marks)
            except BaseException as error:  # noqa: BLE001 (raised once the others are closed)
                trouble = trouble or error
        if trouble is not None:
            raise trouble

    def save(self) -> None:
        """Write the state file of every place that has one."""
        for member in self._members:
            if member.place.options.state is not None:
                member.watcher.save(None)

    def stop(self) -> None:
        """Ask a scan that is running to stop."""
        self.closed = True
        for member in self._members:
            member.watcher.stop()

    # -- from anywhere -------------------------------------------------------------------------

    def pop(self) -> Event | None:
        """Return the next event, if one is ready; see ``GroupStream.pop``."""
        return self._stream.pop()

    def pop_all(self, first: Event | None = None) -> list[Event]:
        """Return all events that are ready; see ``GroupStream.pop_all``."""
        return self._stream.pop_all(first)

    @property
    def gather(self) -> float:
        """Return the shortest of the places' options."""
        return min((one.place.options.gather for one in self._members), default=0.0)

    @property
    def waiting(self) -> bool:
        """Return whether there is something to examine or to make ready."""
        return bool(self.hints) or self.has_found

    @property
    def has_found(self) -> bool:
        """Return whether events wait to be made ready, for which content is read."""
        return self._stream.has_found

    @property
    def is_ready(self) -> bool:
        """Return whether a consumer should go on without an examination."""
        return self.closed or self._stream.is_ready

    @property
    def has_work(self) -> bool:
        """Return whether a consumer should go on."""
        return self.is_ready or self.waiting

    @property
    def is_heavy(self) -> bool:
        """Return whether an examination may take long."""
        return self.has_found or any(one.watcher.is_heavy for one in self._members)

    @property
    def is_forked(self) -> bool:
        """Return whether the caller is a forked child of the process that made it."""
        return os.getpid() != self._process

    def due(self) -> float:
        """Return when the next one is due without a hint, monotonic seconds."""
        return min((one.watcher.due() for one in self._members), default=math.inf)

    def timeout(self) -> float | None:
        """Return the seconds until an examination is due without a hint; ``None`` is never."""
        times = [left for one in self._members if (left := one.watcher.timeout()) is not None]
        return min(times, default=None)

    @property
    def places(self) -> tuple[ResolvedPlace, ...]:
        """Return the places that are watched now."""
        return tuple(one.place for one in self._members)

    def entries(self) -> dict[Path, Kind]:
        """Return what is in the index of all places."""
        found: dict[Path, Kind] = {}
        for member in self._members:
            found.update(member.watcher.entries())
        return found

    def explain(self, path: Path, *, is_dir: bool = False) -> Explanation:
        """Return what would be reported of a path, and why."""
        from limpet.watching._explain import explain_by  # few programs ask

        return explain_by(
            path, [one.watcher for one in self._members], self._selection, is_dir=is_dir
        )

    def count(self) -> int:
        """Return the number of entries in the index of all places."""
        return sum(one.watcher.count() for one in self._members)

    def stats(self) -> dict[Path, WatchStats]:
        """Return the figures of each place."""
        return {one.place.path: one.watcher.stats() for one in self._members}


def _source(event: DirDeleted | DirRenamed) -> Path:
    return event.source if isinstance(event, DirRenamed) else event.path
