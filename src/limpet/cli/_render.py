"""Events as bytes for standard output, one renderer for each ``--format``."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, assert_never

from limpet._printable import escape
from limpet.cli._color import Paint, is_terminal, painter, wants_color
from limpet.cli._event_text import Ready, Renderer, encoding_of, facts, style_of
from limpet.cli._shown_paths import ShownPaths
from limpet.cli._watch_plan import Format
from limpet.events import EntryEvent, Event, event_name

if TYPE_CHECKING:
    from limpet.watching import WatchStats


def renderer_for(
    form: Format, stream: TextIO | None, paths: ShownPaths | None = None, *, quiet: bool = False
) -> Renderer:
    """Return the renderer of a format; text has columns if ``stream`` is a terminal.

    Args:
        form: The format.
        stream: Where the lines go.
        paths: How paths are shown in text.
        quiet: Leave out the ready line of text; it is a part of the other formats.
    """
    paths = ShownPaths() if paths is None else paths
    match form:
        case "text":
            if stream is not None and is_terminal(stream):
                from limpet.cli._terminal import Terminal

                return Terminal(stream, paths, quiet=quiet)
            return Text(
                encoding_of(stream),
                paths,
                quiet=quiet,
                paint=painter(stream) if wants_color(stream) else None,
            )
        case "jsonl":
            from limpet.cli._render_json import JsonLines  # only now: text needs no JSON

            return JsonLines()
        case "cloudevents":
            from limpet.cli._render_json import CloudEvents

            return CloudEvents()
        case "paths0":
            return Paths()
        case _:
            assert_never(form)


class Text(Renderer):
    """One line for each event, its columns separated by tabs: time, type, path, facts."""

    def __init__(
        self,
        encoding: str,
        paths: ShownPaths | None = None,
        *,
        quiet: bool = False,
        paint: Paint | None = None,
    ) -> None:
        self._encoding = encoding
        self._paint = paint
        self._paths = ShownPaths() if paths is None else paths
        self._quiet = quiet

    def ready(self, ready: Ready) -> bytes:
        """See `Renderer`."""
        if self._quiet:
            return b""
        return self._line(
            _utc(ready.time), "watch.ready", escape(str(ready.root)), f"backend={ready.backend}"
        )

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        del session
        path = getattr(event, "path", event.location)
        kind = event_name(type(event))
        shown = partial(self._paths.of, location=event.location)
        return self._line(_utc(event.time), kind, escape(shown(path)), *facts(event, shown))

    def _line(self, *columns: str) -> bytes:
        if self._paint is not None:
            styles = ["dim", style_of(columns[1]), "bold", *["dim"] * (len(columns) - 3)]
            pairs = zip(columns, styles, strict=True)
            columns = tuple(self._paint([pair]) for pair in pairs)
        return ("\t".join(columns) + "\n").encode(self._encoding, "backslashreplace")


class Paths(Renderer):
    """Each entry event's path as the bytes it has on disk, ended by a NUL: for ``xargs -0``."""

    def event(self, event: Event, session: str) -> bytes:
        """See `Renderer`."""
        del session
        return os.fsencode(event.path) + b"\0" if isinstance(event, EntryEvent) else b""


def stats_line(root: Path, stats: WatchStats, *, structured: bool) -> str:
    """Return statistics as a line: a JSON object with its line feed, or words without one."""
    values = asdict(stats)
    if structured:
        from limpet.cli._render_json import stats_object

        return stats_object(root, values).decode()
    words = " ".join(f"{key}={value}" for key, value in values.items())
    return f"watch.stats {escape(str(root))} {words}"


def _utc(moment: float) -> str:
    """Return the moment in UTC to the millisecond, as RFC 3339."""
    whole, fraction = divmod(int(moment * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{fraction:03d}Z"
