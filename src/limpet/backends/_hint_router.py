"""One kernel instance of each kind for all watches of an event loop, and which watch gets a hint.

Linux allows 128 instances a user; a watcher that takes one for each path fails at the 127th. So the
watches of one loop share a router. It owns the instances, knows which watch marked which directory,
reads all that is waiting, and adds each hint to the pending hints of the watch that it concerns.
Pending hints hold each name once, so they are bounded by the tree; beyond ``HINT_LIMIT`` names they
only record that they lost count, and their watch examines everything.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from typing import Final, TypeAlias

from limpet.backends._base import Key, LostReason, MarkError, MarkSource
from limpet.backends._poller import Poller
from limpet.backends._processes import program_of
from limpet.backends._select import make_source

HINT_LIMIT: Final = 200_000
"""Names one watch may have pending. To examine more, one by one, costs more than a full scan."""

_FALL_BACK: Final = frozenset(
    (errno.EXDEV, errno.ENODEV, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.ENOSYS)
)
"""What fanotify_mark(2) says of a file system it cannot watch; inotify may still be able to."""


class Subscriber:
    """Base of what can be marked: a directory of a tree, or one on the way to a location."""

    __slots__ = ("hints",)

    hints: PendingHints
    """Where its hints go, once it is marked."""

    def nearness(self, other: Subscriber) -> int:
        """Return how near it is to another one of its watch: the depth of what holds both.

        A directory that is mounted twice in one tree has several subscribers. A rename inside it is
        one in each of its places, between the two subscribers that are nearest to each other.
        """
        del other
        return -1


Mark: TypeAlias = tuple[str, Key]
"""Source name and key of a mark that was made."""


Moves: TypeAlias = list[tuple[Subscriber, str, Subscriber, str]]
"""Renames in the order they happened: from subscriber and name, to subscriber and name."""


class Crossings:
    """Renames from one watch of a group into another; guarded by the router's lock."""

    def __init__(self) -> None:
        self._moves: Moves = []
        self._before: Moves = []

    def add(self, move: tuple[Subscriber, str, Subscriber, str]) -> None:
        """Add a rename; beyond a bound none is known, and other evidence decides."""
        if len(self._moves) >= HINT_LIMIT:
            self._moves.clear()
        self._moves.append(move)

    def known(self) -> Moves:
        """Return those that may concern what was found now."""
        return [*self._before, *self._moves]

    def age(self) -> None:
        """Forget those of before the last call; newer ones may be about what is not found yet."""
        if self._moves or self._before:
            self._before, self._moves = self._moves, []


Causes: TypeAlias = dict[tuple[Subscriber, str], tuple[int, str | None, bool]]
"""Subscriber and name (``""`` is the directory itself) -> the process that made the last change,
its program, and whether the change was a rename."""


