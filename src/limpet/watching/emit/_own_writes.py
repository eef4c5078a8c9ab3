"""Which changes are own writes: a state before the write and a state after it, compared exactly.

While an own write is open, watches put off examining its path. When it ends, the state that it left
is recorded for every running watch; the event that finds exactly that state (inode, size, mtime,
ctime) is own. Another state means that another process changed the file since, however soon, and
the event is not own. Where the state before the write is recorded too, the event is own only if the
watch had that one in its index: otherwise a foreign change came in between. None of this depends on
the process that the kernel names, so it holds on every backend; a kernel that names it only removes
events from those that count as own, and never adds one.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from limpet import _own_write_registry as registry
from limpet._option_fields import path_of
from limpet._own_write_registry import ANY, FOREIGN, State
from limpet.watching.index._entry_record import StatResult, unpack
from limpet.watching.index._fs import default_disk

_LIMIT: Final = 10_000
"""States one watch keeps; older ones are dropped first, and their events count as foreign."""

_MOST_NOTES: Final = 16
"""Most writes to one path that are kept apart between two scans; beyond, the oldest are merged."""
_PUT_OFF_S: Final = 0.05
"""How long a path with one own write after the other is not examined."""
_PATIENCE_S: Final = 2.0
"""Longest wait for an own write that was seen before it was recorded: a batch takes less."""

_Note = tuple[State | None, State | None]
"""State before an own write, state after it; ``None`` is nothing there."""


class OwnWrites:
    """The own writes that one watch has to account for; safe to use from any thread."""

    lock = registry.lock
    """While it is held, no own write begins or ends: ``explains`` waits for none."""
    open_writes = registry.open_writes
    """Path -> the number of own writes under way there."""

    def __init__(self, wake: Callable[[], None], *, keeps: str | None = None) -> None:
        """Start empty.

        Args:
            wake: Called when an own write has ended.
            keeps: The location, if own writes into it are delivered like any other change.
        """
        self.wake = wake
        self.keeps = keeps
        self._notes: OrderedDict[str, list[_Note]] = OrderedDict()
        """Path -> the own writes to it that are not yet accounted for, oldest first."""
        self._opened = 0
        self._put_off: dict[str, float] = {}
        """Path -> when it was first put off; only paths with own writes now and again."""

    def open(self) -> None:
        """Receive own writes from now on."""
        self._opened = default_disk().now()
        registry.subscribe(self)

    def close(self) -> None:
        """Stop receiving own writes."""
        registry.unsubscribe(self)
        with registry.lock:
            self._notes.clear()
            self._put_off.clear()

    @property
    def is_quiet(self) -> bool:
        """Return whether there is nothing that an event could be own by."""
        return not (self._notes or registry.open_writes)

    @staticmethod
    def generation() -> int:
        """Return how many times own writes were begun."""
        return registry.generation()

    def is_open(self, path: str) -> bool:
        """Return whether to put off examining ``path`` because an own write to it is open.

        A file that is written to all the time would be put off for ever: after a while it is
        examined, and ``explains`` waits for the one write that is open then.
        """
        path = registry.key_of(path)
        if path not in registry.open_writes:
            self._put_off.pop(path, None)
            return False
        if registry.open_writes.get(path) != registry.brief.get(path):
            return True
        since = self._put_off.setdefault(path, time.monotonic())
        return time.monotonic() - since < _PUT_OFF_S

    @staticmethod
    def any_open() -> bool:
        return registry.any_open()

    def note(self, path: str, state: State | None, before: State | None = ANY) -> None:
        """Record what an own write found and left; guarded by the registry's lock."""
        notes = self._notes.setdefault(path, [])
        if before == ANY:
            notes.clear()
        notes.append((before, state))
        if len(notes) > _MOST_NOTES:
            first, second = notes[:2]
            start = first[0] if _follows(first, second) else FOREIGN
            notes[:2] = [(start, second[1])]
        self._notes.move_to_end(path)
        if len(self._notes) > _LIMIT:
            self._notes.popitem(last=False)

    def explains(
        self, path: str, facts: StatResult | None, previous: int | bytes | None = None
    ) -> bool:
        """Return whether the state found at ``path`` is by own writes alone.

        It was found a moment ago. Since then an own write may have gone on, and one that was seen
        on disk may be about to be recorded, which is waited for.

        Args:
            path: Where it was found.
            facts: What was found; ``None`` if nothing was.
            previous: What the index had there; ``None`` if nothing.
        """
        if not self._notes and not registry.open_writes:
            return False
        state, path = _state(facts), registry.key_of(path)
        self._put_off.pop(path, None)
        with registry.ended:
            at = self._find(path, state)
            if at < 0 and path in registry.open_writes:
                registry.ended.wait_for(lambda: path not in registry.open_writes, _PATIENCE_S)
                at = self._find(path, state)
            notes = self._notes.get(path)
            if notes is None:
                return False
            if at < 0:
                # A foreign change. An own write on top of it may be about to be found.
                while notes and _content(notes[0][0]) != _content(state):
                    del notes[0]
                if not notes:
                    del self._notes[path]
                return False
            # That something is gone is by the own write, whatever happened to it before.
            own = state is None or (
                self._began(notes[0][0], previous)
                and all(_follows(notes[i], notes[i + 1]) for i in range(at))
            )
            # The same state may be reported twice, as by a move and a change.
            notes[: at + 1] = [(ANY, state)] if own else []
            if not notes:
                del self._notes[path]
            return own

    def _find(self, path: str, state: State | None) -> int:
        """Return the index of the last note that left that state; -1 if none did."""
        notes = self._notes.get(path, ())
        return next((i for i in reversed(range(len(notes))) if notes[i][1] == state), -1)

    def _began(self, start: State | None, previous: int | bytes | None) -> bool:
        """Return whether the index had what the first own write found."""
        if start in {ANY, FOREIGN}:
            return start == ANY
        if start is None or previous is None:
            return start is None and previous is None
        if isinstance(
            previous, int
        ):  # no stat was needed so far, so it is as it was when the watch began
            return previous >> 2 == start[0] and (len(start) < 4 or start[3] < self._opened)
        return _content(_state(unpack(previous))) == _content(start)


