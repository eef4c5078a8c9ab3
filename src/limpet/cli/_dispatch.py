"""The command line as it is typed: parsed, run, and what is wrong with it said in one line."""

from __future__ import annotations

import sys
from typing import Final

from limpet import __version__
from limpet.cli._parser import Parser
from limpet.errors import LimpetError, UsageError

__all__ = ["COMMANDS", "dispatch", "overview"]

USAGE: Final = 2
"""Exit code for a wrong call: what the shell's own tools and ``argparse`` use."""

COMMANDS: Final = {
    "watch": "Write a line, or run a command, for everything that happens at a place.",
    "follow": "Write the lines that are added to files, across rotation and restarts.",
    "doctor": "Say how a place would be watched, and what stands in the way.",
    "put": "Make a file below a folder hold what comes on standard input.",
    "append": "Add what comes on standard input to a file below a folder.",
    "rm": "Remove a file, or an empty folder, below a folder.",
    "mv": "Give what lies below a folder another name there.",
    "mkdir": "Make a folder below a folder.",
    "run": "Run a bot until it is told to end.",
    "check": "Say everything that is wrong with bots' files.",
    "new": "Write a commented starter file for a bot.",
    "replay": "Do a bot's dead letters again.",
    "agent": "Watch and write for bots of other hosts, over a hub.",
    "hub": "Set up a hub for agents and bots.",
}


def dispatch(argv: list[str]) -> int:
    """Parse, run and give the exit code; what is wrong with the call is one line on stderr."""
    try:
        return _run(argv)
    except SystemExit as end:  # help or the version was asked for, and is printed
        return end.code if isinstance(end.code, int) else 0
    except UsageError as error:
        print(f"limpet: {error}", file=sys.stderr)
        print(f"Try '{' '.join(['limpet', *_command(argv), '--help'])}'.", file=sys.stderr)
        return USAGE
    except LimpetError as error:
        print(f"limpet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _command(argv: list[str]) -> list[str]:
    return argv[:1] if argv and argv[0] in COMMANDS else []


def _run(argv: list[str]) -> int:
    """Load and run the command that is asked for, and it alone: what the others need takes time."""
    match argv[:1]:
        case ["watch"]:
            from limpet.cli._watch_args import watch

            return watch(argv[1:])
        case ["follow"]:
            from limpet.cli._follow_args import follow

            return follow(argv[1:])
        case ["doctor"]:
            from limpet.cli._doctor_args import doctor

            return doctor(argv[1:])
        case ["put" | "append" | "rm" | "mv" | "mkdir" as command]:
            from limpet.cli._write_args import write

            return write(command, argv[1:])
        case ["run" | "check" | "new" | "replay" as command]:
            from limpet.cli._bot_args import bot

            return bot(command, argv[1:])
        case ["agent"]:
            from limpet.cli._agent_args import agent

            return agent(argv[1:])
        case ["hub"]:
            from limpet.cli._hub_args import hub

            return hub(argv[1:])
        case []:
            overview().print_help()
            return USAGE
        case _:
            overview().parse_args(argv[:1])
            message = f"there is no command {argv[0]!r}; known are {', '.join(COMMANDS)}"
            raise UsageError(message)


def overview() -> Parser:
    """Give the parser of what comes before the command."""
    width = max(map(len, COMMANDS))
    parser = Parser(
        prog="limpet",
        usage="limpet [-h] [--version] COMMAND ...",
        description="Say what happens at places on disk, and write to them safely.",
        epilog="\n".join(
            [
                "commands:",
                *(f"  {name:{width}}  {does}" for name, does in COMMANDS.items()),
                "",
                "'limpet COMMAND --help' tells more of each.",
            ]
        ),
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"limpet {__version__}",
        help="print the version and exit",
    )
    parser.add_argument("command", nargs="?", help="one of those below")
    return parser
