"""Events on a terminal: colours, aligned columns, local time."""

from __future__ import annotations

import time
from typing import Final, TextIO

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text as Line

from limpet.cli._event_text import Ready, Renderer, encoding_of, escape, facts
from limpet.events import Event, event_name

TYPE_WIDTH: Final = len("file.created")
"""The longest type of an entry event; all columns after it line up on a terminal."""

STYLES: Final = {
    "created": "green",
    "updated": "yellow",
    "renamed": "cyan",
    "deleted": "red",
    "settled": "blue",
    "ready": "dim",
}


class Terminal(Renderer):
    """One line for each event, with the path below the location in bold; honours ``NO_COLOR``."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._encoding = encoding_of(stream)

    def ready(self, ready: Ready) -> bytes:
        """See `Renderer`."""
        text = f"{escape(str(ready.root))}  {ready.backend}"
        return self._encode(
            Line.assemble(
                _clock(ready.time), "watch.ready".ljust(TYPE_WIDTH), "  ", text, style="dim"
            )
        )

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        del session
        kind = event_name(type(event))
        path, root = getattr(event, "path", event.location), event.location
        shown = escape(str(path))
        prefix = escape(str(root)) if path != root and path.is_relative_to(root) else ""
        return self._encode(
            Line.assemble(
                (_clock(event.time), "dim"),
                (kind.ljust(TYPE_WIDTH), STYLES.get(kind.partition(".")[2], "magenta")),
                "  ",
                (shown[: len(prefix)], "dim"),
                (shown[len(prefix) :], "bold"),
                *((f"  {_readable(fact)}", "dim") for fact in facts(event)),
            )
        )

    def _encode(self, line: Line) -> bytes:
        with self._console.capture() as captured:
            self._console.print(line)
        return captured.get().encode(self._encoding, "backslashreplace")


def _readable(fact: str) -> str:
    """Return a fact for people: sizes with a unit, ``key value`` without a sign."""
    key, equals, value = fact.partition("=")
    if key == "size":
        return decimal(int(value))
    if key == "changes":
        return value
    return f"{key} {value}" if equals and key != "kind" else value or key


def _clock(moment: float) -> str:
    """Return the local time of day to the millisecond, and the space after it."""
    whole, fraction = divmod(int(moment * 1000), 1000)
    return f"{time.strftime('%H:%M:%S', time.localtime(whole))}.{fraction:03d}  "
