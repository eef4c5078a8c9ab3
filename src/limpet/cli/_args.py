"""The command line as it is typed: parsed, run, and what is wrong with it said in one line."""

from __future__ import annotations

import sys
from typing import Annotated, Final, cast

import typer

from limpet.cli._plan import EXEC, one_of, split_command
from limpet.cli._watch_args import BACKENDS, watch
from limpet.cli._write_args import add_commands
from limpet.errors import LimpetError, UsageError

__all__ = ["app", "dispatch"]

USAGE: Final = 2
"""Exit code for a wrong call: what the shell's own tools and ``argparse`` use."""

_COMMANDS: Final = ("watch", "doctor", "put", "append", "rm", "mv", "mkdir")

_REPORT_FORMATS: Final = ("text", "jsonl")

_PARSE_ERROR: Final = cast(
    "type[typer.BadParameter]",
    next(one for one in typer.BadParameter.__mro__ if one.__name__ == "ClickException"),
)
"""What a wrong call raises: click's base class, or that of the copy newer versions of typer bring.
Of ``BadParameter`` it has what is used here."""

app = typer.Typer(
    name="limpet",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def dispatch(argv: list[str]) -> int:
    """Parse, run and give the exit code; what is wrong with the call is one line on stderr."""
    if not argv:
        dispatch(["--help"])
        return USAGE
    command = None
    if argv[:1] == ["watch"]:
        argv, command = split_command(argv)
    try:
        result = app(args=argv, prog_name="limpet", standalone_mode=False, obj={EXEC: command})
    except _PARSE_ERROR as error:
        return _refuse(argv, error.format_message())
    except UsageError as error:
        return _refuse(argv, str(error))
    except LimpetError as error:
        print(f"limpet: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, typer.Abort):  # pragma: no cover - newer versions of typer give 130
        return 130
    return result if isinstance(result, int) else 0


def _refuse(argv: list[str], message: str) -> int:
    print(f"limpet: {message}", file=sys.stderr)
    known = argv[:1] if argv and argv[0] in _COMMANDS else []
    print(f"Try '{' '.join(['limpet', *known, '--help'])}'.", file=sys.stderr)
    return USAGE


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer hands it over by position
    if value:
        from limpet import __version__

        print(f"limpet {__version__}")
        raise typer.Exit


@app.callback()
def _limpet(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Say what happens at places on disk, and write to them safely."""


app.command("watch")(watch)
add_commands(app)


@app.command("doctor")
def _doctor(
    path: Annotated[str, typer.Argument(metavar="[PATH]", help="Where you mean to watch.")] = ".",
    *,
    backend: Annotated[
        str, typer.Option(metavar="|".join(BACKENDS), help="Ask about this backend.")
    ] = "auto",
    format_: Annotated[
        str, typer.Option("--format", metavar="|".join(_REPORT_FORMATS), help="How it is written.")
    ] = "text",
) -> int:
    """Say how PATH would be watched, what stands in the way, and the commands that remove it.

    Exits with 1 if something would make a watch see less or later than it could.
    """
    from limpet.cli._doctor import run

    return run(
        path,
        requested=one_of("--backend", backend, BACKENDS),
        as_json=one_of("--format", format_, _REPORT_FORMATS) == "jsonl",
    )
