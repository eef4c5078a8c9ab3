"""The command lines of ``limpet run``, ``check``, ``new`` and ``replay``."""

from __future__ import annotations

import json
import logging
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet._printable import escape
from limpet._suggest import near
from limpet.cli._color import PROBLEM_RULES, is_terminal, painted
from limpet.cli._complaint import complain
from limpet.cli._listen_option import LISTEN
from limpet.cli._log_args import add_log_options, logging_of
from limpet.cli._parser import Parser, add_flags, seconds, whole_number
from limpet.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from limpet.bot.config import CheckedBot
    from limpet.bot.runner import RunOptions


_SCHEMAS: Final = ("bot", "agent", "fleet", "event", "status")
"""Kinds of files whose JSON Schema is in the package."""

USES: Final = {
    "run": ("BOT.yaml", "YAML file of the bot", "Run a bot until it is stopped."),
    "check": (
        "[BOT.yaml...]",
        "YAML files of bots",
        "Report all problems of bots' files, and run nothing.",
    ),
    "new": (
        "KIND [FILE]",
        "kind of bot, and path of the new file",
        "Write a commented starter file: audit, archive, follow or inbox.",
    ),
    "replay": (
        "BOT.yaml [ID...]",
        "YAML file of the bot, and ids of dead letters",
        "Process dead letters again: all, or those with these ids.",
    ),
}
"""Command -> its arguments, their help, and its description."""


_FLAGS: Final = {
    "run": {"--until-done": "end once every input has ended"},
    "check": {
        "--json": "report each problem as a line of JSON",
        "--schema": "print the JSON Schema of bots' files (of: agent, fleet, event, status) and "
        "exit",
    },
    "new": {"--force": "replace an existing file"},
    "replay": {
        "--list": "only list the dead letters",
        "--drop": "drop the dead letters with these ids, and process none",
    },
}


def parser(command: str) -> Parser:
    """Return the parser of a command's arguments."""
    made = Parser(command, *USES[command])
    add = made.add_argument
    if command in {"run", "replay"}:
        add_run_options(made)
    add_flags(add, _FLAGS[command])
    if command == "run":
        add("--listen", metavar="ADDRESS", help=LISTEN)
    return made


def add_run_options(made: Parser) -> None:
    add = made.add_argument
    add_flags(add, {"--dry-run": "report what would be done, and do none of it"})
    add("--state-dir", metavar="DIR", help="folder of the journal and the dead letters")
    count = whole_number(1)
    for flag, unit, reader, default, text in (
        ("--drain", "S", seconds(), 8.0, "maximum seconds that a stop may take (8)"),
        ("--attempts", "N", count, 3, "attempts for each step (3)"),
        ("--backoff", "S", seconds(), 0.5, "seconds before the second try (0.5)"),
        ("--queue", "N", count, 1000, "most events that may wait (1000)"),
    ):
        add(flag, metavar=unit, type=reader, default=default, help=text)
    add(
        "--loop-limit",
        metavar="N",
        type=count,
        help="most events about one path that a behaviour acts on in a minute; then it pauses",
    )
    add_log_options(add)


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = parser(command).read(argv)
    if command == "check" and given.schema:
        return _print_schema(given.words)
    need_bots()
    return {"run": _run, "check": _check, "new": _new, "replay": _replay}[command](given)


def need_bots() -> None:
    """Make bots, and their own components, importable.

    Raises:
        UsageError: A package is missing.
    """
    try:
        import limpet.bot  # noqa: F401 - reports a missing package
    except MissingExtraError as error:
        raise UsageError(str(error), code=error.code) from error
    sys.path.insert(0, "")  # for a bot's own components, as with python -m


def _run(given: Namespace) -> int:
    from limpet.bot.program import serve

    options = replace(
        run_options(given, given.words[0]), until_done=given.until_done, listen=given.listen
    )
    with logging_of(given):
        return unless_refused(lambda: serve(given.words[0], options, on_event=_shown_events(given)))