class PendingHints:
    """Hints for one watch that it has not examined yet; guarded by the router's lock."""

    def __init__(self) -> None:
        self.dirty: dict[Subscriber, dict[str, int]] = {}
        """Subscriber -> name -> bits; the name ``""`` is the directory itself."""
        self.moves: Moves = []
        """Renames in the order they happened: from subscriber and name, to subscriber and name."""
        self.lost: LostReason | None = None
        """Why anything may have happened, or ``None``."""
        self.paths: dict[str, int] = {}
        """Hints by path, from sources that report whole trees: path -> bits."""
        self.path_moves: list[tuple[str, str]] = []
        """Renames that such a source reports, in the order they happened."""
        self.mounts_changed = False
        self.woken = False
        """The watch is to examine what is due, with or without a hint."""
        self.count = 0
        self.early = False
        """Some of it may be older than what the last examination found on disk."""
        self.causes: Causes | None = None
        """Who caused the hints, for a watch that asks for it."""
        self.crossings: Crossings | None = None
        """Where renames between this watch and others of its group are added."""
        self.awaited = False
        """A consumer of this watch waits while another thread reads the router."""

    def __bool__(self) -> bool:
        return bool(
            self.dirty or self.lost or self.paths or self.mounts_changed or self.woken or self.moves
        )

    @property
    def names(self) -> int:
        """Return how many names are to be examined: of the two of a rename, one is gone.

        A file that is renamed to and fro has more renames than names.
        """
        return max(0, self.count - 2 * len(self.moves))

    def touch(self, subscriber: Subscriber, names: dict[str, int]) -> None:
        """Add names to be examined; the mapping is kept."""
        if self.lost == "overflow":
            return
        there = self.dirty.get(subscriber)
        if there is None:
            self.dirty[subscriber] = names
            self.count += len(names)
        else:
            before = len(there)
            for name, bits in names.items():
                there[name] = there.get(name, 0) | bits
            self.count += len(there) - before
        if self.count > HINT_LIMIT:
            self.lose("overflow")

    def move(self, move: tuple[Subscriber, str, Subscriber, str]) -> None:
        """Add a rename."""
        if self.lost is None:
            self.moves.append(move)
            self.count += 1
            if self.count > HINT_LIMIT:
                self.lose("overflow")

    def touch_paths(self, paths: dict[str, int], moves: Sequence[tuple[str, str]]) -> None:
        """Add paths to be examined, and renames."""
        if self.lost == "overflow":
            return
        before = len(self.paths)
        for path, bits in paths.items():
            self.paths[path] = self.paths.get(path, 0) | bits
        self.path_moves += moves
        self.count += len(self.paths) - before + len(moves)
        if self.count > HINT_LIMIT:
            self.lose("overflow")

    def lose(self, reason: LostReason) -> None:
        """Drop all detail: everything must be examined."""
        self.lost = reason
        self.dirty = {}
        self.moves = []
        self.paths = {}
        self.path_moves = []
        self.count = 0

    def put_back(self, older: PendingHints) -> None:
        """Add hints that were taken and are to be examined after all, before what came since."""
        newer = self.take()
        self.dirty, self.moves, self.lost = older.dirty, older.moves, older.lost
        self.paths, self.path_moves = older.paths, older.path_moves
        self.mounts_changed = older.mounts_changed or newer.mounts_changed
        self.woken = older.woken or newer.woken
        self.early = older.early or newer.early
        self.count = sum(map(len, self.dirty.values())) + len(self.paths) + len(self.moves)
        self.count += len(self.path_moves)
        for subscriber, names in newer.dirty.items():
            self.touch(subscriber, names)
        for move in newer.moves:
            self.move(move)
        self.touch_paths(newer.paths, newer.path_moves)
        if newer.lost is not None:
            self.lose(newer.lost)

    def take_names(self) -> tuple[dict[Subscriber, dict[str, int]], Moves, bool]:
        """Return names, renames and whether some are early, of hints that are about these alone."""
        taken = self.dirty, self.moves, self.early
        self.dirty, self.moves, self.count, self.early = {}, [], 0, False
        return taken

    def put_names_back(
        self, dirty: dict[Subscriber, dict[str, int]], moves: Moves, *, early: bool
    ) -> None:
        """Add again what ``take_names`` returned, before what came since."""
        older = PendingHints()
        older.dirty, older.moves, older.early = dirty, moves, early
        self.put_back(older)

    def take(self) -> PendingHints:
        """Return all that is pending, and start empty again."""
        taken = PendingHints()
        taken.dirty, taken.moves, taken.lost = self.dirty, self.moves, self.lost
        taken.paths, taken.path_moves = self.paths, self.path_moves
        taken.mounts_changed, taken.woken = self.mounts_changed, self.woken
        taken.early, self.early = self.early, False
        self.dirty, self.moves, self.lost, self.count = {}, [], None, 0
        self.paths, self.path_moves, self.mounts_changed, self.woken = {}, [], False, False
        return taken


