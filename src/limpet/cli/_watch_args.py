"""``limpet watch`` as it is typed: options and their help, turned into a plan."""

from __future__ import annotations

from argparse import Namespace
from typing import Final

from limpet._option_fields import info_of, words_of
from limpet.cli._option_args import add_options, given_options
from limpet.cli._parser import Parser, add_choice, add_flags, whole_number
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

REPORTED: Final = (
    "recursive", "existing", "metadata", "transient", "include", "exclude", "ignore_file",
    "default_ignores", "own", "who",
)  # fmt: skip
CONTENT: Final = ("appended", "encoding", "errors", "max_bytes")
WATCHING: Final = (
    "must_exist", "state", "settle", "settle_max", "settle_until", "settle_dir", "follow_symlinks",
    "backend", "filesystem_mark",
    "gather", "poll_interval", "rescan_interval",
)  # fmt: skip


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    words, program = split_command(argv)
    plan = _plan(parser(command).read(words), program)
    from limpet.cli._run_watch import run

    return run(plan)


def parser(command: str) -> Parser:
    """Return the parser of its arguments, except for what follows ``--exec``."""
    made = Parser(
        command,
        "PATH...",
        "files and folders to watch",
        "Write a line, or run a command, for every change at PATH.\n\nA PATH need not exist yet: "
        "--file or --dir then declares what it will be. The first line of each PATH is "
        "watch.ready: every change after it is reported.",
        usage=f"limpet {command} PATH... [OPTIONS] [--exec CMD [ARG]...]",
    )
    add_flags(
        made.add_argument,
        {
            "--file": "each PATH is a file, whatever is there now",
            "--dir": "each PATH is a folder, whatever is there now",
        },
    )
    add = made.add_argument_group("what is reported").add_argument
    add(
        "--only",
        metavar="TYPE,...",
        action="append",
        help="report only these types, such as file.created,dir.deleted; may be repeated",
    )
    add_options(add, WatchOptions, REPORTED)
    add = made.add_argument_group("content").add_argument
    mode, _, info = info_of(ContentOptions, "mode")
    add_choice(add, "--content", words_of(mode), info.help)
    add_options(add, ContentOptions, CONTENT)
    add = made.add_argument_group("output").add_argument
    add_choice(add, "--format", FORMATS, "how events are written (text; with --exec not at all)")
    add_flags(add, {"--absolute": "show absolute paths in text, also of a PATH that is relative"})
    add(
        "-q",
        "--quiet",
        action="store_true",
        help="no ready line in text, no progress, and nothing about commands that failed",
    )
    add("--count", metavar="N", type=whole_number(1), help="end after N reported events")
    add_flags(add, {"--stats": "at the end, print the statistics of each watch on standard error"})
    add = made.add_argument_group("commands").add_argument
    add(
        EXEC,
        metavar="CMD [ARG]...",
        help="run this for each event, with the event's JSON on its standard input, and "
        "LIMPET_PATH and LIMPET_EVENT_TYPE in its environment; takes all arguments that follow",
    )
    add(
        "--jobs",
        metavar="N",
        type=whole_number(1),
        default=1,
        help="commands that may run at once (1)",
    )
    add_choice(
        add,
        "--busy",
        BUSY,
        "while all of them run, an event waits, is left out, or ends the command",
        "queue",
    )
    add_options(made.add_argument_group("how it is watched").add_argument, WatchOptions, WATCHING)
    return made


def _plan(given: Namespace, program: tuple[str, ...] | None) -> Plan:
    """Put the plan together, and refuse what does not go together."""
    if program is None and (given.jobs != 1 or given.busy != "queue"):
        message = f"--jobs and --busy are about commands: they need {EXEC}"
        raise UsageError(message)
    return Plan(
        targets=tuple(
            target_of(path, file=given.file, directory=given.dir) for path in given.words
        ),
        options=WatchOptions(
            content=_content(given), **given_options(given, WatchOptions, (*REPORTED, *WATCHING))
        ),
        format=given.format or (None if program is not None else "text"),
        only=types_of(given.only or ()),
        count=given.count,
        stats=given.stats,
        absolute=given.absolute,
        quiet=given.quiet,
        command=None
        if program is None
        else Command(argv=program, jobs=given.jobs, busy=given.busy),
    )


def _content(given: Namespace) -> ContentOptions | None:
    bounds = given_options(given, ContentOptions, CONTENT)
    if given.content is not None:
        return ContentOptions(mode=given.content, **bounds)
    if bounds:
        message = "--appended, --encoding, --errors and --max-bytes need --content"
        raise UsageError(message)
    return None
