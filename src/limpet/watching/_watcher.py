"""The synchronous core of one watch: builds the parts, scans when called, keeps what it found.

Every method that may wait for the disk is meant for a worker thread. A lock makes sure that only
one scan runs at a time, even when the task that started it was cancelled and another starts one.
Events stay here until they are handed out, so a cancelled wait loses none.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from limpet._compiled import form
from limpet.backends import (
    Choice,
    HintRouter,
    PendingHints,
    PollSource,
    capabilities_of,
    choose,
    make_tree_source,
    mark_order,
)
from limpet.config import WatchOptions
from limpet.errors import LimitError, UsageError
from limpet.events import Event, Kind, Origin
from limpet.watching._dir_watcher import DirWatcher
from limpet.watching._explanation import Explanation
from limpet.watching._selection import Failed, Selection
from limpet.watching._unacked import Unacknowledged
from limpet.watching._watch_stats import WatchStats
from limpet.watching.diff._context import DiffContext, StoppedError
from limpet.watching.emit._debounce import Debouncer
from limpet.watching.emit._degradation import Degradation
from limpet.watching.emit._event_factory import EventFactory
from limpet.watching.emit._own_writes import OwnWrites
from limpet.watching.emit._services import WatchServices
from limpet.watching.index._fs import OUT_OF_DESCRIPTORS, FileSystemCalls, default_disk
from limpet.watching.location._path_marks import PathMarks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from limpet.watching import _state_file
    from limpet.watching._file_watcher import FileWatcher
    from limpet.watching.emit._appended_content import Appended
    from limpet.watching.emit._causes import KnownCauses
    from limpet.watching.index._index import DirNode

CONTENT_BUDGET: Final = 16 << 20
"""Bytes of content read ahead of the consumer, at most (one larger file may go beyond)."""

MOST_READY: Final = 10_000
"""Events whose content is read ahead of the consumer, at most."""
_UNSURE_S: Final = 0.1
"""Seconds between the two times that a fence asks for a target on a network mount."""
_LIGHT: Final = 2_000
"""Names that may be examined while other watches of the loop wait: some 20 milliseconds."""
_LIGHT_PATHS: Final = 20
"""The same for hints by path, if each is about one name: there, the directory is listed for it, and
the content of what was just written may be compared."""


def make_router() -> HintRouter:
    """Open the router that the watches of a loop share.

    Raises:
        LimitError: The process is out of file descriptors.
    """
    try:
        return HintRouter()
    except OSError as error:
        if error.errno not in OUT_OF_DESCRIPTORS:
            raise
        message = (
            f"cannot start a watch: {error.strerror}; raise the limit of open files (ulimit -n) or "
            "close some"
        )
        raise LimitError(message) from error


class Watcher:
    """The synchronous core of one watch."""

    def __init__(
        self,
        location: Path,
        options: WatchOptions,
        expects: Kind,
        router: HintRouter,
        disk: FileSystemCalls | None = None,
        *,
        selection: Selection | None = None,
        left_out: frozenset[tuple[str, str]] = frozenset(),
        in_group: bool = False,
    ) -> None:
        """Build the parts; the disk is not touched.

        Args:
            location: Absolute.
            options: The options of the watch.
            expects: ``file`` or ``dir``.
            router: Shared by the watches of one loop.
            disk: Other system calls, for tests.
            selection: Which events its consumer gets; ``None`` is all.
            left_out: Directory below the location and name of what another watch reports.
            in_group: A group takes the events from it, selects them and reads content.
        """
        self.location = location
        self.options = options
        self.expects = expects
        self.gather = options.gather
        self.router = router
        self.hints = PendingHints()
        self.choice: Choice | None = None
        self.closed = False
        self._process = os.getpid()
        self._disk = disk or default_disk()
        filtered = options.include or options.exclude or options.ignore_file
        keeps = str(location) if options.own == "keep" and not filtered else None
        self._own_writes = OwnWrites(self._wake, keeps=keeps)
        self._emit = EventFactory(location, options, self._disk, self._own_writes)
        self._debouncer = Debouncer(
            options.settle, options.settle_limit, ends_at_close=options.settle_until == "closed"
        )
        self._causes: KnownCauses | None = None
        if options.who:
            from limpet.watching.emit._causes import KnownCauses

            self.hints.causes = {}
            self._causes = KnownCauses(self.hints)
        self._selection = selection.restarted() if selection is not None else None
        self._left_out = left_out
        self._in_group = in_group
        self.kept: Callable[[], list[Event]] = list
        """Returns events that a group has taken and not handed out."""
        self._found: deque[Event | Failed] = deque()
        self._ready: deque[Event | Failed] = deque()
        self.unacked: Unacknowledged | None = None
        """Events handed out and not acknowledged; ``None``: handing out acknowledges."""
        self._mutex = threading.Lock()
        self._services: WatchServices | None = None
        self._appended: Appended | None = None
        self._slow = options.content is not None
        """Every examination may take long: files are read, or a network answers."""
        self._light_paths = 0
        self._pause = time.sleep
        self._started = False
        """The first scan is complete: only then is the index what the consumer has."""
        self._engine: DirWatcher | FileWatcher | None = None
        self._context: DiffContext | None = None

    # -- in a worker thread --------------------------------------------------------------------

    def start(self) -> None:
        """Choose a backend, mark and list; afterwards every later change is seen.

        Raises:
            UnsupportedError: The backend in the options does not work here.
            UsageError: What is at ``state`` is not a state file, or nothing is at the location and
                ``must_exist`` is set.
            StateFileError: The state file cannot be read, or could not be written.
        """
        try:
            self._start()
        finally:
            self.router.pass_on(self.hints)  # a long scan reads what is for others, too

    def _start(self) -> None:
        with self._mutex:
            if self.closed:
                return
            self.choice = choose(self.location, self.options.backend)
            self._slow |= self.choice.network
            self._own_writes.open()
            self.router.join(self.hints)
            self._engine = self._build(self.choice)
            if self.choice.degraded:
                self._emit.degraded(
                    "",
                    "limit",
                    f"no notifications here, so everything is polled: "
                    f"{self.choice.reason}; 'limpet doctor' shows the limits",
                )
            saved = self._load()
            report = self.options.existing or (saved is not None and saved.absent)
            origin: Origin = "initial" if saved is None else "offline"
            if isinstance(self._engine, DirWatcher):
                root = saved.root if saved is not None else None
                if saved is not None:
                    settling = self._engine.context.settling
                    settling.restore(saved.settling, self._disk.monotonic())
                self._engine.start(report=report, origin=origin, saved=root)
            else:
                record = saved.record if saved is not None else None
                self._engine.start(report=report, origin=origin, saved=record)
            self._check_exists()
            self._note_early()
            self._collect()
            self._prepare()
            self._started = not self.closed

    def _check_exists(self) -> None:
        if not self.options.must_exist or self.closed:
            return
        engine = self._engine
        if engine is not None and not engine.is_there:
            what = "folder" if self.expects == "dir" else "file"
            message = f"there is no {what} at {os.fspath(self.location)!r}, and must_exist is set"
            raise UsageError(message)

    def examine(self, *, force: bool = False, drained: bool = False) -> bool:
        """Compare what hints and timers name with the disk, and make the events ready.

        Args:
            force: Also examine what could have changed without a hint.
            drained: The dispatcher has read the router; another thread's work is not waited for.

        Returns:
            Whether it was done; with ``drained`` it is not while another thread examines.
        """
        if drained:
            if not self._mutex.acquire(blocking=False):
                return False
            try:
                self._examine(force=force)
                self._prepare()
                self._note_early()
            finally:
                self._mutex.release()
            return True
        try:
            with self._mutex:  # it is free again also after a signal handler that raises
                self.router.drain()
                self._examine_due(force=force)
                self._prepare()
                self._note_early()
        finally:  # whether it succeeded or not: what was read may be for others
            self.router.pass_on(self.hints)
        return True

    def examine_in_group(self, *, force: bool = False, lost_way: bool = False) -> None:
        """Examine for the group, which has drained the router; the events stay in ``found``.

        Args:
            force: As ``examine``.
            lost_way: Another place has just reported that a folder on the way here is gone.
        """
        with self._mutex:
            try:
                if lost_way and self._engine is not None and not self.closed:
                    self._engine.lose_way()
                self._examine_due(force=force or lost_way)
            finally:
                self._note_early()

    def _examine_due(self, *, force: bool) -> None:
        if force or self.hints or self.due() <= self._disk.monotonic():
            self._examine(force=force)
            if force and self._engine is not None and self._engine.is_unsure:
                self._pause(_UNSURE_S)
                self._examine(force=True)

    def _examine(self, *, force: bool) -> None:
        engine = self._engine
        if self.closed or engine is None:
            return
        try:
            engine.examine(self._take(), force=force)
        except StoppedError:
            return
        except BaseException:
            with self.router.lock:
                self.hints.lose("backend")  # the hints that were taken are lost with it
            raise
        finally:
            self._collect()

    def examine_names(self) -> bool:
        """Examine the names that wait, in the event loop; for one that has drained the router.

        Returns:
            Whether it was done; if not, nothing has changed, and ``examine`` is due. It is not done
            while a thread examines, or where more than a stat of a few names is needed.
        """
        if not self._mutex.acquire(blocking=False):
            return False
        try:
            engine = self._engine
            if not isinstance(engine, DirWatcher) or self.closed or self._slow:
                return False
            done = engine.examine_names(self.hints)
            if done:  # without content, which takes a thread (``is_heavy``)
                found = self._found if self._in_group else self._ready
                found.extend(self._select(self._emit.fetch()))
                self._note_early()
            return done
        finally:
            self._mutex.release()

    def close(self, *, keep_marks: bool = False) -> None:
        """Remove every mark, save the checkpoint, and end; may be called twice.

        With ``keep_marks`` the marks are left to the router, which is closed next: the kernel
        removes all marks of an instance at once (60,000 entries: 3 instead of 150 milliseconds).

        In a forked child it only ends: marks, checkpoint and locks are the parent's.
        """
        self.stop()
        if self.is_forked:
            self._engine = None
            return
        with self._mutex:
            engine, self._engine = self._engine, None
            if engine is None:
                self.router.leave(self.hints)
                self._own_writes.close()
                return
            try:
                self._save(engine)
            finally:
                if self._services is not None and self._services.tree_source is not None:
                    self._services.tree_source.close()
                if not keep_marks:
                    engine.close()
                if self._context is not None:
                    self._context.index.clear()
                self.router.leave(self.hints)
                self._own_writes.close()

    def save(self, path: Path | None) -> None:
        """Write the state file, or another in its form, as things are now."""
        with self._mutex:
            if self._engine is not None and not self.closed:
                self._save(self._engine, path)

    def stop(self) -> None:
        """Ask a scan that is running to stop."""
        self.closed = True
        if self._context is not None:
            self._context.stopping = True

    # -- from anywhere -------------------------------------------------------------------------

    def pop(self) -> Event | None:
        """Return the next event, if one is ready.

        Raises:
            BaseException: What the consumer's ``only`` raised for it; it is left out.
        """
        if not self._ready:
            return None
        if self.unacked is not None:  # added first: ``save`` must find it in one of both
            first = self._ready[0]
            if type(first) is not Failed:
                self.unacked.add(cast("Event", first))
        event = self._ready.popleft()
        if type(event) is Failed:
            raise event.error
        return cast("Event", event)

    def pop_all(self, first: Event | None = None) -> list[Event]:
        """Return all events that are ready, after one that was taken before.

        Raises:
            BaseException: As ``pop``, if that is the first; else those before it are returned.
        """
        if self.unacked is None and self._selection is None:  # a thread may add to them meanwhile
            take = cast("Callable[[], Event]", self._ready.popleft)
            taken = [take() for _ in range(len(self._ready))]
            return taken if first is None else [first, *taken]
        batch = [] if first is None else [first]
        while self._ready and not (batch and type(self._ready[0]) is Failed):
            event = self.pop()
            if event is not None:
                batch.append(event)
        return batch

    @property
    def found(self) -> list[Event]:
        """Return what was found and not taken, for the group."""
        return _events(self._found)

    def take_found(self) -> list[Event]:
        """Return what was found since the last call, for the group."""
        take = cast("Callable[[], Event]", self._found.popleft)
        return [take() for _ in range(len(self._found))]

    @property
    def context(self) -> DiffContext | None:
        """Return the index of a folder's watch and what it works with; ``None`` of a file's."""
        return self._context

    @property
    def waiting(self) -> bool:
        """Return whether there is something to examine or to make ready."""
        return bool(self.hints) or bool(self._found)

    @property
    def has_found(self) -> bool:
        """Return whether events wait to be made ready, for which content is read."""
        return bool(self._found)

    @property
    def is_ready(self) -> bool:
        """Return whether a consumer should go on without an examination."""
        return self.closed or bool(self._ready)

    @property
    def has_work(self) -> bool:
        """Return whether a consumer should go on."""
        return self.is_ready or self.waiting

    @property
    def is_heavy(self) -> bool:
        """Return whether an examination may take long: no other watch should wait for it."""
        hints = self.hints
        return bool(
            hints.lost
            or hints.mounts_changed
            or len(hints.paths) > self._light_paths
            or hints.count > _LIGHT
            or self._found
            or (self._slow and hints)
        )

    def due(self) -> float:
        """Return when the next one is due without a hint, monotonic seconds; infinity is never."""
        due = self._engine.deadline() if self._engine is not None else None
        return math.inf if due is None else due

    def released_at(self) -> float:
        """Return when the next file or folder that is held is released; infinity: none is held."""
        due = self._engine.held_deadline() if self._engine is not None else None
        return math.inf if due is None else due

    def timeout(self) -> float | None:
        """Return the seconds until an examination is due without a hint; ``None`` is never."""
        due = self.due()
        return None if due == math.inf else max(0.0, due - self._disk.monotonic())

    def entries(self) -> dict[Path, Kind]:
        free = self._mutex.acquire(blocking=False)
        try:
            engine = self._engine
            listing = list(engine.listing()) if engine is not None else []
        finally:
            if free:
                self._mutex.release()
        return {self._emit.path(path): kind for path, kind in listing}

    def explain(self, path: Path, *, is_dir: bool = False) -> Explanation:
        from limpet.watching._explain import explain_by  # few programs ask

        return explain_by(path, (self,), self._selection, is_dir=is_dir)

    def count(self) -> int:
        """Return the number of entries in the index."""
        return self._engine.count() if self._engine is not None else 0

    def stats(self) -> WatchStats:
        engine = self._engine
        return WatchStats(
            backend=self.choice.name if self.choice is not None else "",
            marks=self.router.marks_of(self.hints) if engine is not None else 0,
            polled=len(self._services.poll.directories) if self._services is not None else 0,
            entries=self.count(),
            scans=engine.scans if engine is not None else 0,
            rescans=engine.rescans if engine is not None else 0,
            dirty=sum(len(names) for names in list(self.hints.dirty.values())),
            held=len(self._debouncer.held),
            events=self._emit.made,
            speedups=form(),
        )

    # -- inside --------------------------------------------------------------------------------

    @property
    def is_forked(self) -> bool:
        """Return whether the caller is a forked child of the process that made the watch."""
        return os.getpid() != self._process

    def _build(self, choice: Choice) -> DirWatcher | FileWatcher:
        order = mark_order(choice.name)
        is_dir = self.expects == "dir"
        services = WatchServices(
            location=self.location,
            options=self.options,
            disk=self._disk,
            emit=self._emit,
            debouncer=self._debouncer,
            own_writes=self._own_writes,
            degradation=Degradation(hints=bool(order)),
            router=self.router,
            hints=self.hints,
            capabilities=capabilities_of(choice.name),
            order=order,
            in_group=self._in_group,
            left_out=self._left_out,
            poll=PollSource(self.options.poll_interval),
            tree_source=(
                make_tree_source(
                    choice.name,
                    self.router.tree_receiver(self.hints),
                    recursive=self.options.recursive,
                )
                if is_dir
                else None
            ),
            network=choice.network,
        )
        self._services = services
        self._light_paths = _LIGHT_PATHS if services.capabilities.exact_paths else 0
        path_marks = PathMarks(services, content=not is_dir)
        if not is_dir:
            from limpet.watching._file_watcher import FileWatcher

            return FileWatcher(services, path_marks)
        self._context = context = DiffContext(services, path_marks.can_reach)
        context.stopping = self.closed
        return DirWatcher(context, path_marks, self._take_more)

    def _wake(self) -> None:
        self.hints.woken = True
        self.router.wake()

    def _take(self) -> PendingHints:
        with self.router.lock:
            return self.hints.take()

    def _take_more(self) -> PendingHints:
        self.router.drain()
        return self._take()

    def _note_early(self) -> None:
        """Record that what is pending now may be older than what was found on disk.

        Another thread that reads the kernel's queue holds the lock until it has added all of it.
        """
        with self.router.lock:
            self.hints.early = bool(self.hints.dirty)

    def _held(self) -> set[str]:
        """Return the relative paths of the files that are held; ``""`` is the file watched."""
        return {
            directory.relative_of(name) if hasattr(directory, "relative_of") else ""
            for directory, name in self._debouncer.held
        }

    def _collect(self) -> None:
        self._found.extend(self._select(self._emit.fetch()))

    def _select(self, events: list[Event]) -> list[Event] | list[Event | Failed]:
        if self._causes is not None:
            self._causes.add_to(events, self._held)
        return events if self._selection is None else self._selection.select(events)

    def _prepare(self) -> None:
        """Make found events ready to be handed out, reading content up to the budget."""
        if self._in_group:
            return
        if self.options.content is None:
            self._ready.extend(self._found)
            self._found.clear()
            return
        spent = 0
        while self._found and spent < CONTENT_BUDGET and len(self._ready) < MOST_READY:
            event, size = self.with_content(self._found.popleft())
            spent += size
            self._ready.append(event)

    def with_content(self, event: Event | Failed) -> tuple[Event | Failed, int]:
        """Return the event with the content that the options ask for, and the bytes read."""
        options = self.options.content
        if options is None or type(event) is Failed:
            return event, 0
        if options.appended:
            if self._appended is None:
                from limpet.watching.emit._appended_content import Appended

                self._appended = Appended(options)
            return self._appended.put(cast("Event", event))
        from limpet.watching.emit._content import with_content

        return with_content(cast("Event", event), options)

    # -- state ---------------------------------------------------------------------------------

    def _load(self) -> _state_file.Saved | None:
        if self.options.state is None:
            return None
        from limpet.watching import _state_file

        path = Path(os.path.realpath(self.options.state))  # a symlink stays what it is

        try:
            saved = _state_file.load(path, self.location)
            if saved is None:
                return None
            wrong = (saved.record if self.expects == "dir" else saved.root) is not None
            if wrong:
                message = "it belongs to another kind of watch"
                raise _state_file.DamagedError(message)
            events = [
                _state_file.decode_event(row, number) for number, row in enumerate(saved.events, 1)
            ]
        except _state_file.DamagedError as error:
            kept = _state_file.set_aside(path)
            self._emit.degraded(
                "",
                "state",
                f"cannot use the state file {os.fspath(path)!r}: {error}; it is kept as "
                f"{kept}, and what changed while no watch was running is not known",
            )
            return None
        self._emit.made += len(events)
        self._found.extend(self._select(events))
        return saved

    def _save(self, engine: DirWatcher | FileWatcher, path: Path | None = None) -> None:
        path = path or self.options.state
        if path is None or not self._started:
            return
        from limpet.watching import _state_file

        path = Path(os.path.realpath(path))
        target: DirNode | bytes | None
        settling: dict[DirNode, bool] = {}
        if isinstance(engine, DirWatcher):
            target, settling = engine.context.index.root, engine.context.settling.kept()
        else:
            target = engine.record
        # In this order: what is handed out meanwhile is then in both, never in neither.
        ready = _events(self._ready)
        out = self.unacked.events() if self.unacked is not None else []
        noted = {id(event) for event in out}
        events = [
            *out,
            *(event for event in ready if id(event) not in noted),
            *_events(self._found),
        ]
        events = [*self.kept(), *events]
        if not isinstance(engine, DirWatcher):
            held = self._debouncer.held.get((None, ""))
            if held is not None and isinstance(target, bytes):
                target = held.previous if isinstance(held.previous, bytes) else None
        _state_file.save(path, self.location, target, self._debouncer, events, settling)


def _events(queue: Iterable[Event | Failed]) -> list[Event]:
    return [cast("Event", one) for one in list(queue) if type(one) is not Failed]
