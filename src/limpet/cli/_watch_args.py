"""``limpet watch`` as it is typed: options and their help, turned into a plan."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Final, get_args

from limpet.cli._parser import Parser, at_least_one, parse
from limpet.cli._watch_plan import (
    BACKENDS,
    BUSY,
    EXEC,
    FORMATS,
    Command,
    Plan,
    one_of,
    split_command,
    target_of,
    types_of,
)
from limpet.config import ContentOptions, OwnPolicy, WatchOptions
from limpet.errors import UsageError

__all__ = ["parser", "watch"]

OWN: Final[tuple[OwnPolicy, ...]] = get_args(OwnPolicy)
MODES: Final = ("r", "rb")


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
    _add_content(made)
    _add_output(made)
    _add_commands(made)
    _add_how_it_is_watched(made)
    return made


def _add_what_is_reported(made: Parser) -> None:
    add = made.add_argument_group("what is reported").add_argument
    add(
        "--only",
        metavar="TYPE,...",
        action="append",
        help="report only these, such as file.created,dir.deleted",
    )
    add("--no-recursive", action="store_true", help="only the folder's direct entries")
    add("--existing", action="store_true", help="first report what is already there")
    add("--metadata", action="store_true", help="report changes of mode and owner too")
    add(
        "--transient",
        action="store_true",
        help="report what came and went between two looks too",
    )
    add(
        "--include",
        metavar="GLOB",
        action="append",
        help="only files that match (gitignore syntax); may be repeated",
    )
    add(
        "--exclude",
        metavar="GLOB",
        action="append",
        help="leave out what matches, with all in it; may be repeated",
    )
    add(
        "--ignore-file",
        metavar="NAME",
        help="honour files of this name, such as .gitignore, wherever they lie",
    )
    add(
        "--no-default-ignores",
        action="store_true",
        help="report partial downloads, editor swap files and system droppings too",
    )
    add(
        "--own",
        metavar="|".join(OWN),
        default="drop",
        help="what to do with changes limpet itself made (drop)",
    )


def _add_content(made: Parser) -> None:
    add = made.add_argument_group("content").add_argument
    add(
        "--content",
        metavar="|".join(MODES),
        help="put a file's content into its events, as text or as bytes",
    )
    add(
        "--appended",
        action="store_true",
        help="only what was added since the file's last event",
    )
    add("--encoding", metavar="NAME", help="encoding of text content (utf-8)")
    add("--errors", metavar="HANDLER", help="what to do with what is not text (strict)")
    add(
        "--max-bytes",
        metavar="N",
        type=int,
        help="larger files come without content (1048576)",
    )


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


def _add_how_it_is_watched(made: Parser) -> None:
    add = made.add_argument_group("how it is watched").add_argument
    add(
        "--state",
        metavar="FILE",
        type=Path,
        help="remember here what was reported, and next time begin with what changed since",
    )
    add(
        "--settle",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="hold created and updated files until closed or quiet for so long (0)",
    )
    add(
        "--settle-max",
        metavar="SECONDS",
        type=float,
        help="never hold longer than this (10 x settle)",
    )
    add(
        "--follow-symlinks",
        action="store_true",
        help="follow symlinks to folders, each real folder once",
    )
    add("--backend", metavar="NAME", default="auto", help=f"{', '.join(BACKENDS)} (auto)")
    add(
        "--poll-interval",
        metavar="SECONDS",
        type=float,
        default=1.0,
        help="time between two looks where the system gives no hints (1)",
    )
    add(
        "--rescan-interval",
        metavar="SECONDS",
        type=float,
        help="look at everything again this often (never)",
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
        recursive=not given.no_recursive,
        existing=given.existing,
        state=given.state,
        settle=given.settle,
        settle_max=given.settle_max,
        metadata=given.metadata,
        transient=given.transient,
        follow_symlinks=given.follow_symlinks,
        own=one_of("--own", given.own, OWN),
        content=_content(given),
        include=tuple(given.include or ()),
        exclude=tuple(given.exclude or ()),
        ignore_file=given.ignore_file,
        default_ignores=not given.no_default_ignores,
        backend=one_of("--backend", given.backend, BACKENDS),
        poll_interval=given.poll_interval,
        rescan_interval=given.rescan_interval,
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
    """Put the content options together; what was not given is the library's default."""
    bounds = {
        "encoding": given.encoding,
        "errors": given.errors,
        "max_bytes": given.max_bytes,
    }
    bounds = {key: value for key, value in bounds.items() if value is not None}
    if given.content is None:
        if bounds or given.appended:
            message = (
                "--appended, --encoding, --errors and --max-bytes are about content: they need "
                "--content"
            )
            raise UsageError(message)
        return None
    return ContentOptions(
        mode=one_of("--content", given.content, MODES), appended=given.appended, **bounds
    )
