"""``limpet explain`` as it is typed: why an event for a path would come, or would not."""

from __future__ import annotations

from limpet.cli._option_args import add_options, given_options
from limpet.cli._parser import Parser, add_choice
from limpet.cli._watch_args import REPORTED, WATCHING
from limpet.config import WatchOptions
from limpet.errors import UsageError

FORMATS = ("text", "json")
_WATCHING = tuple(name for name in WATCHING if name not in {"state", "must_exist"})


def parser(command: str) -> Parser:
    """Return the parser of its arguments."""
    made = Parser(
        command,
        "PATH",
        "what an event would be about; it need not exist",
        "Show why a watch of DIR would report changes at PATH, or would not.\n\nThe exit code is 0 "
        "if it would and 1 if not. A watch is started for it and ended again, with the options "
        "given.",
        usage=f"limpet {command} PATH [--watch DIR]... [OPTIONS]",
    )
    made.add_argument(
        "--watch",
        metavar="DIR",
        action="append",
        help="folder or file that is watched; may be repeated (the folder of PATH)",
    )
    add_choice(made.add_argument, "--format", FORMATS, "how it is written", "text")
    add_options(made.add_argument_group("what is reported").add_argument, WatchOptions, REPORTED)
    add_options(made.add_argument_group("how it is watched").add_argument, WatchOptions, _WATCHING)
    return made


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = parser(command).read(argv)
    if len(given.words) != 1:
        message = f"expected one PATH, got {len(given.words)} arguments"
        raise UsageError(message)
    options = given_options(given, WatchOptions, (*REPORTED, *_WATCHING))
    from limpet.cli._run_explain import run

    return run(given.words[0], given.watch or (), options, as_json=given.format == "json")
