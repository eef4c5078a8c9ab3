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

_lock = threading.Lock()
_claims: dict[str, int] = {}
_ledgers: set[Ledger] = set()


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
        self.states: OrderedDict[str, tuple[tuple[int, ...] | None, tuple[int, ...] | None]] = (
            OrderedDict()
        )
        """Path -> state before the first own write since the last look, state after the last."""
        self._opened = 0

    def open(self) -> None:
        """Hear of own writes from now on."""
        self._opened = time.time_ns()
        with _lock:
            _ledgers.add(self)

    def close(self) -> None:
        """Hear no more."""
        with _lock:
            _ledgers.discard(self)
            self.states.clear()

    def claimed(self, path: str) -> bool:
        """Whether an own write to ``path`` is under way."""
        return path in _claims

    @staticmethod
    def any_claims() -> bool:
        """Whether any own write is under way."""
        return bool(_claims)

    def note(
        self, path: str, state: tuple[int, ...] | None, before: tuple[int, ...] | None = _ANY
    ) -> None:
        """Remember what an own write left; guarded by the module's lock."""
        start, last = self.states.pop(path, (before, before))
        if _ANY in {before, last}:
            start = before
        elif _content(last) != _content(before):
            start = _FOREIGN  # somebody else wrote between two writes of ours
        self.states[path] = (start, state)
        if len(self.states) > _LIMIT:
            self.states.popitem(last=False)

    def settles(self, path: str, facts: Facts | None, previous: int | bytes | None = None) -> bool:
        """Whether the state found at ``path`` is by own writes alone.

        Args:
            path: Where it was found.
            facts: What was found; ``None`` of nothing.
            previous: What the watch believed to be there; ``None`` of nothing.
        """
        if not self.states:
            return False
        with _lock:
            if path not in self.states:
                return False
            start, state = self.states.pop(path)
            if state != _state(facts):
                return False
            if state is None:
                return True  # whatever else became of it, that it is gone is our doing
            if not self._began(start, previous):
                return False
            self.states[path] = (_ANY, state)  # the same state may be told of twice, as by a move
            return True

    def _began(self, start: tuple[int, ...] | None, previous: int | bytes | None) -> bool:
        """Whether what the watch believed is what stood there before the first own write."""
        if start is None or previous is None:
            return (start is None and previous is None) or start == _ANY
        if start in {_ANY, _FOREIGN}:
            return start == _ANY
        if isinstance(previous, int):  # never looked at, so it is as it was when the watch began
            return previous >> 2 == start[0] and (len(start) < 4 or start[3] <= self._opened)
        return _content(_state(unpack(previous))) == _content(start)


def heard() -> bool:
    """Whether any watch runs that would hear of an own write."""
    return bool(_ledgers)


def keepers(path: str) -> bool:
    """Whether a watch that keeps own writes like any other has ``path`` in its location."""
    with _lock:
        places = [ledger.keeps for ledger in _ledgers if ledger.keeps is not None]
    return any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)


def claim(paths: Iterable[str]) -> None:
    """Before own writes to these absolute paths: watches put off looking at them."""
    with _lock:
        for path in paths:
            _claims[path] = _claims.get(path, 0) + 1


def release(
    paths: Iterable[str],
    notes: Iterable[tuple[str, tuple[int, ...] | None, tuple[int, ...] | None]],
    unsure: Iterable[str] = (),
) -> None:
    """After them: tell the watches what each write found and left, and let them look.

    Args:
        paths: What was claimed.
        notes: Path, state before (``()``: does not matter), state after; in the order of writing.
        unsure: Paths where somebody else had a hand in what is there now.
    """
    with _lock:
        for ledger in _ledgers:
            for path, before, after in notes:
                ledger.note(path, after, before)
            for path in unsure:
                ledger.note(path, _FOREIGN)
        for path in paths:
            _claims[path] -= 1
            if not _claims[path]:
                del _claims[path]
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
    claim(names)
    try:
        yield
    finally:
        release(names, [(name, _ANY, _look(name)) for name in names])


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


def _content(state: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Leave out ctime: a new mode or a link elsewhere changes it, and is no change of content."""
    return None if state is None else state[:3]


def _state(facts: Facts | None) -> tuple[int, ...] | None:
    if facts is None:
        return None
    if facts.mode & 0o170000 == 0o040000:
        return (facts.inode,)  # a folder's size and times change with what is put into it
    return (facts.inode, facts.size, facts.mtime, facts.ctime)
