"""Events on a terminal: aligned columns, local time, and colours where rich is installed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TextIO, TypeAlias

from limpet.cli._event_text import Ready, Renderer, encoding_of, escape, facts
from limpet.events import Event, event_name

TYPE_WIDTH: Final = len("file.created")
"""The longest type of an entry event; all columns after it line up on a terminal."""

_UNITS: Final = ("kB", "MB", "GB", "TB")

STYLES: Final = {
    "created": "green",
    "updated": "yellow",
    "renamed": "cyan",
    "deleted": "red",
    "settled": "blue",
    "ready": "dim",
}


Piece: TypeAlias = tuple[str, str]
"""A part of a line, and its style; the style may be empty."""


class Terminal(Renderer):
    """One line for each event, with the path below the location in bold; honours ``NO_COLOR``."""

    def __init__(self, stream: TextIO) -> None:
        self._paint = _painter(stream)
        self._encoding = encoding_of(stream)

    def ready(self, ready: Ready) -> bytes:
        """See `Renderer`."""
        text = f"{escape(str(ready.root))}  {ready.backend}"
        return self._encode(
            (_clock(ready.time) + "watch.ready".ljust(TYPE_WIDTH) + "  " + text, "dim")
        )

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        del session
        kind = event_name(type(event))
        path, root = getattr(event, "path", event.location), event.location
        shown = escape(str(path))
        prefix = escape(str(root)) if path != root and path.is_relative_to(root) else ""
        return self._encode(
            (_clock(event.time), "dim"),
            (kind.ljust(TYPE_WIDTH), STYLES.get(kind.partition(".")[2], "magenta")),
            ("  ", ""),
            (shown[: len(prefix)], "dim"),
            (shown[len(prefix) :], "bold"),
            *((f"  {_readable(fact)}", "dim") for fact in facts(event)),
        )

    def _encode(self, *pieces: Piece) -> bytes:
        return self._paint(pieces).encode(self._encoding, "backslashreplace")


def _painter(stream: TextIO) -> Callable[[tuple[Piece, ...]], str]:
    """Return what makes a line of its pieces: with colours if rich (the extra cli) is there."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return lambda pieces: "".join(text for text, _ in pieces) + "\n"
    console = Console(file=stream, highlight=False, soft_wrap=True)

    def paint(pieces: tuple[Piece, ...]) -> str:
        with console.capture() as captured:
            console.print(Text.assemble(*pieces))
        return captured.get()

    return paint


def _readable(fact: str) -> str:
    """Return a fact for people: sizes with a unit, ``key value`` without a sign."""
    key, equals, value = fact.partition("=")
    if key == "size":
        return _size(int(value))
    if key == "changes":
        return value
    return f"{key} {value}" if equals and key != "kind" else value or key


def _size(count: int) -> str:
    """Return a number of bytes with a unit: ``999 bytes``, ``1.5 kB``."""
    if count < 1000:
        return f"{count} byte{'s' * (count != 1)}"
    power = min((len(str(count)) - 1) // 3, len(_UNITS))
    return f"{count / 1000**power:,.1f} {_UNITS[power - 1]}"


def _clock(moment: float) -> str:
    """Return the local time of day to the millisecond, and the space after it."""
    whole, fraction = divmod(int(moment * 1000), 1000)
    return f"{time.strftime('%H:%M:%S', time.localtime(whole))}.{fraction:03d}  "
