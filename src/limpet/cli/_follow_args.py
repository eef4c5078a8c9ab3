"""``limpet follow`` as it is typed: options and their help, turned into a plan."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from limpet.cli._follow_plan import FollowPlan
from limpet.cli._parser import Parser, parse
from limpet.errors import UsageError

__all__ = ["follow", "parser"]

FORMATS: Final = ("text", "jsonl")
_LINES: Final = 10
"""Lines shown of a file that is there at the start, as ``tail`` has it."""


def follow(argv: list[str]) -> int:
    """Carry out what the arguments say and give the exit code.

    Raises:
        UsageError: The call is wrong; nothing was started.
    """
    plan = _plan(parse(parser(), argv, "paths"))
    from limpet.cli._run_follow import run

    return run(plan)


def parser() -> Parser:
    """Give the parser of its arguments."""
    made = Parser(
        prog="limpet follow",
        usage="limpet follow FILE... [OPTIONS]",
        description="Write the lines that are added to FILE, as tail -F does, and lose none when\n"
        "it is rotated, emptied or replaced. A FILE need not be there yet, and may be a\n"
        "glob (in quotes): files that come to match it are followed too.",
    )
    made.add_argument("paths", metavar="FILE", nargs="*", help="files to follow, or globs")
    add = made.add_argument_group("where to begin").add_argument
    add(
        "-n",
        "--lines",
        metavar="N",
        type=_count,
        help=f"begin N lines before the end of a file that is there ({_LINES})",
    )
    add("--from-start", action="store_true", help="begin at the beginning of each file")
    add(
        "--state",
        metavar="FILE",
        type=Path,
        help="remember here what was written, and next time go on from there",
    )
    add = made.add_argument_group("what is followed").add_argument
    add(
        "--rotated",
        metavar="GLOB",
        help="names the file gets when it is put aside, such as 'app.log.*'; finds what was put "
        "aside unseen, or while nothing ran",
    )
    add(
        "--linger",
        metavar="SECONDS",
        type=float,
        help="close a file that was put aside once it was quiet for so long (5)",
    )
    add("--until-eof", action="store_true", help="end once all that is there is written")
    add = made.add_argument_group("lines").add_argument
    add("--encoding", metavar="NAME", help="encoding of the files (utf-8)")
    add(
        "--max-line",
        metavar="BYTES",
        type=int,
        help="cut lines that are longer (1048576)",
    )
    add = made.add_argument_group("output").add_argument
    add(
        "--format",
        metavar="|".join(FORMATS),
        default="text",
        help="how lines are written (text)",
    )
    add("--stats", action="store_true", help="at the end, print the figures")
    add = made.add_argument_group("how it is watched").add_argument
    add("--backend", metavar="NAME", default="auto", help="as of limpet watch (auto)")
    add(
        "--poll-interval",
        metavar="SECONDS",
        type=float,
        help="time between two looks where the system gives no hints (0.25)",
    )
    return made


def _count(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        message = f"must be a whole number from 0, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return int(word)


def _plan(given: argparse.Namespace) -> FollowPlan:
    """Put the plan together, and refuse what does not go together."""
    if not given.paths:
        message = "a FILE to follow is missing"
        raise UsageError(message)
    if given.from_start and given.lines is not None:
        message = "--from-start and --lines are two places to begin: give one of them"
        raise UsageError(message)
    if given.format not in FORMATS:
        message = f"--format must be one of {', '.join(FORMATS)}, not {given.format!r}"
        raise UsageError(message)
    begin = "beginning" if given.from_start else "last"
    options: dict[str, Any] = {
        "last": _LINES if given.lines is None else given.lines,
        "commit": "manual",
        "backend": given.backend,
    }
    if given.state is None:
        options["start"] = begin
    else:
        options |= {"state": given.state, "fallback": begin}
    if given.until_eof:
        options["until"] = "eof"
    for name in ("rotated", "linger", "encoding", "max_line", "poll_interval"):
        value = getattr(given, name)
        if value is not None:
            options[name] = value
    several = len(given.paths) > 1 or _is_glob(given.paths[0])
    return FollowPlan(
        paths=tuple(given.paths),
        options=options,
        format=given.format,
        prefix=several,
        stats=given.stats,
    )


def _is_glob(path: str) -> bool:
    import os
    from glob import has_magic

    return has_magic(path) and not os.path.lexists(path)
