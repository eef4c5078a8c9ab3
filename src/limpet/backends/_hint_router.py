"""One kernel instance of each kind for all watches of an event loop, and who gets which hint.

Linux allows 128 instances a user; a watcher that takes one for each path dies at the 127th. So the
watches of one loop share a hub: it owns the instances, knows which watch marked which folder, reads
all that is waiting and puts each hint into the inbox of the watch it concerns. An inbox holds each
name once, so it is bounded by the tree; beyond ``INBOX_LIMIT`` names it only remembers that it lost
count, which makes its watch look at everything.
"""

from __future__ import annotations

import errno
import threading
from typing import Final, Literal

from limpet.backends._base import Key, MarkError, Source
from limpet.backends._poller import Poller

__all__ = ["INBOX_LIMIT", "HintRouter", "Mark", "PendingHints", "Subscriber"]

INBOX_LIMIT: Final = 200_000
"""Names one watch may have waiting. Looking at more one by one costs more than listing the tree."""

_FALL_BACK: Final = frozenset(
    (errno.EXDEV, errno.ENODEV, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.ENOSYS)
)
"""What fanotify_mark(2) says of a file system it cannot watch; inotify may still be able to."""


class Subscriber:
    """Base of what can be marked: a folder of a tree, or a folder on the way to a location."""

    __slots__ = ("hints",)

    hints: PendingHints
    """Where its hints go, once it is marked."""


Mark = tuple[str, Key]
"""Source name and key of a mark that was made."""


LostReason = Literal["overflow", "backend"]


class PendingHints:
    """Hints for one watch that it has not looked at yet; guarded by the hub's lock."""

    def __init__(self) -> None:
        """Start empty."""
        self.dirty: dict[Subscriber, dict[str, int]] = {}
        """Subscriber -> name -> bits; the name ``""`` is the folder itself."""
        self.moves: list[tuple[Subscriber, str, Subscriber, str]] = []
        """Renames in the order they happened: from subscriber and name, to subscriber and name."""
        self.lost: LostReason | None = None
        """Why anything may have happened, or ``None``."""
        self.paths: set[str] = set()
        """Hints that come by path (from sources that watch whole trees)."""
        self.mounts_changed = False
        self.woken = False
        """Somebody asks for a look, hint or no hint."""
        self.count = 0
        self.awaited = False
        """Somebody waits for news while another reads the hub."""

    def __bool__(self) -> bool:
        """Whether there is something to look at."""
        return bool(
            self.dirty or self.lost or self.paths or self.mounts_changed or self.woken or self.moves
        )

    def touch(self, subscriber: Subscriber, names: dict[str, int]) -> None:
        """Note that these names must be looked at; the mapping is kept."""
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
        if self.count > INBOX_LIMIT:
            self.lose("overflow")

    def move(self, move: tuple[Subscriber, str, Subscriber, str]) -> None:
        """Note a rename."""
        if self.lost is None:
            self.moves.append(move)
            self.count += 1
            if self.count > INBOX_LIMIT:
                self.lose("overflow")

    def lose(self, reason: LostReason) -> None:
        """Give up on detail: everything must be looked at."""
        self.lost = reason
        self.dirty = {}
        self.moves = []
        self.paths = set()
        self.count = 0

    def take(self) -> PendingHints:
        """Hand over all that is waiting and start empty again."""
        taken = PendingHints()
        taken.dirty, taken.moves, taken.lost = self.dirty, self.moves, self.lost
        taken.paths, taken.mounts_changed, taken.woken = self.paths, self.mounts_changed, self.woken
        self.dirty, self.moves, self.lost, self.count = {}, [], None, 0
        self.paths, self.mounts_changed, self.woken = set(), False, False
        return taken


