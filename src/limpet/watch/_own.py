"""Which changes are limpet's own: a claim before the write, the state it left after it.

While a claim is open, watches put off looking at its paths. When it closes, what stands there is
noted in the inbox of every running watch; the event that finds exactly that state (inode, size,
mtime, ctime) is own. Another state means that somebody else changed the file since, however soon,
and the event is not own. Where the state before the write is noted too, the event is own only if
the watch had seen that one: else somebody else's change came in between. Nothing here depends on
who the kernel says it was, so it holds on every backend; a kernel that names the process only takes
away from what counts as own, never adds.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from limpet.watch._disk import default_disk
from limpet.watch._record import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from limpet.watch._record import Facts

__all__ = ["Ledger", "claim", "heard", "keepers", "own_write", "release"]

_LIMIT: Final = 10_000
"""States one watch remembers; older ones are forgotten first, and their events count as foreign."""

_ANY: Final[tuple[int, ...]] = ()
"""As a state before: whatever it was, what is there now is all by the own write."""
_FOREIGN: Final[tuple[int, ...]] = (-1,)
"""As a state: not by an own write alone. No file is in it."""
_MOST_NOTES: Final = 16
"""Writes to one path that are kept apart between two looks; of more, the older ones are one."""
_PUT_OFF_S: Final = 0.05
"""How long a path that is claimed over and over is not looked at."""
_PATIENCE_S: Final = 2.0
"""Longest wait for an own write that was seen before it was noted: a batch of them takes less."""

_Note = tuple[tuple[int, ...] | None, tuple[int, ...] | None]
"""State before an own write, state after it; ``None`` is nothing there."""

_lock = threading.Lock()
_released = threading.Condition(_lock)
_claims: dict[str, int] = {}
_brief: dict[str, int] = {}
"""The claims that end by themselves in a moment: not those of a block of the user's."""
_ledgers: set[Ledger] = set()
_turns = [0]
"""Claims ever opened: who finds none open, looks, and finds this unchanged, saw no own write half
done."""


class Ledger:
    """What one watch knows of own writes; safe to use from any thread."""

    def __init__(self, wake: Callable[[], None], *, keeps: str | None = None) -> None:
        """Start with nothing.

        Args:
            wake: Called when a claim has closed.
            keeps: The location, if own writes into it are delivered like any other.
        """
        self.wake = wake
        self.keeps = keeps
        self._notes: OrderedDict[str, list[_Note]] = OrderedDict()
        """Path -> the own writes to it that were not yet accounted for, oldest first."""
        self._opened = 0
        self._put_off: dict[str, float] = {}
        """Path that was found claimed -> when first; only those that are claimed now and again."""

    def open(self) -> None:
        """Hear of own writes from now on."""
        self._opened = default_disk().now()
        with _lock:
            _ledgers.add(self)

    def close(self) -> None:
        """Hear no more."""
        with _lock:
            _ledgers.discard(self)
            self._notes.clear()
            self._put_off.clear()

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing that an event could be own by."""
        return not (self._notes or _claims)

    @staticmethod
    def turn() -> int:
        """Count the own writes that were ever begun."""
        return _turns[0]

    def claimed(self, path: str) -> bool:
        """Whether to put off looking at ``path``, for an own write to it is under way.

        A file that is written to all the time would be put off for ever: after a while it is looked
        at, and ``settles`` waits for the one write that is under way then.
        """
        if path not in _claims:
            self._put_off.pop(path, None)
            return False
        if _claims.get(path) != _brief.get(path):
            return True
        since = self._put_off.setdefault(path, time.monotonic())
        return time.monotonic() - since < _PUT_OFF_S

    @staticmethod
    def any_claims() -> bool:
        """Whether any own write is under way."""
        return bool(_claims)

    def note(
        self, path: str, state: tuple[int, ...] | None, before: tuple[int, ...] | None = _ANY
    ) -> None:
        """Remember what an own write found and left; guarded by the module's lock."""
        notes = self._notes.setdefault(path, [])
        if before == _ANY:
            notes.clear()
        notes.append((before, state))
        if len(notes) > _MOST_NOTES:
            first, second = notes[:2]
            start = first[0] if _follows(first, second) else _FOREIGN
            notes[:2] = [(start, second[1])]
        self._notes.move_to_end(path)
        if len(self._notes) > _LIMIT:
            self._notes.popitem(last=False)

    def settles(self, path: str, facts: Facts | None, previous: int | bytes | None = None) -> bool:
        """Whether the state found at ``path`` is by own writes alone.

        It was found a moment ago: since then an own write may have gone on, and one that was seen
        on disk may be about to be noted, which is waited for.

        Args:
            path: Where it was found.
            facts: What was found; ``None`` of nothing.
            previous: What the watch believed to be there; ``None`` of nothing.
        """
        if not self._notes and not _claims:
            return False
        state = _state(facts)
        self._put_off.pop(path, None)
        with _released:
            at = self._find(path, state)
            if at < 0 and path in _claims:
                _released.wait_for(lambda: path not in _claims, _PATIENCE_S)
                at = self._find(path, state)
            notes = self._notes.get(path)
            if notes is None:
                return False
            if at < 0:
                # Somebody else's. What we wrote on top of it may be about to be found.
                while notes and _content(notes[0][0]) != _content(state):
                    del notes[0]
                if not notes:
                    del self._notes[path]
                return False
            # That something is gone is our doing, whatever else became of it before.
            own = state is None or (
                self._began(notes[0][0], previous)
                and all(_follows(notes[i], notes[i + 1]) for i in range(at))
            )
            # The same state may be told of twice, as by a move and a change.
            notes[: at + 1] = [(_ANY, state)] if own else []
            if not notes:
                del self._notes[path]
            return own

    def _find(self, path: str, state: tuple[int, ...] | None) -> int:
        """Give the last note that left that state; -1 if none did."""
        notes = self._notes.get(path, ())
        return next((i for i in reversed(range(len(notes))) if notes[i][1] == state), -1)

    def _began(self, start: tuple[int, ...] | None, previous: int | bytes | None) -> bool:
        """Whether what the watch believed is what stood there before the first own write."""
        if start in {_ANY, _FOREIGN}:
            return start == _ANY
        if start is None or previous is None:
            return start is None and previous is None
        if isinstance(previous, int):  # never looked at, so it is as it was when the watch began
            return previous >> 2 == start[0] and (len(start) < 4 or start[3] < self._opened)
        return _content(_state(unpack(previous))) == _content(start)


