"""``limpet watch`` as it is typed: options and their help, turned into a plan."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import fields
from typing import Final

from limpet._option_fields import info_of, words_of
from limpet.cli._listen_option import LISTEN
from limpet.cli._log_args import add_log_format
from limpet.cli._option_args import add_options, given_options
from limpet.cli._parser import Parser, add_choice, add_flags, seconds, whole_number
from limpet.cli._watch_plan import (
    BURST_S,
    BUSY,
    EXEC,
    EXEC_SHORT,
    FORMATS,
    Command,
    Plan,
    globs_of,
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
    add(
        "-e",
        "--ext",
        metavar="EXT,...",
        action="append",
        help="only files with these endings, such as py,js: short for --include; may be repeated",
    )
    add_options(add, WatchOptions, REPORTED)
    add = made.add_argument_group("content").add_argument
    mode, _, info = info_of(ContentOptions, "mode")
    add_choice(add, "--content", words_of(mode), info.help)
    add_options(add, ContentOptions, CONTENT)
    add = made.add_argument_group("output").add_argument
    add_choice(add, "--format", FORMATS, "how events are written (text; with --exec not at all)")
    add_flags(
        add,
        {
            "--absolute": "show absolute paths in text, also of a PATH that is relative",
            "-q, --quiet": "no ready line in text, no progress, and nothing about commands that "
            "failed",
        },
    )
    add("--count", metavar="N", type=whole_number(1), help="end after N reported events")
    add(
        "-t",
        "--timeout",
        metavar="SECONDS",
        type=seconds(zero=False),
        help="end, with exit code 124, once nothing was reported for this long",
    )
    add_flags(add, {"--stats": "at the end, print the statistics of each watch on standard error"})
    add("--listen", metavar="ADDRESS", help=LISTEN)
    add_log_format(add)
    add = made.add_argument_group("commands").add_argument
    add(
        EXEC_SHORT,
        EXEC,
        metavar="CMD [ARG]...",
        help="run this for each event, with the event's JSON on its standard input, and "
        "LIMPET_PATH and LIMPET_EVENT_TYPE in its environment; {} in it is the path, {/} its name, "
        "{//} its folder, {.} and {/.} are without the ending; takes all arguments that follow",
    )
    add_flags(
        add,
        {
            "-b, --batch": "run it once for each burst of events, with the paths on its standard "
            "input, one a line, and in place of {}",
            "--on-start": "run it once at the start, before any event",
            "-r, --restart": "end the command that runs, and run it again: --busy restart",
            "-c, --clear": "clear the screen before each run, if it is a terminal",
        },
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
    add(
        "--burst",
        metavar="SECONDS",
        type=seconds(),
        default=BURST_S,
        help=f"of --batch: a burst ends once nothing was reported for this long ({BURST_S:g})",
    )
    add_flags(add, {"-z, --null": "of --batch: end each path on standard input with a NUL"})
    add_options(made.add_argument_group("how it is watched").add_argument, WatchOptions, WATCHING)
    return made


def _plan(given: Namespace, program: tuple[str, ...] | None) -> Plan:
    """Put the plan together, and refuse what does not go together."""
    if given.exec is not None:
        message = f"{EXEC_SHORT} stands alone, and the command comes after it: {EXEC_SHORT} CMD"
        raise UsageError(message)
    options = given_options(given, WatchOptions, (*REPORTED, *WATCHING))
    if given.ext:
        options["include"] = (*options.get("include", ()), *globs_of(given.ext))
    return Plan(
        targets=tuple(
            target_of(path, file=given.file, directory=given.dir) for path in given.words
        ),
        options=WatchOptions(content=_content(given), **options),
        format=given.format or (None if program is not None else "text"),
        only=types_of(given.only or ()),
        count=given.count,
        stats=given.stats,
        absolute=given.absolute,
        quiet=given.quiet,
        only_files=bool(given.ext),
        timeout=given.timeout,
        command=_command(given, program),
        listen=given.listen,
        log_format=given.log_format,
    )


def _command(given: Namespace, program: tuple[str, ...] | None) -> Command | None:
    """Return what to run; without a program nothing, and none of the options about it."""
    busy = given.busy
    if given.restart:
        if busy == "skip":
            message = "--restart is --busy restart, and --busy skip was given too: give one of them"
            raise UsageError(message)
        busy = "restart"
    ways = {
        "jobs": given.jobs,
        "busy": busy,
        **{name: getattr(given, name) for name in ("batch", "burst", "null", "on_start", "clear")},
    }
    if program is not None:
        return Command(argv=program, **ways)
    without = {field.name: field.default for field in fields(Command)}
    if any(ways[name] != without[name] for name in ways):
        message = (
            "--jobs, --busy, --batch, --burst, --null, --on-start, --restart and --clear are about "
            f"commands: they need {EXEC}"
        )
        raise UsageError(message)
    return None


def _content(given: Namespace) -> ContentOptions | None:
    bounds = given_options(given, ContentOptions, CONTENT)
    if given.content is not None:
        return ContentOptions(mode=given.content, **bounds)
    if bounds:
        message = "--appended, --encoding, --errors and --max-bytes need --content"
        raise UsageError(message)
    return None
