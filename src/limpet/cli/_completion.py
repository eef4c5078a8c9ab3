"""``limpet completion``, and the one tree of all parsers that it is made of."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from limpet._require_extra import need
from limpet._suggest import near
from limpet.cli._command_list import COMMANDS, SHELLS, completion_parser, overview, parser_of
from limpet.errors import MissingExtraError, UsageError

_FILES: Final = frozenset(
    (
        "watch",
        "follow",
        "doctor",
        "explain",
        "inbox",
        "run",
        "check",
        "new",
        "replay",
        "agent",
        "hub",
    )
)
"""Commands whose arguments are paths. Those of the others are names below a root."""

_PATHS: Final = frozenset(("FILE", "DIR", "FOLDER"))
"""What values that are paths are called."""


def main(argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = completion_parser().read(argv)
    shell = given.words[0]
    if shell.lower() not in SHELLS:
        message = f"SHELL must be one of {', '.join(SHELLS)}, not {shell!r}{near(shell, SHELLS)}"
        raise UsageError(message)
    print(script(shell.lower()), end="")
    return 0


def script(shell: str) -> str:
    """Return the script for a shell.

    Raises:
        UsageError: shtab is not installed; the message says how to install it.
    """
    try:
        need("shtab", "limpet completion", extra="cli")
    except MissingExtraError as error:
        raise UsageError(str(error), code=error.code) from error
    import shtab

    def mark(action: argparse.Action, what: str) -> None:
        vars(action)["complete"] = {"file": shtab.FILE, "dir": shtab.DIRECTORY}[what]

    made = shtab.complete(tree(mark), shell=shell, root_prefix="limpet")
    return made if made.endswith("\n") else made + "\n"


def tree(mark: Callable[[argparse.Action, str], object] | None = None) -> argparse.ArgumentParser:
    """Return one parser with a subparser for each command: for completions and manual pages.

    Args:
        mark: Called with each argument that is a path, and ``file`` or ``dir``.
    """
    root = argparse.ArgumentParser(
        prog="limpet", description=overview().description, allow_abbrev=False
    )
    root.add_argument("-V", "--version", action="version", version="", help="print the version")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, does in COMMANDS.items():
        made = parser_of(name)
        for action in made._actions:  # noqa: SLF001 - argparse has no other way to them
            _describe(action, name, mark)
        commands.add_parser(
            name,
            parents=[made],
            add_help=False,
            help=does,
            description=made.description,
            formatter_class=made.formatter_class,
            allow_abbrev=False,
        )
    return root


def _describe(
    action: argparse.Action,
    command: str,
    mark: Callable[[argparse.Action, str], object] | None,
) -> None:
    """Add what a shell can offer for the value of an argument."""
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    words = getattr(action.type, "words", None)
    if words is not None:
        action.choices = list(words)
    elif not action.option_strings:
        offered = {"help": list(COMMANDS), "completion": list(SHELLS)}.get(command)
        if offered is not None:
            action.choices = offered
        elif command in _FILES and mark is not None:
            mark(action, "file")
    elif metavar in _PATHS and mark is not None:
        mark(action, "file" if metavar == "FILE" else "dir")
