"""The commands there are, and the module of each."""

from __future__ import annotations

from typing import Final, Protocol

from limpet import __version__
from limpet.cli._parser import Parser

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
    "dead-letters": "List, show, retry or discard a bot's dead letters.",
    "status": "Show how what runs is, for people and scripts.",
    "top": "Show live what runs: what it does, what waits and what failed.",
    "agent": "Watch and write for bots of other hosts, over a hub.",
    "hub": "Set up a hub for agents and bots.",
    "completion": "Print what completes the command line in a shell.",
    "help": "Show the options of a command.",
}

SHELLS: Final = ("bash", "zsh", "fish", "powershell")
"""What `limpet completion` knows."""


class CommandModule(Protocol):
    """The module of a command: how it is typed, and what runs it."""

    def parser(self, command: str) -> Parser:
        """Return the parser of its arguments."""

    def main(self, command: str, argv: list[str]) -> int:
        """Run it and return the exit code."""


def module_of(command: str) -> CommandModule:
    """Return the module of a command, and load no other: what the others need takes time."""
    match command:
        case "watch":
            from limpet.cli import _watch_args

            return _watch_args
        case "follow":
            from limpet.cli import _follow_args

            return _follow_args
        case "doctor":
            from limpet.cli import _doctor_args

            return _doctor_args
        case "explain":
            from limpet.cli import _explain_args

            return _explain_args
        case "inbox":
            from limpet.cli import _inbox_args

            return _inbox_args
        case "put" | "append" | "rm" | "mv" | "mkdir":
            from limpet.cli import _write

            return _write
        case "run" | "check" | "new" | "replay":
            from limpet.cli import _bot_args

            return _bot_args
        case "dead-letters":
            from limpet.cli import _dead_letters_args

            return _dead_letters_args
        case "status" | "top":
            from limpet.cli import _status_args

            return _status_args
        case "agent":
            from limpet.cli import _agent_args

            return _agent_args
        case "hub":
            from limpet.cli import _hub_args

            return _hub_args
        case _:
            message = f"{command} has no module"
            raise LookupError(message)


def help_parser() -> Parser:
    """Return the parser of ``limpet help``."""
    return Parser("help", "[COMMAND]", "one of the commands", COMMANDS["help"])


def completion_parser() -> Parser:
    """Return the parser of ``limpet completion``."""
    return Parser(
        "completion",
        "SHELL",
        f"one of {', '.join(SHELLS)}",
        f"{COMMANDS['completion']} Write it into the file that the shell reads:\n\n"
        "bash: ~/.local/share/bash-completion/completions/limpet\n"
        "zsh: _limpet in a folder of $fpath\n"
        "fish: ~/.config/fish/completions/limpet.fish\n"
        "PowerShell: at the end of $PROFILE",
    )


def parser_of(command: str) -> Parser:
    """Return the parser of a command."""
    match command:
        case "help":
            return help_parser()
        case "completion":
            return completion_parser()
        case _:
            return module_of(command).parser(command)


def overview() -> Parser:
    """Return the parser of what comes before the command."""
    parser = Parser(
        "",
        "COMMAND",
        "one of the commands below",
        "Report changes of files, and write files safely.",
        usage="limpet [-h] [-V] COMMAND ...",
    )
    parser.add_argument(
        "-V",
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
