"""Emits that a new directory is finished, once nothing of it is left to report.

A directory that no hint reports is listed once more first, so that what the last poll did not see
is not called finished. One of which something cannot be known now (a file that is held, a directory
that cannot be read, a name that is still to be examined) is put off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet.watching.diff._context import ElsewhereError
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limpet.watching.diff._agenda import Agenda
    from limpet.watching.diff._context import DiffContext
    from limpet.watching.index._entry_record import StatResult

_PUT_OFF_S: Final = 1.0
"""Seconds until one is decided that was put off; as long as what cannot be read is tried again."""


def add_last_scan(context: DiffContext, agenda: Agenda, now: float) -> None:
    """Add the directories without a mark at and below those that may be finished."""
    for top in context.settling.due(now):
        agenda.listings.update(one for one in top.walk() if one.mark is None)


def emit_settled(context: DiffContext, left: Agenda, now: float) -> None:
    """Emit each directory that was quiet until ``now``, which is when the hints were taken.

    Args:
        context: What the watch shares.
        left: What this examination left for the next one.
        now: Monotonic seconds.
    """
    settling = context.settling
    for top in settling.due(now):
        facts = None if _is_open(context, top, left) else _stat(context, top)
        if facts is None:
            settling.put_off(top, now + max(settling.quiet, _PUT_OFF_S))
            continue
        existing = settling.forget(top)
        context.emit.settled(top.relative(), facts, existing=bool(existing))


def _is_open(context: DiffContext, top: DirNode, left: Agenda) -> bool:
    """Return whether something at or below ``top`` is not known or not emitted yet."""
    return (
        bool(context.degradation.location)
        or any(one.lies_in(top) for one in _unfinished(context, left))
        or any(one.blind is not None for one in top.walk())
    )


def _unfinished(context: DiffContext, left: Agenda) -> Iterator[DirNode]:
    """Yield the directories of which something is not known or not emitted yet."""
    yield from left.names
    yield from left.listings
    yield from context.relist
    yield from context.unsure
    for directory, _ in context.degradation.unknown:
        yield directory
    for held, _ in context.debouncer.held:
        if isinstance(held, DirNode):
            yield held


def _stat(context: DiffContext, top: DirNode) -> StatResult | None:
    """Return the status of the directory; ``None`` if it is gone or cannot be opened."""
    try:
        handle = context.open(top)
    except (ElsewhereError, OSError):
        return None
    try:
        return context.disk.stat(handle)
    except OSError:
        return None
    finally:
        context.disk.close(handle)
