"""The standard library's parser, made to report in one line what is wrong with a call."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

from limpet.cli._color import COLORS, FLAG, HELP_RULES, painted
from limpet.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


class _Help(argparse.HelpFormatter):
    """Help as wide as the terminal. The library's own loads compression to ask for that width."""

    def __init__(self, prog: str) -> None:
        try:
            columns = os.get_terminal_size(sys.stdout.fileno()).columns
        except (AttributeError, OSError, ValueError):  # no terminal, or no stream at all
            columns = 80
        super().__init__(prog, width=max(40, columns - 2))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(super(_Help, self)._fill_text(x, width, indent) for x in text.split("\n"))


class Parser(argparse.ArgumentParser):
    """Takes options by their full names only, and raises where the library's own would exit.

    argparse and not a package of its own: with typer 0.29 ``limpet watch`` took 440 ms of CPU until
    it was ready, with this 190 (2026-11, beside a watchfiles script that takes 140).
    """

    def __init__(
        self, command: str, words: str, about: str, description: str, *, usage: str = ""
    ) -> None:
        """Create the parser of a command.

        Args:
            command: Its name.
            words: Its positional arguments as usage shows them, ``[NAME]`` of an optional one and
                ``NAME...`` of a repeated one.
            about: Help of the positional arguments.
            description: What it does; each line is wrapped to the terminal.
            usage: In place of the usage made of these.
        """
        super().__init__(
            prog=f"limpet {command}",
            usage=usage or f"limpet {command} {words} [OPTIONS]",
            description=description,
            allow_abbrev=False,  # a script that has --no-rec would break with the next option
            formatter_class=_Help,
        )
        if sys.version_info >= (3, 14):
            self.color = False  # `_color` decides
        self._words = words
        self._positionals.title = "arguments"
        self.add_argument("words", metavar=words, nargs="*", help=about)
        add_choice(self.add_argument, FLAG, COLORS, "colours of text", "auto")

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print the help, in colours where they are wanted."""
        stream = sys.stdout if file is None else file
        stream.write(painted(stream, self.format_help(), HELP_RULES))

    def error(self, message: str) -> NoReturn:
        """Raise ``UsageError``, in the words that other wrong values have."""
        message = message.removeprefix("argument ")
        for kind, wanted in (("float", "a number"), ("int", "a whole number")):
            message = message.replace(f"invalid {kind} value:", f"must be {wanted}, not")
        unknown, _, words = message.partition("unrecognized arguments: ")
        if not unknown and words:
            from limpet._suggest import near  # only now: it takes longer than the parsing

            word = words.split()[0].partition("=")[0]
            flags = [flag for one in self._actions for flag in one.option_strings]
            message = f"there is no option {word!r}{near(word, flags)}"
        raise UsageError(message)

    def read(self, argv: list[str]) -> argparse.Namespace:
        """Parse options and positional ``words`` in any order; after ``--`` none is an option.

        ``--`` is handled here: Python 3.11 forgets it where words are mixed, and takes a path such
        as ``-x`` that comes after it for an option.

        Raises:
            UsageError: The call is wrong, or has too few or too many words.
            SystemExit: Help was asked for, and is printed.
        """
        cut = argv.index("--") if "--" in argv else len(argv)
        given = self.parse_intermixed_args(argv[:cut])
        given.words = [*given.words, *argv[cut + 1 :]]
        wanted = self._words.split()
        least = sum(not word.startswith("[") for word in wanted)
        count = len(given.words)
        if count < least or (count > len(wanted) and "..." not in self._words):
            message = f"expected {self._words}, got {count} argument{'s' * (count != 1)}"
            raise UsageError(message)
        return given


def add_flags(add: Callable[..., object], helps: Mapping[str, str]) -> None:
    """Add options without a value: option -> help. One may have a short form: ``-q, --quiet``."""
    for flag, text in helps.items():
        add(*flag.split(", "), action="store_true", help=text)


def add_choice(
    add: Callable[..., object],
    flag: str,
    words: tuple[str, ...],
    text: str,
    default: str | None = None,
) -> None:
    """Add an option that takes one of these words."""
    shown = text if default is None else f"{text} ({default})"
    add(flag, metavar="|".join(words), type=one_of(words), default=default, help=shown)


def one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    """Return a reader of one of these words, for ``type=``."""

    def read(word: str) -> str:
        if word not in words:
            message = f"must be one of {', '.join(words)}, not {word!r}"
            raise argparse.ArgumentTypeError(message)
        return word

    read.words = words  # type: ignore[attr-defined]  # for completions
    return read


def whole_number(least: int) -> Callable[[str], int]:
    """Return a reader of a whole number that is not below ``least``, for ``type=``."""

    def read(word: str) -> int:
        number = int(word) if word.isascii() and word.isdigit() else -1
        if number < least:
            message = f"must be a whole number from {least}, not {word!r}"
            raise argparse.ArgumentTypeError(message)
        return number

    return read


def seconds(*, zero: bool = True) -> Callable[[str], float]:
    """Return a reader of a number of seconds, for ``type=``; not of nothing, unless ``zero``."""

    def read(word: str) -> float:
        try:
            number = float(word)
        except ValueError:
            number = -1.0
        if not (0 <= number < 1e9) or (not zero and not number):
            wanted = "a number of seconds" if number else "more than 0 seconds"
            message = f"must be {wanted}, not {word!r}"
            raise argparse.ArgumentTypeError(message)
        return number

    return read