class HintRouter:
    """Owns the kernel instances of one event loop (or one thread); every method is thread-safe."""

    def __init__(self) -> None:
        """Open nothing yet but what wakes a waiting thread."""
        self.lock = threading.RLock()
        self.sources: dict[str, MarkSource] = {}
        self.failed: dict[str, OSError] = {}
        self._joined: set[PendingHints] = set()
        self._subscribers: dict[str, dict[Key, Subscriber | list[Subscriber]]] = {}
        """Source -> key -> receiver of its hints; a list only for several, to save memory."""
        self._reading: dict[Key, Subscriber | list[Subscriber]] = {}
        """The subscribers of the source that is being read."""
        self._poller = Poller()
        self._names_processes = False
        """A watch wants to know who made its changes."""

    @staticmethod
    def _ask_for_processes(source: MarkSource) -> None:
        if hasattr(source, "names_processes"):
            source.names_processes = True

    def wait(self, timeout: float | None) -> None:
        """Block this thread until there is something to drain, at most ``timeout`` seconds."""
        self._poller.wait(timeout)

    def clear_wake(self) -> None:
        """End a wake-up for a caller that waits for ``fileno``, and drains next."""
        if self._poller.is_woken:
            self._poller.clear()

    def fileno(self) -> int:
        """Return the descriptor that is readable while there is something to drain."""
        return self._poller.fileno()

    def notice_mounts(self) -> bool:
        """Return whether the mount table changed, for a caller that holds ``lock``.

        To be asked once ``fileno`` is waited for.
        """
        return self._poller.notice_mounts()

    def wake(self) -> None:
        """End the wait of another thread; callable from any thread."""
        self._poller.wake()

    def source(self, name: str) -> MarkSource:
        """Return the instance of this kind, opened on first use.

        Raises:
            OSError: It cannot be opened here; the same error each time.
        """
        with self.lock:
            if name in self.failed and self.failed[name].errno != errno.EMFILE:
                raise self.failed[name]
            if name not in self.sources:
                try:
                    made = make_source(name)
                except OSError as error:
                    self.failed[name] = error
                    raise
                self.sources[name] = made
                if self._names_processes:
                    self._ask_for_processes(made)
                self._poller.add(made.fileno())
            return self.sources[name]

    def join(self, hints: PendingHints) -> None:
        """Report lost hints and changes of the mount table to this watch too."""
        with self.lock:
            self._joined.add(hints)
            if hints.causes is not None:
                self._names_processes = True
                for source in self.sources.values():
                    self._ask_for_processes(source)

    def leave(self, hints: PendingHints) -> None:
        """Report nothing more to this watch; its marks must be gone."""
        with self.lock:
            self._joined.discard(hints)

    def mark(
        self,
        order: tuple[str, ...],
        fd: int,
        what: int,
        subscriber: Subscriber,
        hints: PendingHints,
        *,
        device: int,
    ) -> Mark:
        """Mark the directory open at ``fd`` with the first source of ``order`` that can.

        Raises:
            MarkError: None of them can; ``limit`` is set if a limit of the system is the reason.
        """
        trouble: MarkError | None = None
        with self.lock:
            if order and (source := self.sources.get(order[0])) is not None:
                try:
                    key = source.mark(fd, what, device)
                except MarkError:
                    pass  # the loop below meets it again, and tries the other sources
                else:
                    return self._subscribe(order[0], key, subscriber, hints)
            for name in order:
                try:
                    key = self._mark_with(self.source(name), fd, what, device)
                except OSError as error:
                    trouble = trouble or MarkError(error.errno or errno.EIO)
                except MarkError as error:
                    if trouble is None or error.limit:
                        trouble = error
                    if error.errno not in _FALL_BACK:
                        break
                else:
                    return self._subscribe(name, key, subscriber, hints)
        raise trouble or MarkError(errno.ENOSYS)

    def mark_several(
        self,
        order: tuple[str, ...],
        fds: list[int],
        what: int,
        subscribers: Sequence[Subscriber],
        hints: PendingHints,
        *,
        device: int,
    ) -> list[Mark]:
        """Mark directories of one device with the source that is tried first, if it is open.

        Returns:
            The marks of those that were marked: it stops at the first that cannot be, of which
            ``mark`` says why, or which it marks otherwise.
        """
        with self.lock:
            source = self.sources.get(order[0]) if order else None
            if source is None or not fds:
                return []
            keys = source.mark_several(fds, what, device)
            return [
                self._subscribe(order[0], key, subscriber, hints)
                for key, subscriber in zip(keys, subscribers, strict=False)
            ]

    @staticmethod
    def _mark_with(source: MarkSource, fd: int, what: int, device: int) -> Key:
        try:
            return source.mark(fd, what, device)
        except MarkError as error:
            if error.limit and source.mark_filesystem(fd):
                return source.mark(fd, what, device)
            raise

    def _subscribe(
        self, source: str, key: Key, subscriber: Subscriber, hints: PendingHints
    ) -> Mark:
        subscriber.hints = hints
        subscribers = self._subscribers.get(source)
        if subscribers is None:
            subscribers = self._subscribers[source] = {}
        there = subscribers.get(key)
        if there is None or there is subscriber:
            subscribers[key] = subscriber
        elif not isinstance(there, list):
            subscribers[key] = [there, subscriber]
        elif subscriber not in there:
            there.append(subscriber)
        return (source, key)

    def subscribe_unreadable(
        self, order: tuple[str, ...], path: str, subscriber: Subscriber, hints: PendingHints
    ) -> Mark | None:
        """Subscribe to what the mark of a parent reports of a directory that may not be opened.

        Returns:
            What to unmark later, or ``None`` if the source has no key for such a directory.
        """
        with self.lock:
            source = self.sources.get(order[0]) if order else None
            if source is None or not source.capabilities.reports_unreadable:
                return None
            key = source.identify(path)
            if key is None:
                return None
            return self._subscribe(order[0], key, subscriber, hints)

    def mark_filesystem(self, order: tuple[str, ...], fd: int) -> bool:
        """Mark the whole file system that holds ``fd``, by the first source of ``order``.

        Return whether it is marked; the source may be unable or not allowed to do so.
        """
        with self.lock:
            try:
                source = self.source(order[0])
            except OSError:
                return False
            return source.capabilities.whole_filesystem and source.mark_filesystem(fd)

    def unmark(self, mark: Mark, subscriber: Subscriber, path: str | None) -> None:
        """Drop the subscriber; the mark itself is removed with its last one."""
        source, key = mark
        with self.lock:
            subscribers = self._subscribers.get(source, {})
            there = subscribers.get(key)
            if isinstance(there, list):
                if subscriber in there:
                    there.remove(subscriber)
                if len(there) == 1:
                    subscribers[key] = there[0]
            elif there is subscriber:
                del subscribers[key]
                self.sources[source].unmark(key, path)

    def is_marked(self, mark: Mark) -> bool:
        """Return whether the mark is alive: the kernel ends it when its directory is gone."""
        source, key = mark
        return key in self._subscribers.get(source, {})

    def marks_of(self, hints: PendingHints) -> int:
        """Return the number of marks that one watch holds."""
        with self.lock:
            return sum(
                any(s.hints is hints for s in (there if isinstance(there, list) else (there,)))
                for subscribers in self._subscribers.values()
                for there in subscribers.values()
            )

    def drain(self, *, waited: bool = False) -> None:
        """Read all that the kernel has waiting, and add it to the pending hints; never block.

        ``waited`` is for a caller that comes from ``wait``.
        """
        with self.lock:
            for name, source in self.sources.items():
                self._reading = self._subscribers.get(name, {})
                source.read(self)
            if self._poller.mounts_changed(waited=waited):
                for hints in self._joined:
                    hints.mounts_changed = True

    def pass_on(self, reader: PendingHints) -> None:
        """Wake the dispatcher if what ``reader`` read was for other watches that are awaited.

        Or if the reader itself is: the task that had it scan was cancelled, or it was a fence, and
        another one has begun to wait meanwhile, for what was found or for a timer set by it.
        """
        with self.lock:
            others = any(i.awaited and i is not reader for i in self._joined if i)
        if others or reader.awaited:
            self.wake()

    def tree_receiver(self, hints: PendingHints) -> _TreeReceiver:
        """Return what adds hints by path, from any thread, to the pending hints of one watch."""
        return _TreeReceiver(self, hints)

    # -- receives what a source reads (see MarkReceiver) -----------------------------------------

    def touched(self, key: Key, names: dict[str, int]) -> None:
        """Receive hints from the source being read."""
        there = self._reading.get(key)
        if there is None:
            return
        if isinstance(there, list):
            for subscriber in there:
                subscriber.hints.touch(subscriber, names.copy())
        else:
            there.hints.touch(there, names)

    def moved(self, moves: list[tuple[Key, str, Key, str]]) -> None:
        """Receive renames; each goes to the watches that have marked both ends."""
        subscribers = self._reading.get
        for key, name, to_key, to_name in moves:
            sources, targets = subscribers(key), subscribers(to_key)
            if sources is None or targets is None:
                continue
            if not (isinstance(sources, list) or isinstance(targets, list)):
                hints = sources.hints
                if hints is targets.hints and hints.lost is None:
                    hints.moves.append((sources, name, targets, to_name))
                    hints.count += 1
                    if hints.count > HINT_LIMIT:
                        hints.lose("overflow")
                elif hints.crossings is not None and hints.crossings is targets.hints.crossings:
                    hints.crossings.add((sources, name, targets, to_name))
                continue
            for source, target in _pairs(sources, targets):
                source.hints.move((source, name, target, to_name))
            for source, target in _crossing(sources, targets):
                if source.hints.crossings is not None:
                    source.hints.crossings.add((source, name, target, to_name))

    def caused(self, causes: dict[tuple[Key, str], tuple[int, bool]]) -> None:
        """Receive who caused what comes next, for the watches that ask for it."""
        programs: dict[int, str | None] = {}
        for (key, name), (pid, moved) in causes.items():
            there = self._reading.get(key)
            for subscriber in there if isinstance(there, list) else (there,):
                if subscriber is None or subscriber.hints.causes is None:
                    continue
                if pid not in programs:
                    programs[pid] = program_of(pid)
                wanted = subscriber.hints.causes
                if len(wanted) >= HINT_LIMIT:
                    wanted.clear()
                wanted[subscriber, name] = pid, programs[pid], moved

    def lost(self) -> None:
        """Receive an overflow: every watch must examine everything."""
        for hints in self._joined:
            hints.lose("overflow")

    def dropped(self, key: Key) -> None:
        """Receive the end of a mark whose directory is gone."""
        self._reading.pop(key, None)

    def close(self) -> None:
        """Free every descriptor and mark."""
        with self.lock:
            for source in self.sources.values():
                source.close()
            self.sources.clear()
            self._subscribers.clear()
            self._poller.close()


