"""``limpet follow`` as it is typed: options and their help."""

from __future__ import annotations

import os
from glob import has_magic
from typing import Any, Final

from limpet.cli._option_args import add_options, given_options
from limpet.cli._parser import Parser, add_choice, add_flags, whole_number
from limpet.errors import UsageError
from limpet.following import FollowOptions

FORMATS: Final = ("text", "jsonl")
OPTIONS: Final = (
    "state", "rotated", "linger", "encoding", "max_line", "backend", "poll_interval",
)  # fmt: skip
_LINES: Final = 10
"""Lines shown of a file that exists at the start, as ``tail`` has it."""


def parser(command: str) -> Parser:
    made = Parser(
        command,
        "FILE...",
        "files to follow, or globs",
        "Write the lines that are added to FILE, as tail -F does, and lose none when it is "
        "rotated, truncated or replaced.\n\nA FILE need not exist yet, and may be a glob (in "
        "quotes): files that match it later are followed too.",
    )
    add = made.add_argument_group("where to start").add_argument
    add(
        "-n",
        "--lines",
        metavar="N",
        type=whole_number(0),
        help=f"start N lines before the end of a file that exists ({_LINES})",
    )
    add_flags(add, {"--from-start": "start at the beginning of each file"})
    add_options(add, FollowOptions, ("state",))
    add = made.add_argument_group("what is followed").add_argument
    add_options(add, FollowOptions, ("rotated", "linger"))
    add_flags(add, {"--until-eof": "end once all lines that exist are written"})
    add = made.add_argument_group("output").add_argument
    add_options(add, FollowOptions, ("encoding", "max_line"))
    add_choice(add, "--format", FORMATS, "how lines are written", "text")
    add_flags(add, {"--stats": "at the end, print statistics on standard error"})
    add = made.add_argument_group("how it is watched").add_argument
    add_options(add, FollowOptions, ("backend", "poll_interval"))
    return made


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = parser(command).read(argv)
    if given.from_start and given.lines is not None:
        message = "--from-start and --lines are two places to start: give one of them"
        raise UsageError(message)
    start = "beginning" if given.from_start else "last"
    options: dict[str, Any] = {
        "last": _LINES if given.lines is None else given.lines,
        "commit": "manual",
        "start" if given.state is None else "fallback": start,
        **given_options(given, FollowOptions, OPTIONS),
    }
    if given.until_eof:
        options["until"] = "eof"
    first = given.words[0]
    from limpet.cli._run_follow import FollowPlan, run

    return run(
        FollowPlan(
            paths=tuple(given.words),
            options=options,
            format=given.format,
            prefix=len(given.words) > 1 or (has_magic(first) and not os.path.lexists(first)),
            stats=given.stats,
        )
    )
