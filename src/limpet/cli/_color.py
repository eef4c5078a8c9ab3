"""Colours of text: which stream gets them, and their codes, which rich (the extra cli) has.

Only the eight colours of ECMA-48 are used, and none for plain text or the background: a terminal
shows them as its user likes, on dark and on light.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Final, Literal, TypeAlias

Color = Literal["auto", "always", "never"]
COLORS: Final[tuple[Color, ...]] = ("auto", "always", "never")
FLAG: Final = "--color"

Piece: TypeAlias = tuple[str, str]
"""A part of a line, and its style; the style may be empty."""

Paint: TypeAlias = Callable[[Iterable[Piece]], str]
"""Returns the text of pieces, with codes or without."""

Rules: TypeAlias = Mapping[str, str]
"""Regular expression -> the style of what matches; the first that matches at a place counts."""

choice: Final[ContextVar[Color]] = ContextVar("color", default="auto")
"""What ``--color`` says, for the command that runs."""

ERROR_RULES: Final[Rules] = {r"^limpet( \w+)?:": "bold red", r"(?<=^Try ')[^']+": "bold"}

NOTE_RULES: Final[Rules] = {r"^limpet:": "dim", r"(?<=^limpet: )[a-z]+\.[a-z]+\b": "bold"}

HELP_RULES: Final[Rules] = {
    r"^usage:|^\S[^\n]*:$": "bold",
    r"(?<=^  )-[^\n]*?(?=  |$)": "cyan",
    r"(?<=^  )[a-z]+(?=  )": "cyan",
}

PROBLEM_RULES: Final[Rules] = {
    r"^\S[^\n]*?:\d+:\d+:": "bold",
    r"(?<=\d: )error(?=:)": "bold red",
    r"(?<=\d: )warning(?=:)": "bold yellow",
    r"(?<=: )fine\b": "green",
}

REPORT_RULES: Final[Rules] = {
    r"^problem \([\w-]+\):": "bold red",
    r"^no problem found$": "green",
    r"(?<=^    )\S[^\n]*": "cyan",
    r"^[a-z]+( [a-z]+)?(?=  )": "bold",
}

_AFTER_TIME: Final = r"(?:(?<=\.\d{3}Z )|(?<=,\d{3} ))"

LOG_RULES: Final[Rules] = {
    r"^\d{4}-\d\d-\d\d[T ][\d:.,]+Z?": "dim",
    rf"{_AFTER_TIME}DEBUG\b": "dim",
    rf"{_AFTER_TIME}INFO\b": "green",
    rf"{_AFTER_TIME}WARNING\b": "bold yellow",
    rf"{_AFTER_TIME}(ERROR|CRITICAL)\b": "bold red",
}
"""Of the logs of ``limpet run`` and ``limpet agent``."""


_COMMAND: Final = re.compile(r"--|--exec(=.*)?|-[bcqrz]*x", re.DOTALL)
"""What comes after one of these is no option of limpet."""


def choice_in(argv: Sequence[str]) -> Color:
    """Return what ``--color`` says in these arguments, before they are parsed.

    A wrong value is what it is by itself: the parser reports it.
    """
    found = "auto"
    for at, word in enumerate(argv):
        if _COMMAND.fullmatch(word):
            break
        if word == FLAG:
            found = argv[at + 1] if at + 1 < len(argv) else found
        elif word.startswith(FLAG + "="):
            found = word.removeprefix(FLAG + "=")
    return next((one for one in COLORS if one == found), "auto")


def wants_color(stream: object, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether text for this stream gets colours.

    ``--color`` decides, else NO_COLOR (no-color.org), else FORCE_COLOR (force-color.org), either of
    them by any value but an empty one; else whether it is a terminal that knows codes.
    """
    asked = choice.get()
    if asked != "auto":
        return asked == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and environment.get("TERM") != "dumb"


def has_rich() -> bool:
    """Return whether rich is installed; without it all text is plain."""
    try:
        import rich.style  # noqa: F401 - only whether it is there
    except ImportError:
        return False
    return True


def is_terminal(stream: object) -> bool:
    """Return whether a stream is a terminal; none, and a closed one, is not."""
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False


def painter(stream: object) -> Paint:
    """Return what makes text of pieces: with codes if the stream gets colours and rich is there."""
    if not wants_color(stream):
        return _plain
    try:
        from rich.color import ColorSystem
        from rich.console import detect_legacy_windows
        from rich.style import Style
    except ImportError:
        return _plain
    system = ColorSystem.STANDARD
    if detect_legacy_windows() and is_terminal(stream):
        return _plain  # a console that shows codes as they are

    def paint(pieces: Iterable[Piece]) -> str:
        return "".join(
            Style.parse(style).render(text, color_system=system) if style and text else text
            for text, style in pieces
        )

    return paint


def painted(stream: object, text: str, rules: Rules) -> str:
    """Return text, which may have several lines, in the colours of the rules."""
    paint = painter(stream)
    return text if paint is _plain else by_rules(paint, rules)(text)


def by_rules(paint: Paint, rules: Rules) -> Callable[[str], str]:
    """Return what paints all that a rule matches."""
    styles = tuple(rules.values())
    pattern = re.compile("|".join(f"(?P<r{n}>{one})" for n, one in enumerate(rules)), re.MULTILINE)

    def style(found: re.Match[str]) -> str:
        number = next(n for n in range(len(styles)) if found[f"r{n}"] is not None)
        return paint([(found[0], styles[number])])

    return lambda text: pattern.sub(style, text)


def _plain(pieces: Iterable[Piece]) -> str:
    return "".join(text for text, _ in pieces)