def _pairs(
    sources: Subscriber | list[Subscriber], targets: Subscriber | list[Subscriber]
) -> list[tuple[Subscriber, Subscriber]]:
    """Return who moved to whom: each in one pair at most, both of one watch."""
    left = sources if isinstance(sources, list) else [sources]
    right = targets if isinstance(targets, list) else [targets]
    ranked = sorted(
        ((s, t) for s in left for t in right if s.hints is t.hints),
        key=lambda pair: pair[0].nearness(pair[1]),
        reverse=True,
    )
    found: dict[Subscriber, Subscriber] = {}
    for source, target in ranked:
        if source not in found and target not in found.values():
            found[source] = target
    return list(found.items())


def _crossing(
    sources: Subscriber | list[Subscriber], targets: Subscriber | list[Subscriber]
) -> list[tuple[Subscriber, Subscriber]]:
    """Return both ends of a rename from one watch of a group into another."""
    left = sources if isinstance(sources, list) else [sources]
    right = targets if isinstance(targets, list) else [targets]
    return [
        (s, t)
        for s in left
        for t in right
        if s.hints is not t.hints and s.hints.crossings is t.hints.crossings
    ]


class _TreeReceiver:
    """Hints by path for one watch; see ``TreeReceiver``."""

    def __init__(self, router: HintRouter, hints: PendingHints) -> None:
        self._router, self._hints = router, hints

    def touched_paths(self, paths: dict[str, int], moves: Sequence[tuple[str, str]] = ()) -> None:
        with self._router.lock:
            self._hints.touch_paths(paths, moves)
        self._router.wake()

    def lost(self, reason: LostReason = "backend") -> None:
        with self._router.lock:
            self._hints.lose(reason)
        self._router.wake()
