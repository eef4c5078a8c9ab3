"""The log of a bot or an agent on a terminal: it reads like ``limpet watch``.

Each line has the local time, and in the column of an event's type the level of a message. What a
bot has taken is shown as the same event is by ``limpet watch``.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Final, TextIO

from limpet._printable import printable
from limpet.cli._color import painter
from limpet.cli._terminal import TYPE_WIDTH, Terminal, clock
from limpet.events import Event

EVENT: Final = "limpet_event"
"""The attribute of a record that is about an event."""

_STYLES: Final = {
    logging.DEBUG: "dim",
    logging.INFO: "green",
    logging.WARNING: "bold yellow",
    logging.ERROR: "bold red",
    logging.CRITICAL: "bold red",
}


class TerminalLog(logging.Formatter):
    """Makes a line for people of a record."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._paint = painter(stream)
        self._terminal = Terminal(stream)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the lines of a message that has several."""
        event = getattr(record, EVENT, None)
        if isinstance(event, Event):
            with contextlib.suppress(Exception):  # a path of another host, which has its own form
                return self._terminal.event_text(event)
        begin = clock(record.created)
        indent = "\n" + " " * (len(begin) + TYPE_WIDTH + 2)
        level = record.levelname.lower().ljust(TYPE_WIDTH) + "  "
        message = printable(record.getMessage()).replace("\n", indent)
        line = self._paint(
            [(begin, "dim"), (level, _STYLES.get(record.levelno, "")), (message, "")]
        )
        return line if not record.exc_text else f"{line}\n{printable(record.exc_text)}"