def heard() -> bool:
    """Whether any watch runs that would hear of an own write."""
    return bool(_ledgers)


def keepers(path: str) -> bool:
    """Whether a watch that keeps own writes like any other has ``path`` in its location."""
    with _lock:
        places = [ledger.keeps for ledger in _ledgers if ledger.keeps is not None]
    return any(path == place or path.startswith(place.rstrip(os.sep) + os.sep) for place in places)


def claim(paths: Iterable[str], *, brief: bool = True) -> None:
    """Before own writes to these absolute paths: watches put off looking at them.

    Args:
        paths: Absolute.
        brief: They are released in a moment, whatever the user's code does.
    """
    with _lock:
        _turns[0] += 1
        for path in paths:
            _claims[path] = _claims.get(path, 0) + 1
            if brief:
                _brief[path] = _brief.get(path, 0) + 1


def release(
    paths: Iterable[str],
    notes: Iterable[tuple[str, tuple[int, ...] | None, tuple[int, ...] | None]],
    unsure: Iterable[str] = (),
    *,
    brief: bool = True,
) -> None:
    """After them: tell the watches what each write found and left, and let them look.

    Args:
        paths: What was claimed.
        notes: Path, state before (``()``: does not matter), state after; in the order of writing.
        unsure: Paths where somebody else had a hand in what is there now.
        brief: As they were claimed.
    """
    with _lock:
        for ledger in _ledgers:
            for path, before, after in notes:
                ledger.note(path, after, before)
            for path in unsure:
                ledger.note(path, _FOREIGN)
        for path in paths:
            for counts in (_claims, _brief) if brief else (_claims,):
                counts[path] -= 1
                if not counts[path]:
                    del counts[path]
        _released.notify_all()
        wakes = [ledger.wake for ledger in _ledgers]
    for wake in wakes:
        wake()


@contextlib.contextmanager
def own_write(*paths: str | os.PathLike[str]) -> Iterator[None]:
    """Mark what the block does to ``paths`` as limpet's own, for every watch in this process.

    ```python
    with limpet.own_write(report):
        report.write_text("done")
    ```

    The events are dropped, marked or kept as the watch's ``own`` option says. Name every path that
    is created, written, replaced or deleted; for a rename both names. May be used from any thread.
    The paths must be spelled below the location as the watch was given it (made absolute).
    """
    names = [os.path.abspath(os.fspath(path)) for path in paths]
    claim(names, brief=False)
    try:
        yield
    finally:
        release(names, [(name, _ANY, _look(name)) for name in names], brief=False)


def _look(path: str) -> tuple[int, ...] | None:
    disk = default_disk()
    folder, name = os.path.split(path)
    try:
        handle = disk.open(folder, follow=True)
    except OSError:
        return None
    try:
        return _state(disk.stat_at(handle, name))
    except OSError:
        return None
    finally:
        disk.close(handle)


def _follows(one: _Note, next_one: _Note) -> bool:
    """Whether a write found what the one before it left: nobody else wrote in between."""
    return next_one[0] == _ANY or _content(one[1]) == _content(next_one[0])


def _content(state: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Leave out ctime: a new mode or a link elsewhere changes it, and is no change of content."""
    return None if state is None else state[:3]


def _state(facts: Facts | None) -> tuple[int, ...] | None:
    if facts is None:
        return None
    if facts.mode & 0o170000 == 0o040000:
        return (facts.inode,)  # a folder's size and times change with what is put into it
    return (facts.inode, facts.size, facts.mtime, facts.ctime)
