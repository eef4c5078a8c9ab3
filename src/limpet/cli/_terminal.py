"""Events on a terminal: aligned columns, local time, no line wider than it."""

from __future__ import annotations

import time
from functools import partial
from typing import Final, TextIO

from limpet._printable import escape
from limpet.cli._color import Piece, painter
from limpet.cli._event_text import Ready, Renderer, encoding_of, facts, style_of
from limpet.cli._shown_paths import LEAST_CELLS, ShownPaths, cells, shorten, width_of
from limpet.events import Event, event_name

TYPE_WIDTH: Final = len("file.created")
"""The longest type of an entry event; all columns after it line up on a terminal."""

_UNITS: Final = ("kB", "MB", "GB", "TB")

_FROM: Final = "  from "


class Terminal(Renderer):
    """One line for each event, with the path below the location in bold."""

    def __init__(
        self, stream: TextIO, paths: ShownPaths | None = None, *, quiet: bool = False
    ) -> None:
        self._paint = painter(stream)
        self._encoding = encoding_of(stream)
        self._paths = ShownPaths() if paths is None else paths
        self._quiet = quiet
        self._stream = stream

    def ready(self, ready: Ready) -> bytes:
        """See `Renderer`."""
        if self._quiet:
            return b""
        text = f"{escape(str(ready.root))}  {ready.backend}"
        return self._encode(
            (clock(ready.time) + "watch.ready".ljust(TYPE_WIDTH) + "  " + text, "dim")
        )

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        del session
        return (self.event_text(event) + "\n").encode(self._encoding, "backslashreplace")

    def event_text(self, event: Event) -> str:
        """Return the line of an event, in colours if the stream gets them."""
        kind = event_name(type(event))
        path, root = getattr(event, "path", event.location), event.location
        shown = partial(self._paths.of, location=root)
        begin = clock(event.time), kind.ljust(TYPE_WIDTH), "  "
        more = [f"  {_readable(fact)}" for fact in facts(event, shown)]
        name, *more = self._fit([escape(shown(path)), *more], len("".join(begin)))
        prefix = escape(self._paths.root(root)) if path != root else ""
        cut = len(prefix) if name.startswith(prefix) else 0  # it may have been shortened
        return self._paint(
            [
                (begin[0], "dim"),
                (begin[1], style_of(kind)),
                (begin[2], ""),
                (name[:cut], "dim"),
                (name[cut:], "bold"),
                *((text, "dim") for text in more),
            ]
        )

    def _fit(self, texts: list[str], used: int) -> list[str]:
        """Return the path and the facts, with the paths shortened to what the line has left."""
        width = width_of(self._stream)
        paths = [0, *(n for n, text in enumerate(texts) if n and text.startswith(_FROM))]
        if width is None or used + sum(map(cells, texts)) <= width:
            return texts
        fixed = used + sum(cells(text) for n, text in enumerate(texts) if n not in paths)
        room = width - fixed - len(_FROM) * (len(paths) - 1)
        for left in range(len(paths), 0, -1):  # one that needs less leaves the rest to the other
            at = min(paths, key=lambda n: cells(texts[n])) if left > 1 else paths[0]
            paths.remove(at)
            before = _FROM if at else ""
            text = shorten(texts[at].removeprefix(before), max(LEAST_CELLS, room // left))
            room -= cells(text)
            texts[at] = before + text
        return texts

    def _encode(self, *pieces: Piece) -> bytes:
        return (self._paint(pieces) + "\n").encode(self._encoding, "backslashreplace")


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


def clock(moment: float) -> str:
    """Return the local time of day to the millisecond, and the space after it."""
    whole, fraction = divmod(int(moment * 1000), 1000)
    return f"{time.strftime('%H:%M:%S', time.localtime(whole))}.{fraction:03d}  "
