"""The end of a bot whose standard output nobody reads any more (``limpet run bot.yaml | head``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_stops: list[Callable[[], None]] = []
"""What stops the program at once; of the process, as its standard output is. Empty in a program
that is not limpet's own."""


@contextmanager
def stopping_by(stop: Callable[[], None]) -> Iterator[None]:
    """Let a closed pipe stop the program while the block lasts."""
    _stops.append(stop)
    try:
        yield
    finally:
        _stops.remove(stop)


def stop_for_closed_pipe() -> bool:
    """Stop the program, if it is limpet's own; return whether it is."""
    for stop in _stops:
        stop()
    return bool(_stops)