@contextlib.contextmanager
def own_write(*paths: str | os.PathLike[str]) -> Iterator[None]:
    """Mark what the block does to ``paths`` as limpet's own, for every watch in this process.

    ```python
    with limpet.own_write(report):
        report.write_text("done")
    ```

    The events are dropped, marked or kept as the watch's ``own`` option says. Name every path that
    is created, written, replaced or deleted; for a rename both names. May be used from any thread.
    The paths must be spelled below the location as it was given to the watch (made absolute).
    """
    names = [os.fspath(path_of("path", path)) for path in paths]
    registry.begin(names, is_brief=False)
    try:
        yield
    finally:
        registry.end(names, [(name, ANY, _examine(name)) for name in names], is_brief=False)


def _examine(path: str) -> State | None:
    disk = default_disk()
    directory, name = os.path.split(path)
    try:
        handle = disk.open(directory, follow=True)
    except OSError:
        return None
    try:
        return _state(disk.stat_at(handle, name))
    except OSError:
        return None
    finally:
        disk.close(handle)


def _follows(one: _Note, next_one: _Note) -> bool:
    """Return whether a write found what the one before it left: nothing foreign came in between."""
    return next_one[0] == ANY or _content(one[1]) == _content(next_one[0])


def _content(state: State | None) -> State | None:
    """Return a state without its ctime: a new mode or a link changes it, and not the content."""
    return None if state is None else state[:3]


def _state(facts: StatResult | None) -> State | None:
    if facts is None:
        return None
    if facts.mode & 0o170000 == 0o040000:
        return (facts.inode,)  # size and times of a directory change with what is put into it
    # On Windows ``stat`` and ``fstat`` mean two times by it (CPython 3.12, os.stat_result).
    ctime = 0 if sys.platform == "win32" else facts.ctime
    return (facts.inode, facts.size, facts.mtime, ctime)
