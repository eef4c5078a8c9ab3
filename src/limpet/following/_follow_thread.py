"""The thread of one follower: looks when it is woken, reads as long as there is room for it.

A few batches are read ahead of whoever asks for them, so that a disk is read while the last batch
is worked on. However long nobody asks, looking goes on: a file that is put aside meanwhile is held.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from limpet.following._change_notifier import ChangeNotifier, FollowWatch, acquire, release
from limpet.following._follow_events import Appended, FollowEvent, WatchDegraded

if TYPE_CHECKING:
    from limpet.following._follow_engine import FollowEngine, FollowStats

__all__ = ["FollowThread"]

_MANY: Final = 16
"""So many paths in one folder are watched by watching the folder (15 KiB for each otherwise)."""
_AHEAD: Final = 2
"""Batches read ahead, at most: some 2 MiB, and what is worked on."""


class FollowThread:
    """Drives one engine; ``pop``, ``when_ready`` and ``stats`` may be called from any thread."""

    def __init__(self, engine: FollowEngine) -> None:
        """Know the engine; nothing is started."""
        self.engine = engine
        self.error: BaseException | None = None
        self._notifier: ChangeNotifier | None = None
        self._places: list[FollowWatch] = []
        self._linked: set[str] = set()
        """Paths that have a watch of their own: symlinks among those of a folder's watch."""
        self._networks: list[str] = []
        self._changed = threading.Condition(threading.Lock())
        self._news: dict[FollowWatch, None] = {}
        self._fences: list[Callable[[], None]] = []
        self._ready: deque[FollowEvent] = deque()
        self._batches = 0
        self._waiting: list[Callable[[], None]] = []
        self._save = False
        self._ended = False
        self._over = False
        self._unsaved = False
        self._abandoned = False
        self._finished = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch, go to where to begin, and start the thread; may take long.

        Raises:
            LimpetError: As ``FollowEngine.start``; nothing is left running.
            OSError: As ``FollowEngine.start``.
        """
        engine = self.engine
        self._notifier = acquire()
        try:
            engine.world.remote = self._is_remote
            self._watch_all()
            engine.start()
            self._watch_links()
        except BaseException:
            self._free()
            raise
        self._thread = threading.Thread(target=self._run, name="limpet follow", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Save what is committed and free everything; blocks for as long as a read takes.

        Raises:
            OSError: The state could not be saved; everything is freed.
        """
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        try:
            self.engine.close()
        finally:
            self._free()
            self._over = True
            self._wake()

    def abandon(self) -> None:
        """Have the thread free everything, soon and by itself; blocks for nothing."""
        with self._changed:
            self._ended = self._abandoned = True
            finished = self._finished
            self._changed.notify()
        if finished:  # by itself: nobody is left to do it
            threading.Thread(target=self._clear, name="limpet follow", daemon=True).start()

    # -- from any thread -----------------------------------------------------------------------

    def pop(self) -> FollowEvent | None:
        """Hand out the next event, if one is ready."""
        try:
            event = self._ready.popleft()
        except IndexError:
            return None
        if isinstance(event, Appended):
            with self._changed:
                self._batches -= 1
                if self._batches < _AHEAD:
                    self._changed.notify()
        return event

    @property
    def is_over(self) -> bool:
        """Whether nothing comes any more, once ``pop`` gives nothing."""
        return self._over

    def when_ready(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called once, from any thread, when something is ready or it is over."""
        with self._changed:
            if not (self._ready or self._over):
                self._waiting.append(tell)
                return
        tell()

    def fence(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called once everything has been looked at."""
        with self._changed:
            if not self._over and self._thread is not None:
                self._fences.append(tell)
                self._changed.notify()
                return
        tell()

    def drain(self) -> None:
        """End once all that is there now is delivered."""
        self.engine.finishing = True
        with self._changed:
            self._fences.append(lambda: None)
            self._changed.notify()

    def save(self) -> None:
        """Have the state saved soon."""
        with self._changed:
            self._save = True
            self._changed.notify()

    def stats(self) -> FollowStats:
        """Give the figures; while it runs they may be of two moments."""
        return self.engine.stats()

    # -- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            due = 0.0
            while not self._over and (news := self._wait(due)) is not None:
                due = self._step(*news)
        except BaseException as error:  # noqa: BLE001 (it is raised from who asks)
            self.error = error
        finally:
            self._over = True
            self._wake()
            with self._changed:
                self._finished = True
                abandoned = self._abandoned
            if abandoned:
                self._clear()

    def _clear(self) -> None:
        with contextlib.suppress(OSError):  # nobody is left to be told
            self.engine.close()
        self._free()

    def _wait(self, due: float) -> tuple[list[FollowWatch], list[Callable[[], None]], bool] | None:
        """Wait until there is something to do; ``None`` is the end."""
        with self._changed:
            while not (
                self._ended or self._news or self._fences or self._save
                or (self._hungry and self._batches < _AHEAD)
            ):  # fmt: skip
                left = due - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            if self._ended or self._over:
                return None
            watches, fences, save = list(self._news), self._fences, self._save
            self._news, self._fences, self._save = {}, [], False
            return watches, fences, save

    _hungry = True
    """There was something to read when there was no room for it."""
    _looked = 0.0

    def _step(
        self, watches: list[FollowWatch], fences: list[Callable[[], None]], save: bool
    ) -> float:
        engine = self.engine
        told: set[str] = set()
        everything = bool(fences)
        for watch in watches:
            paths, degraded = watch.look()
            for event in degraded:
                engine.world.tell(
                    WatchDegraded(
                        time=event.time, path=event.path, reason=event.reason,
                        message=event.message,
                    )
                )  # fmt: skip
            if paths is None:
                everything = True
            else:
                told |= paths
        now = time.monotonic()
        if everything:
            engine.look()
            self._looked = now
        else:
            if told:
                engine.look_at(told)
            if now >= self._due:
                engine.look(())
                self._looked = now
        if watches:
            self._watch_links()
        for tell in fences:
            tell()
        self._read()
        self._store(now=save)
        if engine.at_end and not engine.world.out and not self._hungry:
            self._over = True
        now = time.monotonic()
        self._due = engine.due(now, interval=self._pause())
        return self._due

    _due = 0.0

    def _read(self) -> None:
        """Read as long as there is room, and hand over what was found."""
        engine = self.engine
        self._hungry = True
        while self._hungry:
            self._hand_over()
            if self._batches >= _AHEAD or self._ended or self._news:
                return
            self._hungry = engine.read()
        self._hand_over()

    def _hand_over(self) -> None:
        events = self.engine.fetch()
        if not events:
            return
        with self._changed:
            self._ready.extend(events)
            self._batches += sum(isinstance(event, Appended) for event in events)
        self._wake()

    def _store(self, *, now: bool) -> None:
        engine = self.engine
        try:
            if now:
                engine.save()
            else:
                engine.save_if_due()
            self._unsaved = False
        except OSError as error:
            if not self._unsaved and engine.store is not None:
                self._unsaved = True
                engine.world.tell(
                    WatchDegraded(
                        time=time.time(),
                        path=engine.store.path,
                        reason="state",
                        message=f"cannot save the state: {error.strerror or error}; tried again "
                        "each second, and after a kill lines come again",
                    )
                )

    def _wake(self) -> None:
        with self._changed:
            waiting, self._waiting = self._waiting, []
            fences, self._fences = (self._fences, []) if self._over else ([], self._fences)
        for tell in (*waiting, *fences):
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits
                tell()

    # -- watches -------------------------------------------------------------------------------

    def _watch(self, path: str, kind: str, *, recursive: bool = False) -> None:
        notifier, options = self._notifier, self.engine.options
        if notifier is None:
            return
        watch = FollowWatch(
            notifier,
            path,
            "dir" if kind == "dir" else "file",
            recursive=recursive,
            backend=options.backend,
            poll_interval=options.poll_interval,
        )
        watch.start(self._tell)
        self._places.append(watch)

    def _watch_all(self) -> None:
        """Watch each path, or its folder where many lie in one."""
        folders: dict[str, list[str]] = {}
        for source in self.engine.sources:
            if source.glob:
                self._watch(source.folder, "dir", recursive=source.recursive)
            else:
                folders.setdefault(source.folder, []).append(source.pattern)
        for folder, paths in folders.items():
            if len(paths) >= _MANY:
                self._watch(folder, "dir")
                continue
            for path in paths:
                self._linked.add(path)
                self._watch(path, "file")
        self._networks = [watch.path for watch in self._places if watch.network]

    def _watch_links(self) -> None:
        """A folder's watch does not tell of what a symlink in it leads to."""
        for source in self.engine.sources:
            for path in source.targets.keys() - self._linked:
                if os.path.islink(path):
                    self._linked.add(path)
                    self._watch(path, "file")

    def _tell(self, watch: FollowWatch) -> None:
        with self._changed:
            self._news[watch] = None
            self._changed.notify()

    def _is_remote(self, path: str) -> bool:
        return any(path.startswith(watch) for watch in self._networks)

    def _pause(self) -> float:
        options = self.engine.options
        if any(watch.polls for watch in self._places):
            return min(options.poll_interval, options.safety)
        return options.safety

    def _free(self) -> None:
        notifier, self._notifier = self._notifier, None
        if notifier is None:
            return
        for watch in self._places:
            watch.close()
        self._places = []
        release(notifier)