def _shown_events(given: Namespace) -> Callable[[object], None] | None:
    """Return what shows the events that a bot takes on a terminal; ``None`` elsewhere."""
    if given.log_format != "text" or not is_terminal(sys.stderr):
        return None
    from limpet.bot.program import FileSystemInputEvent
    from limpet.cli._terminal_log import EVENT

    log = logging.getLogger("limpet.bot.events")

    def show(event: object) -> None:
        # Without arguments: it is data, of which none is left out.
        path = getattr(event, "path", "")
        found = event.event if isinstance(event, FileSystemInputEvent) else None
        log.info(f"{type(event).__name__} {path}".rstrip(), extra={EVENT: found})

    return show


def unless_refused(run: Callable[[], int]) -> int:
    """Return the exit code of a run, or 1 with a line if the system refuses what it needs."""
    try:
        return run()
    except OSError as error:
        what = "run" if error.filename is None else f"use {error.filename}"
        complain(f"limpet: cannot {what}: {error.strerror or error}")
        return 1


def run_options(given: Namespace, file: str) -> RunOptions:
    from limpet.bot.program import default_state_dir
    from limpet.bot.runner import RunOptions

    return RunOptions(
        state_dir=Path(given.state_dir) if given.state_dir else default_state_dir(file),
        drain=given.drain,
        attempts=given.attempts,
        backoff=given.backoff,
        queue=given.queue,
        loop_limit=given.loop_limit,
        dry_run=given.dry_run,
    )


def _check(given: Namespace) -> int:
    if not given.words:
        message = "expected BOT.yaml, or --schema"
        raise UsageError(message)
    from limpet.bot.config import check_all

    bots = check_all(given.words)
    problems = [problem for bot in bots for problem in bot.problems]
    for problem in problems:
        if given.json:
            print(json.dumps(asdict(problem)))
        else:
            complain(str(problem), PROBLEM_RULES)
    if any(bot.components is None for bot in bots):
        return 2
    if not given.json:
        print(painted(sys.stdout, _fine(bots, len(problems)), PROBLEM_RULES))
    return 0


def _print_schema(words: list[str]) -> int:
    """Print the JSON Schema of a kind of file, which the package has: no extra is needed."""
    kind = words[0] if words else "bot"
    if kind not in _SCHEMAS or len(words) > 1:
        given, guess = " ".join(words), near(kind, _SCHEMAS)
        message = f"--schema takes one of {', '.join(_SCHEMAS)}, not {given!r}{guess}"
        raise UsageError(message)
    from importlib import resources

    package = resources.files("limpet")
    print(package.joinpath(f"{kind}.schema.json").read_text(encoding="utf-8"), end="")
    return 0


def _fine(bots: list[CheckedBot], warnings: int) -> str:
    """Return what was checked, in numbers."""
    counts = (
        (len(bots), "bot"),
        (sum(bot.inputs for bot in bots), "input"),
        (sum(len(bot.components.behaviours) for bot in bots if bot.components), "behaviour"),
    )
    text = ", ".join(f"{count} {word}{'s' * (count != 1)}" for count, word in counts)
    more = f", {warnings} warning{'s' * (warnings != 1)}" if warnings else ""
    return f"{text}: fine{more}"


def _new(given: Namespace) -> int:
    from limpet.bot.program import STARTERS, starter

    kind = given.words[0]
    if kind not in STARTERS:
        message = f"KIND must be one of {', '.join(STARTERS)}, not {kind!r}"
        raise UsageError(message)
    file = Path(given.words[1] if len(given.words) > 1 else f"{kind}.yaml")
    try:
        with file.open("w" if given.force else "x", encoding="utf-8") as out:
            out.write(starter(kind, escape(str(file))))
    except FileExistsError as error:
        message = f"{file} exists; choose another file, or use --force"
        raise UsageError(message) from error
    except OSError as error:
        complain(f"limpet: cannot write {file}: {error.strerror or error}")
        return 1
    print(file)
    return 0


def _replay(given: Namespace) -> int:
    from limpet.cli import _dead_letters

    file, *idents = given.words
    options = run_options(given, given.words[0])
    if given.list:
        _dead_letters.check_file(file)
        return unless_refused(lambda: _dead_letters.show_list(options))
    if given.drop:
        if not idents:
            message = "expected the ids of the dead letters to drop: see --list"
            raise UsageError(message)
        return unless_refused(lambda: _dead_letters.discard(options, idents, "dropped"))
    with logging_of(given):
        return unless_refused(lambda: _dead_letters.retry(file, options, idents))