class HintRouter:
    """Owns the kernel instances of one event loop (or one thread); every method is thread-safe."""

    def __init__(self) -> None:
        """Open nothing yet but what wakes a waiter."""
        self.lock = threading.RLock()
        self.sources: dict[str, Source] = {}
        self.failed: dict[str, OSError] = {}
        self.subscribers_hints: set[PendingHints] = set()
        self._subscribers: dict[str, dict[Key, Subscriber | list[Subscriber]]] = {}
        """Source -> key -> who is told; a list only where several are, to spare the memory."""
        self._reading: dict[Key, Subscriber | list[Subscriber]] = {}
        """Those of the source that is being read."""
        self._waiter = Poller()

    def wait(self, timeout: float | None) -> None:
        """Block this thread until there is something to drain, at most ``timeout`` seconds."""
        self._waiter.wait(timeout)

    def wake(self) -> None:
        """Make a waiter come back, from any thread."""
        self._waiter.wake()

    def source(self, name: str) -> Source:
        """Give the instance of this kind, made on first use.

        Raises:
            OSError: It cannot be made here; the same error every time it is asked for.
        """
        with self.lock:
            if name in self.failed and self.failed[name].errno != errno.EMFILE:
                raise self.failed[name]
            if name not in self.sources:
                from limpet.backends import make_source

                try:
                    made = make_source(name)
                except OSError as error:
                    self.failed[name] = error
                    raise
                self.sources[name] = made
                self._waiter.add(made.fileno())
            return self.sources[name]

    def join(self, hints: PendingHints) -> None:
        """Take part: hear of lost hints and mount changes."""
        with self.lock:
            self.subscribers_hints.add(hints)

    def leave(self, hints: PendingHints) -> None:
        """Take no further part; the marks must be gone."""
        with self.lock:
            self.subscribers_hints.discard(hints)

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
        """Mark the folder open at ``fd`` with the first source of ``order`` that can.

        Raises:
            MarkError: None of them can; ``limit`` is set if one could but for a system limit.
        """
        trouble: MarkError | None = None
        with self.lock:
            if order and (source := self.sources.get(order[0])) is not None:
                try:
                    key = source.mark(fd, what, device)
                except MarkError:
                    pass  # the way below says so again, and tries the others
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

    @staticmethod
    def _mark_with(source: Source, fd: int, what: int, device: int) -> Key:
        try:
            return source.mark(fd, what, device)
        except MarkError as error:
            whole = getattr(source, "mark_filesystem", None)
            if error.limit and whole is not None and whole(fd):
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

    def listen(
        self, order: tuple[str, ...], path: str, subscriber: Subscriber, hints: PendingHints
    ) -> Mark | None:
        """Hear what the mark of a parent says of a folder that may not be opened, where it does."""
        with self.lock:
            hear = getattr(self.sources.get(order[0] if order else ""), "hear", None)
            key = hear(path) if hear is not None else None
            if key is None:
                return None
            return self._subscribe(order[0], key, subscriber, hints)

    def mark_filesystem(self, order: tuple[str, ...], fd: int) -> bool:
        """Mark the whole file system that holds ``fd``, if the first source can and may."""
        with self.lock:
            try:
                whole = getattr(self.source(order[0]), "mark_filesystem", None)
            except OSError:
                return False
            return bool(whole is not None and whole(fd))

    def unmark(self, mark: Mark, subscriber: Subscriber, path: str | None) -> None:
        """Drop the subscriber; the mark itself goes with its last one."""
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
        """Whether somebody is still told of it: the kernel ends a mark when its folder is gone."""
        source, key = mark
        return key in self._subscribers.get(source, {})

    def marks_of(self, hints: PendingHints) -> int:
        """Count the marks that one watch holds."""
        with self.lock:
            return sum(
                any(s.hints is hints for s in (there if isinstance(there, list) else (there,)))
                for subscribers in self._subscribers.values()
                for there in subscribers.values()
            )

    def drain(self, *, waited: bool = False) -> None:
        """Read all that the kernel has waiting and put it into the inboxes; never blocks.

        ``waited`` is for who comes from ``wait``.
        """
        with self.lock:
            for name, source in self.sources.items():
                self._reading = self._subscribers.get(name, {})
                source.read(self)
            if self._waiter.mounts_changed(waited=waited):
                for hints in self.subscribers_hints:
                    hints.mounts_changed = True

    def pass_on(self, reader: PendingHints) -> None:
        """Wake whoever leads if what ``reader`` read was for others that wait."""
        with self.lock:
            others = any(i.awaited and i is not reader for i in self.subscribers_hints if i)
        if others:
            self.wake()

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
        """Receive renames: the two places of each belong together."""
        subscribers = self._reading.get
        for key, name, to_key, to_name in moves:
            sources, targets = subscribers(key), subscribers(to_key)
            if sources is None or targets is None:
                continue
            for source in sources if isinstance(sources, list) else (sources,):
                for target in targets if isinstance(targets, list) else (targets,):
                    if source.hints is target.hints:
                        source.hints.move((source, name, target, to_name))

    def lost(self) -> None:
        """Receive an overflow: every watch with a mark of this source must look at everything."""
        for hints in self.subscribers_hints:
            hints.lose("overflow")

    def dropped(self, key: Key) -> None:
        """Receive the end of a mark whose folder is gone."""
        self._reading.pop(key, None)

    def close(self) -> None:
        """Free every descriptor and mark."""
        with self.lock:
            for source in self.sources.values():
                source.close()
            self.sources.clear()
            self._subscribers.clear()
            self._waiter.close()
