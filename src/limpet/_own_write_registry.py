"""The registry of own writes: outputs begin and end them here, and watches subscribe.

The registry knows neither side. An output that finds no subscriber reports nothing, so a program
that only writes does not pay for the watch engine; a watch that subscribes receives every own write
that ends from then on.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

_log = logging.getLogger("limpet.output")

State: TypeAlias = tuple[int, ...]
"""Inode, size, mtime and ctime (nanoseconds); of a directory the inode alone."""

ANY: Final[State] = ()
"""As a state before a write: whatever it was, what is there afterwards is all by the own write."""
FOREIGN: Final[State] = (-1,)
"""A state that no file has: another process changed the file, too."""


class Subscriber(Protocol):
    """Receives the own writes of this process, for one watch."""

    keeps: str | None
    """Location of a watch that delivers own writes like any other; ``None`` for all others."""

    def note(self, path: str, state: State | None, before: State | None = ANY) -> None:
        """Record what an own write found and left; called with ``lock`` held."""

    def wake(self) -> None:
        """Examine the paths of the writes that ended; called without the lock, on any thread."""


lock: Final = threading.RLock()
"""Reentrant: the garbage collector may close a watch in the middle of anything."""
ended: Final = threading.Condition(lock)
"""Notified whenever writes have ended."""
open_writes: Final[dict[str, int]] = {}
"""Path -> number of own writes under way there."""
brief: Final[dict[str, int]] = {}
"""Those of them that end without code of the user, unlike an ``own_write`` block."""
_subscribers: Final[set[Subscriber]] = set()
_generation: Final = [0]


def generation() -> int:
    """Return how many times own writes were begun.

    A reader that finds no write open, examines a file and finds this number unchanged has seen no
    own write half done.
    """
    return _generation[0]


def any_open() -> bool:
    """Return whether any own write is under way."""
    return bool(open_writes)


def has_subscribers() -> bool:
    """Return whether any watch would receive an own write."""
    return bool(_subscribers)


def subscribe(subscriber: Subscriber) -> None:
    """Report every own write that ends from now on to ``subscriber``."""
    with lock:
        _subscribers.add(subscriber)


def unsubscribe(subscriber: Subscriber) -> None:
    """Report nothing more to ``subscriber``; it need not be subscribed."""
    with lock:
        _subscribers.discard(subscriber)


def key_of(path: str) -> str:
    """Return what a path is known by here: one text for all spellings that lead to one file.

    Windows takes both separators, and letters of any case, for one name; a watch and an output may
    spell it in their own ways.
    """
    return os.path.normcase(path) if os.name == "nt" else path


def kept_at(path: str) -> bool:
    """Return whether a watch that keeps own writes like any other has ``path`` in its location."""
    with lock:
        places = [one.keeps for one in tuple(_subscribers) if one.keeps is not None]
    path = key_of(path)
    return any(
        path == place or path.startswith(place.rstrip(os.sep) + os.sep)
        for place in map(key_of, places)
    )


def begin(paths: Iterable[str], *, is_brief: bool = True) -> None:
    """Announce own writes to these absolute paths: watches put off examining them.

    Args:
        paths: Absolute.
        is_brief: They end in a moment, whatever the user's code does.
    """
    with lock:
        _generation[0] += 1
        for path in map(key_of, paths):
            open_writes[path] = open_writes.get(path, 0) + 1
            if is_brief:
                brief[path] = brief.get(path, 0) + 1


def end(
    paths: Iterable[str],
    notes: Iterable[tuple[str, State | None, State | None]],
    unsure: Iterable[str] = (),
    *,
    is_brief: bool = True,
) -> None:
    """Report what each own write found and left to the subscribers, and let them examine it.

    Args:
        paths: Those that were begun.
        notes: Path, state before (``ANY``: does not matter), state after; in the order of writing.
        unsure: Paths that another process may have changed, too.
        is_brief: As they were begun.
    """
    notes = [(key_of(path), before, after) for path, before, after in notes]
    unsure = [key_of(path) for path in unsure]
    with lock:
        for subscriber in tuple(_subscribers):
            try:
                for path, before, after in notes:
                    subscriber.note(path, after, before)
                for path in unsure:
                    subscriber.note(path, FOREIGN)
            except Exception:  # noqa: BLE001 - the write is done; other watches must know
                _log.exception("a watch could not take note of an own write")
        for path in map(key_of, paths):
            for counts in (open_writes, brief) if is_brief else (open_writes,):
                counts[path] -= 1
                if not counts[path]:
                    del counts[path]
        ended.notify_all()
        subscribers = list(_subscribers)
    for subscriber in subscribers:
        try:
            subscriber.wake()
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a watch could not be woken after an own write")


def _begin_in_child() -> None:
    """Forget the watches and the writes of the parent process, in a forked child."""
    _subscribers.clear()
    open_writes.clear()
    brief.clear()
    lock.release()


if hasattr(os, "register_at_fork"):  # no child gets a lock that a thread of its parent holds
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=_begin_in_child
    )
