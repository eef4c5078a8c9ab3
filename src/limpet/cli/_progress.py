"""How far something is, on a terminal: a line that is written over, and gone at the end.

A thread writes it: what is counted may wait for a lock, and a terminal may be stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TextIO

from limpet.cli._color import is_terminal
from limpet.cli._event_text import encoding_of
from limpet.cli._shown_paths import shorten, width_of
from limpet.cli._writer import stream_sink

AFTER_S: Final = 1.0
"""What takes no longer shows nothing."""

EVERY_S: Final = 0.25

PATIENCE_S: Final = 0.5
"""How long the end waits for a terminal that is stopped."""

CLEAR: Final = b"\r\x1b[K"
"""Back to the first column, and erase the line (ECMA-48: CR, EL)."""


@contextmanager
def progress(
    stream: TextIO | None, text: Callable[[], str], *, after: float = AFTER_S
) -> Iterator[None]:
    """Show a text that changes while the block lasts, if the stream is a terminal.

    Args:
        stream: Where it is shown.
        text: Returns the text, printable; it is shortened to the width of the terminal.
        after: Seconds before it is shown for the first time.
    """
    if stream is None or not is_terminal(stream):
        yield
        return
    end = threading.Event()
    thread = threading.Thread(
        target=_show, args=(stream, text, after, end), name="limpet progress", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(PATIENCE_S)


def _show(stream: TextIO, text: Callable[[], str], after: float, end: threading.Event) -> None:
    if end.wait(after):
        return
    write = stream_sink(stream)
    with suppress(OSError, ValueError):  # nobody has the terminal any more
        while True:
            line = shorten(text(), max(1, (width_of(stream) or 80) - 1))
            write(CLEAR + line.encode(encoding_of(stream), "replace"))
            if end.wait(EVERY_S):
                break
        write(CLEAR)
