"""``limpet watch`` as it is typed: options and their help, turned into a plan."""

from __future__ import annotations

from argparse import Namespace
from typing import Final, Literal

from limpet._option_fields import info_of
from limpet.cli._option_args import add_options, given_options
from limpet.cli._parser import Parser, at_least_one, one_of, parse
from limpet.cli._watch_plan import (
    BUSY,
    EXEC,
    FORMATS,
    Command,
    Plan,
    split_command,
    target_of,
    types_of,
)
from limpet.config import ContentOptions, WatchOptions
from limpet.errors import UsageError

__all__ = ["parser", "watch"]

MODES: Final[tuple[Literal["r", "rb"], ...]] = ("r", "rb")
REPORTED: Final = (
    "recursive", "existing", "metadata", "transient", "include", "exclude", "ignore_file",
    "default_ignores", "own",
)  # fmt: skip
CONTENT: Final = ("appended", "encoding", "errors", "max_bytes")
WATCHING: Final = (
    "state", "settle", "settle_max", "follow_symlinks", "backend", "filesystem_mark",
    "poll_interval", "rescan_interval",
)  # fmt: skip


def watch(argv: list[str]) -> int:
    """Carry out what the arguments say and give the exit code.

    Raises:
        UsageError: The call is wrong; nothing was started.
    """
    words, command = split_command(argv)
    plan = _plan(parse(parser(), words, "paths"), command)
    from limpet.cli._run_watch import run

    return run(plan)


def parser() -> Parser:
    """Give the parser of its arguments, except for what follows ``--exec``."""
    made = Parser(
        prog="limpet watch",
        usage="limpet watch PATH... [OPTIONS] [--exec CMD [ARG]...]",
        description="Write a line, or run a command, for everything that happens at PATH.\n\n"
        "A PATH need not be there yet: say with --file or --dir what it is to be. The first\n"
        "line is watch.ready, one for each PATH: what happens after it is seen.",
    )
    made.add_argument("paths", metavar="PATH", nargs="*", help="places to watch")
    made.add_argument(
        "--file", action="store_true", help="each PATH is a file, whatever stands there now"
    )
    made.add_argument(
        "--dir", action="store_true", help="each PATH is a folder, whatever stands there now"
    )
    _add_what_is_reported(made)
    content = made.add_argument_group("content").add_argument
    content("--content", metavar="|".join(MODES), help=info_of(ContentOptions, "mode")[2].help)
    add_options(content, ContentOptions, CONTENT)
    _add_output(made)
    _add_commands(made)
    watching = made.add_argument_group("how it is watched").add_argument
    add_options(watching, WatchOptions, WATCHING)
    return made


def _add_what_is_reported(made: Parser) -> None:
    add = made.add_argument_group("what is reported").add_argument
    add(
        "--only",
        metavar="TYPE,...",
        action="append",
        help="report only these, such as file.created,dir.deleted",
    )
    add_options(add, WatchOptions, REPORTED)


def _add_output(made: Parser) -> None:
    add = made.add_argument_group("output").add_argument
    add(
        "--format",
        metavar="|".join(FORMATS),
        help="how events are written (text; nothing with --exec)",
    )
    add("--count", metavar="N", type=at_least_one, help="end after N reported events")
    add("--stats", action="store_true", help="at the end, print each watch's figures")


def _add_commands(made: Parser) -> None:
    add = made.add_argument_group("commands").add_argument
    add(
        EXEC,
        metavar="CMD [ARG]...",
        help="run this for each event, the event's JSON on its standard input, LIMPET_PATH and "
        "LIMPET_EVENT_TYPE in its environment; takes all that follows: give it last",
    )
    add(
        "--jobs",
        metavar="N",
        type=at_least_one,
        default=1,
        help="commands that may run at once (1)",
    )
    add(
        "--busy",
        metavar="|".join(BUSY),
        default="queue",
        help="an event while all of them run: wait, leave it out, or end the command (queue)",
    )


def _plan(given: Namespace, command: tuple[str, ...] | None) -> Plan:
    """Put the plan together, and refuse what does not go together."""
    if not given.paths:
        message = "a PATH to watch is missing"
        raise UsageError(message)
    if command is None and (given.jobs != 1 or given.busy != "queue"):
        message = f"--jobs and --busy are about commands: they need {EXEC}"
        raise UsageError(message)
    options = WatchOptions(
        content=_content(given), **given_options(given, WatchOptions, (*REPORTED, *WATCHING))
    )
    chosen = given.format or (None if command is not None else "text")
    return Plan(
        targets=tuple(
            target_of(path, file=given.file, directory=given.dir) for path in given.paths
        ),
        options=options,
        format=None if chosen is None else one_of("--format", chosen, FORMATS),
        only=types_of(given.only or ()),
        count=given.count,
        stats=given.stats,
        command=None
        if command is None
        else Command(argv=command, jobs=given.jobs, busy=one_of("--busy", given.busy, BUSY)),
    )


def _content(given: Namespace) -> ContentOptions | None:
    bounds = given_options(given, ContentOptions, CONTENT)
    if given.content is not None:
        return ContentOptions(mode=one_of("--content", given.content, MODES), **bounds)
    if bounds:
        message = (
            "--appended, --encoding, --errors and --max-bytes are about content: they need "
            "--content"
        )
        raise UsageError(message)
    return None
