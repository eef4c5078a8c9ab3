"""``limpet dead-letters`` as it is typed."""

from __future__ import annotations

from typing import Final

from limpet._suggest import near
from limpet.cli._bot_args import (
    add_run_options,
    need_bots,
    run_options,
    unless_refused,
)
from limpet.cli._log_args import logging_of
from limpet.cli._parser import Parser, add_flags
from limpet.errors import UsageError

_ACTIONS: Final = ("list", "show", "retry", "discard")


def parser(command: str) -> Parser:
    made = Parser(
        command,
        "list|show|retry|discard BOT.yaml [ID...]",
        "what to do, the YAML file of the bot, and ids of dead letters",
        "List dead letters, show their whole story, process them again, or discard them: those "
        "with these ids, or all; 'discard' wants ids.\n\nWhile the bot runs, 'retry' and 'discard' "
        "are done by the running bot.",
    )
    add_run_options(made)
    add_flags(made.add_argument, {"--json": "of list and show: a line of JSON for each"})
    return made


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = parser(command).read(argv)
    action, file, *idents = given.words
    if action not in _ACTIONS:
        guess = near(action, _ACTIONS)
        message = f"expected one of {', '.join(_ACTIONS)}, not {action!r}{guess}"
        raise UsageError(message)
    if given.json and action not in {"list", "show"}:
        message = f"--json is for list and show, not for {action}"
        raise UsageError(message)
    if action == "discard" and not idents:
        message = "expected the ids of the dead letters to discard: see 'limpet dead-letters list'"
        raise UsageError(message)
    need_bots()
    from limpet.cli import _dead_letters

    options = run_options(given, file)
    _dead_letters.check_file(file)
    match action:
        case "list":
            return unless_refused(
                lambda: _dead_letters.show_list(options, idents, as_json=given.json)
            )
        case "show":
            return unless_refused(lambda: _dead_letters.show(options, idents, as_json=given.json))
        case "discard":
            return unless_refused(lambda: _dead_letters.discard(options, idents, "discarded"))
        case _:
            with logging_of(given):
                return unless_refused(lambda: _dead_letters.retry(file, options, idents))
