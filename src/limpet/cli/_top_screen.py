"""The screen of ``limpet top``: rich draws it, keys choose what it shows.

A thread asks the programs, so that one that hangs keeps no key waiting.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from limpet._error_text import error_text
from limpet._printable import escape
from limpet.cli._color import Piece
from limpet.cli._keys import keys
from limpet.cli._programs import Seen, programs, seen
from limpet.cli._status_text import dead_letter_story, health_style, safe, story, worst_of
from limpet.cli._top_table import Row, laid_out, part_rows, program_row
from limpet.errors import LimpetError
from limpet.status import fetch_happenings

View = Literal["programs", "dead letters", "events"]
_VIEWS: Final[dict[str, View]] = {"b": "programs", "d": "dead letters", "e": "events"}
_EVENTS: Final = 50
_STYLES: Final = {"failed": "bold red", "retry": "bold yellow", "problem": "bold yellow",
                  "refused": "bold red", "done": "green"}  # fmt: skip
_HELP: Final = "b programs   d dead letters   e events   ↑↓ choose   p pause   q quit"


@dataclass(slots=True)
class Shown:
    """What the screen shows now."""

    view: View = "programs"
    chosen: int = 0
    is_paused: bool = False
    answers: list[Seen] = field(default_factory=list)
    happenings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Address -> the last things that happened there."""
    complaint: str = ""

    def press(self, key: str) -> bool:
        """Take a key; return whether it ends the screen."""
        if key in _VIEWS:
            self.view = _VIEWS[key]
        elif key == "p":
            self.is_paused = not self.is_paused
        elif key == "up":
            self.chosen = max(0, self.chosen - 1)
        elif key == "down":
            self.chosen = min(max(0, len(self.answers) - 1), self.chosen + 1)
        return key in {"q", "\x04"}


def show(words: Sequence[str], interval: float) -> int:
    """Show the screen until ``q`` is pressed; return the exit code."""
    shown, ended, console = Shown(), threading.Event(), Console()
    asking = threading.Thread(
        target=_ask, args=(words, interval, shown, ended), name="limpet top", daemon=True
    )
    asking.start()
    try:
        with keys() as read, Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(screen(shown, console.width, console.height), refresh=True)
                if shown.press(read(0.25)):
                    return 0
    except KeyboardInterrupt:
        return 0
    finally:
        ended.set()


def _ask(words: Sequence[str], interval: float, shown: Shown, ended: threading.Event) -> None:
    while not ended.is_set():
        if not shown.is_paused:
            try:
                shown.answers = seen(programs(words))
                shown.complaint = ""
                if shown.view == "events":
                    shown.happenings = _events(shown.answers)
            except Exception as error:  # noqa: BLE001 - the screen goes on, and says it
                shown.answers, shown.complaint = [], error_text(error)
        ended.wait(interval)


def _events(answers: Sequence[Seen]) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for one in answers:
        if one.status is not None:
            with contextlib.suppress(LimpetError):  # it has ended meanwhile; the others go on
                found[one.address] = fetch_happenings(one.address, limit=_EVENTS)
    return found


def screen(shown: Shown, width: int, height: int) -> RenderableType:
    """Return the whole screen, at most ``height`` lines high."""
    now = time.time()
    parts: list[RenderableType] = [_head(shown, width, now)]
    room = max(1, height - 3)
    if not shown.answers:
        text = shown.complaint or "nothing runs with --listen for this user; looking again …"
        parts.append(Text(text, style="dim", overflow="fold"))
    elif shown.view == "programs":
        parts.append(_programs(shown, width, room, now))
    elif shown.view == "dead letters":
        parts.append(_lines(_dead_letters(shown.answers), room, "there are no dead letters"))
    else:
        parts.append(_lines(_happened(shown, room), room, "nothing has happened yet"))
    parts.append(Text(_HELP, style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _head(shown: Shown, width: int, now: float) -> Text:
    statuses = [one.status for one in shown.answers if one.status is not None]
    worst = worst_of(one.health for one in statuses)
    per_minute = sum(one.events_per_minute for one in statuses)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("limpet top", style="bold")
    text.append(f"  {len(shown.answers)} running, ")
    if statuses:
        text.append(escape(worst), style=health_style(worst))
    if silent := len(shown.answers) - len(statuses):
        comma = ", " if statuses else ""
        text.append(f"{comma}{silent} without an answer", style="bold red")
    text.append(f", {per_minute:,.0f} events a minute")
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    text.append(f"  {'PAUSED ' if shown.is_paused else ''}{clock}", style="dim")
    text.truncate(width)
    return text


def _programs(shown: Shown, width: int, room: int, now: float) -> RenderableType:
    """Return the table in the upper half, and the story of the chosen program below it."""
    chosen = shown.answers[min(shown.chosen, len(shown.answers) - 1)]
    rows: list[Row] = []
    marked = 0
    for one in shown.answers:
        if one is chosen:
            marked = len(rows) + 1
        rows.append(program_row(one, now))
        if one.status is not None:
            rows += part_rows(one.status, now)
    table = laid_out(rows, width)[: max(2, room // 2 + 1)]
    lines = _texts(table)
    if len(shown.answers) > 1 and marked < len(lines):
        lines[marked].stylize("reverse")
    below: list[list[Piece]] = [[("", "")]]
    if chosen.status is not None:
        below += list(story(chosen.status, now))
    else:
        below.append([(escape(chosen.reason), "bold red")])
    return Group(*lines, *_texts(below[: max(0, room - len(lines))]))


def _dead_letters(answers: Sequence[Seen]) -> list[list[Piece]]:
    found: list[list[Piece]] = []
    for one in answers:
        dead = None if one.status is None else one.status.dead_letters
        if dead is not None and dead.waiting:
            found.append([(escape(one.name), "bold"), (f": {dead.waiting} dead letters", "")])
            for each in dead.newest:
                found += dead_letter_story(each)
    return found


def _happened(shown: Shown, room: int) -> list[list[Piece]]:
    merged = sorted(
        (
            (float(one.get("time", 0)), seen_.name, one)
            for seen_ in shown.answers
            for one in shown.happenings.get(seen_.address, ())
        ),
        key=lambda one: one[0],
    )
    several = len(shown.answers) > 1
    return [_happening(*one, several=several) for one in merged[-room:]]


def _happening(moment: float, name: str, wire: dict[str, Any], *, several: bool) -> list[Piece]:
    what = str(wire.get("what", ""))
    kind = str(wire.get("type") or what) if what == "event" else what
    subject = escape(str(wire.get("path") or wire.get("text") or ""))
    detail = "  ".join(escape(str(wire[key])) for key in ("by", "detail") if wire.get(key))
    return [
        (time.strftime("%H:%M:%S ", time.localtime(moment)), "dim"),
        (f"{escape(name)}  " if several else "", "cyan"),
        (kind.ljust(12), _STYLES.get(what, "")),
        (f"  {subject}", "bold"),
        (f"  {detail}", "dim"),
    ]


def _lines(lines: Sequence[list[Piece]], room: int, nothing: str) -> RenderableType:
    if not lines:
        return Text(nothing, style="dim")
    return Group(*_texts(lines[:room]))


def _texts(lines: Sequence[list[Piece]]) -> list[Text]:
    found = []
    for line in lines:
        text = Text(no_wrap=True, overflow="ellipsis")
        for piece, style in safe(line):
            text.append(piece, style=style or None)
        found.append(text)
    return found
