"""The standard library's parser, made to say in one line what is wrong with a call."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn, TypeVar

from limpet.errors import UsageError

__all__ = ["Parser", "at_least_one", "one_of", "parse"]

_Word = TypeVar("_Word", bound=str)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal. The library's own loads compression to ask for that width."""

    def __init__(self, prog: str) -> None:
        try:
            columns = os.get_terminal_size(sys.stdout.fileno()).columns
        except (AttributeError, OSError, ValueError):  # no terminal, or no stream at all
            columns = 80
        super().__init__(prog, width=max(40, columns - 2))


class Parser(argparse.ArgumentParser):
    """Takes options by their full names only, and raises where the library's own would exit.

    argparse and not a package of its own: with typer 0.29 ``limpet watch`` took 440 ms of CPU until
    it was ready, with this 190 (2026-11, beside a watchfiles script that takes 140).
    """

    def __init__(self, *, prog: str, usage: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            epilog=epilog,
            allow_abbrev=False,  # a script that says --no-rec would break with the next option
            formatter_class=_Help,
        )

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the call.

        Raises:
            UsageError: Always.
        """
        raise UsageError(message)


def at_least_one(word: str) -> int:
    """Read a number of which less than one makes no sense.

    Raises:
        argparse.ArgumentTypeError: It is none, or is less.
    """
    number = int(word) if word.isascii() and word.isdigit() else 0
    if number < 1:
        message = f"must be a whole number from 1, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return number


def parse(parser: Parser, argv: list[str], positional: str) -> argparse.Namespace:
    """Parse options and positional words in any order; after ``--`` none is an option.

    ``positional`` names the list of positional words; it may come out empty. ``--`` is looked for
    here: Python 3.11 forgets it where words are mixed, and takes a path such as ``-x`` that comes
    after it for an option.

    Raises:
        UsageError: The call is wrong.
        SystemExit: Help or version was asked for, and is printed.
    """
    cut = argv.index("--") if "--" in argv else len(argv)
    given = parser.parse_intermixed_args(argv[:cut])
    setattr(given, positional, [*getattr(given, positional), *argv[cut + 1 :]])
    return given


def one_of(option: str, value: str, words: tuple[_Word, ...]) -> _Word:
    """Return the one of ``words`` that equals ``value``.

    Raises:
        UsageError: It is none of them; the message lists them.
    """
    for word in words:
        if word == value:
            return word
    message = f"{option} must be one of {', '.join(words)}, not {value!r}"
    raise UsageError(message)
