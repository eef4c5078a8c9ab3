"""The command line: which module runs which command, and how an error ends it."""

from __future__ import annotations

from typing import Final

from limpet.cli._color import FLAG, PROBLEM_RULES, choice, choice_in, has_rich
from limpet.cli._command_list import COMMANDS, help_parser, module_of, overview
from limpet.cli._complaint import complain
from limpet.cli._stdout import StdoutError, checked_streams
from limpet.errors import LimpetError, UsageError

USAGE: Final = 2
"""Exit code for a wrong call: what the shell's own tools and ``argparse`` use."""

_STREAMING: Final = (["watch"], ["follow"], ["inbox"], ["run"])
"""Commands that write on and on, and see to failures themselves."""
_HELP: Final = frozenset({"-h", "--help"})


def dispatch(argv: list[str]) -> int:
    """Parse and run a command and return the exit code; an error is one line on standard error.

    A reader of standard output that has gone is not an error, whatever the command.
    """
    color = choice.set(choice_in(argv))
    if argv[:1] == [FLAG] and argv[1:2] == [choice.get()]:
        argv = argv[2:]  # the one option that may come before the command
    if choice.get() == "always" and not has_rich():
        complain(
            "limpet: --color always: there are no colours without rich: pip install 'limpet[cli]'"
        )
    try:
        prints = argv[:1] not in _STREAMING or not _HELP.isdisjoint(argv)
        with checked_streams(prints=prints):
            return _outcome(argv)
    except StdoutError as error:
        if error.is_closed_pipe:
            return 0
        complain(f"limpet: {error}")
        return 1
    finally:
        choice.reset(color)


def _outcome(argv: list[str]) -> int:
    try:
        return _run(argv)
    except SystemExit as end:  # help or the version was asked for, and is printed
        return end.code if isinstance(end.code, int) else 0
    except UsageError as error:
        if getattr(error, "problems", ()):  # of a file, each with its place, as compilers do
            complain(str(error), PROBLEM_RULES)
            return USAGE
        command = argv[:1] if argv and argv[0] in COMMANDS and argv[0] != "help" else []
        complain(f"limpet: {_as_typed(str(error), argv)}")
        complain(f"Try '{' '.join(['limpet', *command, '--help'])}'.")
        return USAGE
    except LimpetError as error:
        complain(f"limpet: {error}")
        return 1
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename!r}: "
        complain(f"limpet: {where}{error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(argv: list[str]) -> int:
    """Run a command by its module.

    Raises:
        UsageError: The call, or a file that it names, is wrong; nothing was started.
    """
    match argv[:1]:
        case ["help"]:
            return _help(argv[1:])
        case []:
            overview().print_help()
            return USAGE
        case ["completion"]:
            from limpet.cli import _completion

            return _completion.main(argv[1:])
        case [command] if command in COMMANDS:
            return module_of(command).main(command, argv[1:])
        case _:
            overview().parse_args(argv[:1])
            raise _no_command(argv[0])


def _help(words: list[str]) -> int:
    """Print the help of a command, or of all, as ``--help`` does.

    Raises:
        UsageError: There is no such command, or there are several.
    """
    given = help_parser().read(words)
    if not given.words or given.words == ["help"]:
        overview().print_help()
        return 0
    if given.words[0] not in COMMANDS:
        raise _no_command(given.words[0])
    return _run([given.words[0], "--help"])


def _no_command(word: str) -> UsageError:
    from limpet._suggest import near  # only now: it takes longer than the rest

    hint = near(word, COMMANDS) or f"; known are {', '.join(COMMANDS)}"
    return UsageError(f"there is no command {word!r}{hint}")


def _as_typed(message: str, argv: list[str]) -> str:
    """Return a message of the library with the option as it was typed: ``--poll-interval``."""
    name, space, rest = message.partition(" ")
    flag = f"--{name.replace('_', '-')}"
    if any(word == flag or word.startswith(f"{flag}=") for word in argv):
        return f"{flag}:{space}{rest}"
    return message
