"""The thread of one follower: it examines files when it is woken, and reads while there is room.

A few batches are read ahead of the consumer, so that the disk is read while the last batch is
processed. Passes continue while nobody consumes events: a file that is rotated meanwhile is
held.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet.following._change_notifier import ChangeNotifier, FollowWatch, acquire, release
from limpet.following._follow_events import Appended, FollowEvent, WatchDegraded
from limpet.following._followed_stream import STDIN

if TYPE_CHECKING:
    from limpet.events import Degraded, Kind
    from limpet.following._follow_engine import FollowEngine
    from limpet.following._follow_stats import FollowStats

_MANY: Final = 16
"""Followed paths in one directory from which the directory is watched, not each path: a watch takes
15 KiB."""
_READ_AHEAD: Final = 2
"""Batches read ahead, at most: about 2 MiB, besides the one that is processed."""
_MAX_READY: Final = 256
"""Events passed on ahead of the consumer, at most; the engine's queue, which is bounded, has the
others."""

Callback = Callable[[], None]
SaveCallback = Callable[[BaseException | None], None]


class _Work(NamedTuple):
    """Why the thread woke up."""

    watches: list[FollowWatch]
    """Watches with hints."""
    fences: list[Callback]
    """Called after a pass over everything."""
    saves: list[SaveCallback]
    """Called after a save, with what it raised."""


class FollowThread:
    """Drives one engine; ``pop``, ``when_ready`` and ``stats`` may be called from any thread."""

    def __init__(self, engine: FollowEngine) -> None:
        self.engine = engine
        self.error: BaseException | None = None
        self._notifier: ChangeNotifier | None = None
        self._watches: list[FollowWatch] = []
        self._watched_paths: set[str] = set()
        """Paths with a watch of their own."""
        self._condition = threading.Condition(threading.Lock())
        self._signalled: dict[FollowWatch, None] = {}
        self._fences: list[Callback] = []
        self._saves: list[SaveCallback] = []
        self._ready: deque[FollowEvent] = deque()
        self._batches = 0
        """Batches among the events that are ready."""
        self._held_back = False
        """Events wait in the engine until the consumer has taken some."""
        self._consumers: list[Callback] = []
        """Called once when something is ready."""
        self._more_to_read = True
        """There may be something to read that there was no room for."""
        self._stream_waits = False
        """A stream has read something that was not taken yet."""
        self._pass_due = 0.0
        """When a pass is due without a hint, monotonic seconds."""
        self._save_failed = False
        """The last save failed, and that was reported."""
        self._ended = False
        """The thread is to end."""
        self._over = False
        """Nothing more will be ready."""
        self._abandoned = False
        self._finished = False
        self._cancelled = False
        """The start was given up; the thread that is in it frees everything."""
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    @property
    def is_here(self) -> bool:
        """Return whether it runs in this process: a fork copies no thread."""
        return self._process == os.getpid()

    def start(self) -> None:
        """Watch, go to where to start, and start the thread; may take long.

        Raises:
            LimpetError: As ``FollowEngine.start``; nothing is left running.
            OSError: As ``FollowEngine.start``; ``InterruptedError`` after ``cancel_start``.
        """
        self.engine.state.wake = self._wake_to_read
        self._notifier = acquire()
        try:
            self._watch_all()
            self.engine.state.network_paths = tuple(
                watch.path for watch in self._watches if watch.on_network
            )
            self.engine.start()
            self._watch_links(self.engine.state.paths)
        except BaseException:
            self._free()
            raise
        with self._condition:
            if not self._cancelled:
                self._thread = threading.Thread(target=self._run, name="limpet follow", daemon=True)
                self._thread.start()
                return
        self._clear()
        message = "the start was cancelled"
        raise InterruptedError(message)

    def cancel_start(self) -> None:
        """Let a start end soon and free everything; does not block."""
        with self._condition:
            self._cancelled = self.engine.state.cancelled = True
            started = self._thread is not None
        if started:
            self.abandon()

    def close(self) -> None:
        """Save what is acknowledged and free everything; blocks for as long as a read takes.

        In a forked child nothing is saved: the checkpoint is the parent's.

        Raises:
            StateFileError: The checkpoint could not be saved; everything is freed.
        """
        if not self.is_here:
            self._over = True
            self.engine.close_copy()
            return
        with self._condition:
            self._ended = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        try:
            self.engine.close()
        finally:
            self._free()
            self._end()

    def abandon(self) -> None:
        """Let the thread free everything soon; does not block."""
        if not self.is_here:  # locks may have been held in the moment of the fork
            self.engine.close_copy()
            return
        with self._condition:
            self._ended = self._abandoned = True
            finished = self._finished
            self._condition.notify()
        if finished:  # the thread ended by itself, so another one has to do it
            threading.Thread(target=self._clear, name="limpet follow", daemon=True).start()

    # -- from any thread -----------------------------------------------------------------------

    def pop(self) -> FollowEvent | None:
        """Return the next event, if one is ready."""
        try:
            event = self._ready.popleft()
        except IndexError:
            return None
        is_batch = isinstance(event, Appended)
        if is_batch or self._held_back:
            with self._condition:
                self._batches -= is_batch
                if self._batches < _READ_AHEAD or self._held_back:
                    self._condition.notify()
        return event

    @property
    def is_over(self) -> bool:
        """Return whether nothing more comes, once ``pop`` returns ``None``."""
        return self._over

    def when_ready(self, notify: Callback) -> None:
        """Call ``notify`` once, from any thread, when something is ready or nothing more comes."""
        with self._condition:
            if not (self._ready or self._over):
                self._consumers.append(notify)
                return
        notify()

    def fence(self, notify: Callback) -> None:
        """Call ``notify`` once everything has been examined."""
        with self._condition:
            if not self._over and self._thread is not None:
                self._fences.append(notify)
                self._condition.notify()
                return
        notify()

    def save(self, notify: SaveCallback) -> None:
        """Save what is acknowledged by now, then call ``notify`` with the error, if any."""
        with self._condition:
            if not self._over and self._thread is not None:
                self._saves.append(notify)
                self._condition.notify()
                return
        notify(self.error)

    def drain(self) -> None:
        """End once everything that is there now is delivered."""
        with self._condition:
            self._fences.append(self._finish)  # only then has what is there been examined
            self._condition.notify()

    def _finish(self) -> None:
        self.engine.finishing = True

    def stats(self) -> FollowStats:
        """Return the figures; while the thread runs they may be of two moments."""
        return self.engine.stats()

    # -- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._over and (work := self._wait()) is not None:
                self._step(work)
        except BaseException as error:  # noqa: BLE001 (raised for the consumer)
            self.error = error
        finally:
            self._end()
            with self._condition:
                self._finished = True
                abandoned = self._abandoned
            if abandoned:
                self._clear()

    def _clear(self) -> None:
        with contextlib.suppress(OSError):  # there is nobody to report it to
            self.engine.close()
        self._free()

    def _wait(self) -> _Work | None:
        """Wait until there is something to do; ``None`` is the end."""
        with self._condition:
            while not (
                self._ended
                or self._signalled
                or self._fences
                or self._saves
                or (
                    (self._more_to_read or self._stream_waits)
                    and not self._held_back
                    and self._batches < _READ_AHEAD
                )
                or (self._held_back and len(self._ready) < _MAX_READY // 2)
            ):
                left = self._pass_due - time.monotonic()
                if left <= 0:
                    break
                self._condition.wait(left)
            if self._ended or self._over:
                return None
            work = _Work(list(self._signalled), self._fences, self._saves)
            self._signalled, self._fences, self._saves = {}, [], []
            return work

    def _step(self, work: _Work) -> None:
        engine = self.engine
        try:
            self._examine(work)
            _call(work.fences)
            self._read()
            self._save(work.saves)
        except BaseException as error:
            _call([partial(done, error) for done in work.saves])
            raise
        is_read = not (engine.state.events or self._more_to_read or self._stream_waits)
        if is_read and engine.at_end:
            engine.flush()
            with self._condition:
                self._ready.extend(engine.fetch())
            self._over = True
        self._pass_due = engine.due(time.monotonic(), interval=self._interval())

    def _examine(self, work: _Work) -> None:
        engine = self.engine
        hinted: set[str] = set()
        everything = bool(work.fences)
        for watch in work.watches:
            paths, degraded = watch.changed_paths()
            self._report(degraded)
            if paths is None:
                everything = True
            else:
                hinted |= paths
        if everything:
            engine.examine()
            self._watch_links(engine.state.paths)
        else:
            if hinted:
                engine.examine_paths(hinted)
                self._watch_links(hinted)
            if time.monotonic() >= self._pass_due:
                engine.examine_due()

    def _report(self, degraded: list[Degraded]) -> None:
        for event in degraded:
            self.engine.state.emit(
                WatchDegraded(
                    time=event.time, path=event.path, reason=event.reason, message=event.message
                )
            )

    def _read(self) -> None:
        """Read while there is room, and pass on what was found."""
        self._more_to_read = True
        while self._more_to_read:
            self._pass_on()
            if self._held_back or self._batches >= _READ_AHEAD or self._ended or self._signalled:
                return
            self._stream_waits = False
            self._more_to_read = self.engine.read()
        self._pass_on()

    def _pass_on(self) -> None:
        self._held_back = bool(self.engine.state.events) and len(self._ready) >= _MAX_READY
        if self._held_back:
            return
        events = self.engine.fetch()
        if not events:
            return
        with self._condition:
            self._ready.extend(events)
            self._batches += sum(isinstance(event, Appended) for event in events)
        self._wake()

    def _save(self, saves: list[SaveCallback]) -> None:
        """Save the checkpoint, now if that was asked for, otherwise if it is due."""
        engine, failure = self.engine, None
        try:
            if saves:
                engine.save()
                self._save_failed = False
            elif engine.save_if_due():
                self._save_failed = False
        except OSError as error:
            failure = error
            if not self._save_failed and engine.store is not None:
                self._save_failed = True
                engine.state.emit(
                    WatchDegraded(
                        time=time.time(),
                        path=engine.store.path,
                        reason="state",
                        message=f"cannot save the state: {error}; it is tried "
                        "again each second, and after a kill lines are delivered again",
                    )
                )
        _call([partial(done, failure) for done in saves])
        saves.clear()

    def _end(self) -> None:
        self._over = True
        self._wake()

    def _wake(self) -> None:
        """Wake the consumers; at the end also everybody who waits for a fence or a save."""
        with self._condition:
            calls, self._consumers = self._consumers, []
            if self._over:
                calls += [*self._fences, *(partial(done, self.error) for done in self._saves)]
                self._fences, self._saves = [], []
        _call(calls)

    # -- watches -------------------------------------------------------------------------------

    def _watch(self, path: str, kind: Kind, *, recursive: bool = False) -> None:
        options = self.engine.options
        if self._notifier is None:
            return
        watch = FollowWatch(
            self._notifier,
            path,
            kind,
            recursive=recursive,
            backend=options.backend,
            poll_interval=options.poll_interval,
        )
        watch.start(self._signal)
        self._watches.append(watch)

    def _watch_all(self) -> None:
        """Watch each path, or its directory where many paths lie in one."""
        dirs: dict[str, list[str]] = {}
        for pattern in self.engine.patterns:
            if pattern.text == STDIN:
                continue
            if pattern.is_glob:
                self._watch(pattern.dir, "dir", recursive=pattern.recursive)
            else:
                dirs.setdefault(pattern.dir, []).append(pattern.text)
        for directory, paths in dirs.items():
            if len(paths) >= _MANY:
                self._watch(directory, "dir")
                continue
            for path in paths:
                self._watched_paths.add(path)
                self._watch(path, "file")

    def _watch_links(self, paths: Iterable[str]) -> None:
        """Watch symlinks too: a directory's watch does not report changes of what they lead to.

        They are examined once more, for what happened before they were watched.
        """
        followed, watched = self.engine.state.paths, self._watched_paths
        links = {p for p in paths if p not in watched and p in followed and os.path.islink(p)}
        for path in links:
            self._watched_paths.add(path)
            self._watch(path, "file")
        if links:
            self.engine.examine_paths(links)

    def _wake_to_read(self) -> None:
        """Read again, because a stream has something; from any thread."""
        with self._condition:
            self._stream_waits = True
            self._condition.notify()

    def _signal(self, watch: FollowWatch) -> None:
        with self._condition:
            self._signalled[watch] = None
            self._condition.notify()

    def _interval(self) -> float:
        options = self.engine.options
        if any(watch.polls for watch in self._watches):
            return min(options.poll_interval, options.safety)
        return options.safety

    def _free(self) -> None:
        notifier, self._notifier = self._notifier, None
        if notifier is None:
            return
        for watch in self._watches:
            watch.close()
        self._watches = []
        release(notifier)


def _call(callbacks: Iterable[Callback]) -> None:
    for notify in callbacks:
        with contextlib.suppress(RuntimeError):  # its event loop is closed: nobody waits
            notify()
