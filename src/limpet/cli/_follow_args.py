"""``limpet follow`` as it is typed: options and their help."""

from __future__ import annotations

import os
from glob import has_magic
from typing import Any, Final

from limpet.cli._listen_option import LISTEN
from limpet.cli._log_args import add_log_format
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
_OF_COURSE: Final = frozenset(("-f", "-F", "--follow", "--follow=name", "--retry"))
"""Options of ``tail`` for what this command always does."""
_INSTEAD: Final = {
    "-c": "it counts lines: give -n N",
    "-s": "changes are reported by the system: see --poll-interval for where they are not",
    "--sleep-interval": "see --poll-interval",
    "--pid": "end it by a signal, or with --until-eof",
    "-z": "lines end at a newline",
    "-v": "names are written if there are several files",
}
"""Options of ``tail`` -> what to do in their place."""


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
    add("-q", "--quiet", action="store_true", help="never write a file's name before its lines")
    add_choice(add, "--format", FORMATS, "how lines are written", "text")
    add_flags(add, {"--stats": "at the end, print statistics on standard error"})
    add("--listen", metavar="ADDRESS", help=LISTEN)
    add_log_format(add)
    add = made.add_argument_group("how it is watched").add_argument
    add_options(add, FollowOptions, ("backend", "poll_interval"))
    return made


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = parser(command).read(_as_typed_for_tail(argv))
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
            prefix=not given.quiet
            and (len(given.words) > 1 or (has_magic(first) and not os.path.lexists(first))),
            stats=given.stats,
            listen=given.listen,
            log_format=given.log_format,
        )
    )


def _as_typed_for_tail(argv: list[str]) -> list[str]:
    """Return the arguments without habits of ``tail`` that mean the same here.

    ``-f`` is what the command does.

    Raises:
        UsageError: An option of ``tail`` that is not one here, or ``-20``, which would be the name
            of a file; the message says what to do.
    """
    read: list[str] = []
    for at, word in enumerate(argv):
        if word == "--":
            return [*read, *argv[at:]]
        is_value = at > 0 and argv[at - 1].startswith("-") and argv[at - 1] not in _OF_COURSE
        if word[:1] == "-" and word[1:].isascii() and word[1:].isdigit() and not is_value:
            message = f"{word} is no option of this command: give -n {word[1:]}, or ./{word}"
            raise UsageError(message)
        for option, instead in _INSTEAD.items():
            if word == option or word.startswith(f"{option}="):
                message = f"{option} is an option of tail and not of this command: {instead}"
                raise UsageError(message)
        if word not in _OF_COURSE:
            read.append(word)
    return read
