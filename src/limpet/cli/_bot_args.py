"""The command lines of ``limpet run``, ``check``, ``new`` and ``replay``."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from limpet.cli._parser import Parser, at_least_one, one_of, parse
from limpet.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from limpet.bot.runner import RunOptions

__all__ = ["USES", "bot", "parser"]

LogFormat = Literal["text", "json"]

USES: Final = {
    "run": ("BOT.yaml", "Run a bot until it is stopped."),
    "check": ("BOT.yaml...", "Report all problems of bots' files, and run nothing."),
    "new": ("KIND [FILE]", "Write a commented starter file: audit, archive, follow or inbox."),
    "replay": ("BOT.yaml [ID...]", "Process dead letters again: all, or those with these ids."),
}
"""Command -> its arguments, and its description."""

_WORDS: Final = {
    "run": "path of the bot's YAML file",
    "check": "paths of bots' YAML files",
    "new": "kind of bot, and path of the new file",
    "replay": "path of the bot's YAML file, then ids of dead letters",
}
"""Command -> the help of its arguments."""

_FORMATS: Final[tuple[LogFormat, ...]] = ("text", "json")
_LEVELS: Final = ("debug", "info", "warning", "error")


def parser(command: str) -> Parser:
    """Return the parser of a command's arguments."""
    words, does = USES[command]
    made = Parser(
        prog=f"limpet {command}",
        usage=f"limpet {command} {words} [OPTIONS]",
        description=does,
    )
    made.add_argument("words", metavar=words.partition(" ")[0], nargs="*", help=_WORDS[command])
    add = made.add_argument
    if command in {"run", "replay"}:
        _add_run_options(made)
    if command == "run":
        add("--until-done", action="store_true", help="end once every input has ended")
        add("--listen", metavar="HOST:PORT", help="health and metrics, on loopback")
    if command == "replay":
        add("--list", action="store_true", help="only list the dead letters")
    if command == "check":
        add("--json", action="store_true", help="report each problem as a line of JSON")
        add("--schema", action="store_true", help="print the JSON Schema of the format and exit")
    if command == "new":
        add("--force", action="store_true", help="replace an existing file")
    return made


def _add_run_options(made: Parser) -> None:
    add = made.add_argument
    add("--dry-run", action="store_true", help="report what would be done, and do none of it")
    add("--state-dir", metavar="DIR", help="folder of the journal and the dead letters")
    add(
        "--drain",
        metavar="S",
        type=_seconds,
        default=8.0,
        help="most seconds a stop takes (8)",
    )
    add("--attempts", metavar="N", type=at_least_one, default=3, help="tries of a step (3)")
    add(
        "--backoff",
        metavar="S",
        type=_seconds,
        default=0.5,
        help="wait before the second (0.5)",
    )
    add("--queue", metavar="N", type=at_least_one, default=1000, help="bound of the queue (1000)")
    add("--log-format", metavar="|".join(_FORMATS), default="text", help="format of the log (text)")
    add(
        "--log-level",
        metavar="|".join(_LEVELS),
        default="info",
        help="least level logged (info)",
    )


def bot(command: str, argv: list[str]) -> int:
    """Run the command, and return the exit code.

    Raises:
        UsageError: The call, or the bot's file, is wrong; nothing was started.
    """
    given = parse(parser(command), argv, "words")
    least, most = {"run": (1, 1), "check": (1, None), "new": (1, 2), "replay": (1, None)}[command]
    if command == "check" and given.schema:
        least = 0
    if len(given.words) < least or (most is not None and len(given.words) > most):
        message = f"limpet {command} takes {USES[command][0]}, not {len(given.words)} words"
        raise UsageError(message)
    try:
        import limpet.bot  # noqa: F401 - reports a missing package
    except MissingExtraError as error:
        raise UsageError(str(error), code=error.code) from error
    match command:
        case "run":
            return _run(given)
        case "check":
            return _check(given)
        case "new":
            return _new(given)
        case _:
            return _replay(given)


def _run(given: Namespace) -> int:
    from limpet.bot.program import serve

    options = replace(_options(given), until_done=given.until_done, listen=given.listen)
    return _logged(given, lambda: serve(given.words[0], options))


def _logged(given: Namespace, work: Callable[[], int]) -> int:
    from limpet.bot.program import logging_to

    form: LogFormat = one_of("--log-format", given.log_format, _FORMATS)
    level = one_of("--log-level", given.log_level, _LEVELS)
    sys.path.insert(0, "")  # for a bot's own components, as with python -m
    with logging_to(form=form, level=level):
        return work()


def _options(given: Namespace) -> RunOptions:
    from limpet.bot.program import default_state_dir
    from limpet.bot.runner import RunOptions

    directory = Path(given.state_dir) if given.state_dir else default_state_dir(given.words[0])
    return RunOptions(
        state_dir=directory,
        drain=given.drain,
        attempts=given.attempts,
        backoff=given.backoff,
        queue=given.queue,
        dry_run=given.dry_run,
    )


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        message = f"must be a number of seconds, not {word!r}"
        raise ArgumentTypeError(message)
    return seconds


def _check(given: Namespace) -> int:
    from limpet.bot.config import check, schema

    if given.schema:
        print(json.dumps(schema(), indent=2))
        return 0
    sys.path.insert(0, "")
    errors = 0
    for file in given.words:
        for problem in check(file):
            errors += problem.level == "error"
            if given.json:
                print(json.dumps(asdict(problem)))
            else:
                print(problem, file=sys.stderr)
    return 2 if errors else 0


def _new(given: Namespace) -> int:
    from limpet.bot.program import STARTERS, starter

    kind = one_of("KIND", given.words[0], tuple(STARTERS))
    file = Path(given.words[1] if len(given.words) > 1 else f"{kind}.yaml")
    try:
        with file.open("w" if given.force else "x", encoding="utf-8") as out:
            out.write(starter(kind, str(file)))
    except FileExistsError as error:
        message = f"{file} exists; choose another file, or use --force"
        raise UsageError(message) from error
    except OSError as error:
        print(f"limpet: cannot write {file}: {error.strerror or error}", file=sys.stderr)
        return 1
    print(file)
    return 0


def _replay(given: Namespace) -> int:
    from limpet.bot.program import DeadLetters, replay

    file, *only = given.words
    options = _options(given)
    if given.list:
        from limpet.bot.config import load

        sys.path.insert(0, "")
        load(file)  # loads the classes of the events
        dead_letters = DeadLetters(options.state_dir or Path())
        for path in (dead_letters.replaying_path, dead_letters.path):
            if path.exists():
                for one in dead_letters.read(path):
                    print(f"{one.ident} {one.name or one.behaviour}: {one.error}")
        return 0

    def work() -> int:
        done, left = replay(file, options, only=only)
        print(f"{done} done, {left} left")
        return 1 if left else 0

    return _logged(given, work)
