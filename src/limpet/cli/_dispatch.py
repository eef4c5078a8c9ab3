"""The command line: which module runs which command, and how an error ends it."""

from __future__ import annotations

import sys
from typing import Final

from limpet import __version__
from limpet.cli._parser import Parser
from limpet.cli._stdout import StdoutError, checked_streams
from limpet.errors import LimpetError, UsageError

USAGE: Final = 2
"""Exit code for a wrong call: what the shell's own tools and ``argparse`` use."""

COMMANDS: Final = {
    "watch": "Write a line, or run a command, for every change of files.",
    "follow": "Write the lines that are added to files, across rotation and restarts.",
    "doctor": "Show how a path would be watched, and what limits that.",
    "explain": "Show why changes at a path would be reported, or would not.",
    "inbox": "Run a command for each file that is put into a folder, then move it away.",
    "put": "Write standard input to a file below a root folder.",
    "append": "Append standard input to a file below a root folder.",
    "rm": "Remove a file or an empty folder below a root folder.",
    "mv": "Rename a file or folder below a root folder.",
    "mkdir": "Create a folder below a root folder.",
    "run": "Run a bot until it is stopped.",
    "check": "Report all problems of bots' files.",
    "new": "Write a commented starter file for a bot.",
    "replay": "Process a bot's dead letters again.",
    "agent": "Watch and write for bots of other hosts, over a hub.",
    "hub": "Set up a hub for agents and bots.",
}


_STREAMING: Final = (["watch"], ["follow"], ["inbox"], ["run"])
"""Commands that write on and on, and see to failures themselves."""
_HELP: Final = frozenset({"-h", "--help"})


def dispatch(argv: list[str]) -> int:
    """Parse and run a command and return the exit code; an error is one line on standard error.

    A reader of standard output that has gone is not an error, whatever the command.
    """
    try:
        prints = argv[:1] not in _STREAMING or not _HELP.isdisjoint(argv)
        with checked_streams(prints=prints):
            return _outcome(argv)
    except StdoutError as error:
        if error.is_closed_pipe:
            return 0
        print(f"limpet: {error}", file=sys.stderr)
        return 1


def _outcome(argv: list[str]) -> int:
    try:
        return _run(argv)
    except SystemExit as end:  # help or the version was asked for, and is printed
        return end.code if isinstance(end.code, int) else 0
    except UsageError as error:
        if getattr(error, "problems", ()):  # of a file, each with its place, as compilers do
            print(error, file=sys.stderr)
            return USAGE
        command = argv[:1] if argv and argv[0] in COMMANDS else []
        print(f"limpet: {_as_typed(str(error), argv)}", file=sys.stderr)
        print(f"Try '{' '.join(['limpet', *command, '--help'])}'.", file=sys.stderr)
        return USAGE
    except LimpetError as error:
        print(f"limpet: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename!r}: "
        print(f"limpet: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(argv: list[str]) -> int:
    """Run a command by its module, and load no other: what the others need takes time.

    Raises:
        UsageError: The call, or a file that it names, is wrong; nothing was started.
    """
    match argv[:1]:
        case ["watch"]:
            from limpet.cli._watch_args import main
        case ["follow"]:
            from limpet.cli._follow_args import main
        case ["inbox"]:
            from limpet.cli._inbox_args import main
        case ["doctor"]:
            from limpet.cli._doctor_args import main
        case ["explain"]:
            from limpet.cli._explain_args import main
        case ["put" | "append" | "rm" | "mv" | "mkdir"]:
            from limpet.cli._write import main
        case ["run" | "check" | "new" | "replay"]:
            from limpet.cli._bot_args import main
        case ["agent"]:
            from limpet.cli._agent_args import main
        case ["hub"]:
            from limpet.cli._hub_args import main
        case []:
            overview().print_help()
            return USAGE
        case _:
            overview().parse_args(argv[:1])
            from limpet._suggest import near  # only now: it takes longer than the rest

            hint = near(argv[0], COMMANDS) or f"; known are {', '.join(COMMANDS)}"
            message = f"there is no command {argv[0]!r}{hint}"
            raise UsageError(message)
    return main(argv[0], argv[1:])


def _as_typed(message: str, argv: list[str]) -> str:
    """Return a message of the library with the option as it was typed: ``--poll-interval``."""
    name, space, rest = message.partition(" ")
    flag = f"--{name.replace('_', '-')}"
    if any(word == flag or word.startswith(f"{flag}=") for word in argv):
        return f"{flag}:{space}{rest}"
    return message


def overview() -> Parser:
    """Return the parser of what comes before the command."""
    parser = Parser(
        "",
        "COMMAND",
        "one of the commands below",
        "Report changes of files, and write files safely.",
        usage="limpet [-h] [--version] COMMAND ...",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"limpet {__version__}",
        help="print the version and exit",
    )
    commands = parser.add_argument_group("commands")
    for name, does in COMMANDS.items():
        commands.add_argument(name, nargs="?", metavar=name, help=does)
    parser.epilog = "'limpet COMMAND --help' shows the options of a command."
    return parser
