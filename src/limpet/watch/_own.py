"""Which changes are limpet's own: a claim before the write, the state it left after it.

While a claim is open, watches put off looking at its paths. When it closes, what stands there is
noted in the inbox of every running watch; the event that finds exactly that state (inode, size,
mtime, ctime) is own. Another state means that somebody else changed the file since, however soon,
and the event is not own. Nothing here depends on who the kernel says it was, so it holds on every
backend; a kernel that names the process only takes away from what counts as own, never adds.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from limpet.watch._disk import default_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from limpet.watch._record import Facts

__all__ = ["Ledger", "own_write"]

_LIMIT: Final = 10_000
"""States one watch remembers; older ones are forgotten first, and their events count as foreign."""

_lock = threading.Lock()
_claims: dict[str, int] = {}
_ledgers: set[Ledger] = set()
_opened = [0]
"""Claims ever opened: who finds none open, looks, and finds this unchanged, saw no own write half
done."""


class Ledger:
    """What one watch knows of own writes; safe to use from any thread."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Start with nothing; ``wake`` is called when a claim has closed."""
        self.wake = wake
        self.states: OrderedDict[str, tuple[int, ...] | None] = OrderedDict()
        """Path -> what an own write left there, until a look has found it."""

    def open(self) -> None:
        """Hear of own writes from now on."""
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

    @staticmethod
    def turn() -> int:
        """Count the own writes that were ever begun."""
        return _opened[0]

    def note(self, path: str, state: tuple[int, ...] | None) -> None:
        """Remember what an own write left; guarded by the module's lock."""
        self.states[path] = state
        self.states.move_to_end(path)
        if len(self.states) > _LIMIT:
            self.states.popitem(last=False)

    def settles(self, path: str, facts: Facts | None) -> bool:
        """Whether the state found at ``path`` is the one an own write left; asked once for each."""
        if not self.states:
            return False
        with _lock:
            if path not in self.states:
                return False
            return self.states.pop(path) == _state(facts)


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
    with _lock:
        _opened[0] += 1
        for name in names:
            _claims[name] = _claims.get(name, 0) + 1
    try:
        yield
    finally:
        states = [(name, _look(name)) for name in names]
        with _lock:
            for name, state in states:
                for ledger in _ledgers:
                    ledger.note(name, state)
            for name in names:
                _claims[name] -= 1
                if not _claims[name]:
                    del _claims[name]
            wakes = [ledger.wake for ledger in _ledgers]
        for wake in wakes:
            wake()


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


def _state(facts: Facts | None) -> tuple[int, ...] | None:
    if facts is None:
        return None
    if facts.mode & 0o170000 == 0o040000:
        return (facts.inode,)  # a folder's size and times change with what is put into it
    return (facts.inode, facts.size, facts.mtime, facts.ctime)
