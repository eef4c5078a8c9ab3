"""``limpet watch`` as it is typed: options and their help, turned into a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, get_args

import typer

from limpet.cli._plan import BUSY, EXEC, FORMATS, Command, Plan, one_of, target_of, types_of
from limpet.config import BackendName, ContentOptions, OwnPolicy, WatchOptions
from limpet.errors import UsageError

__all__ = ["BACKENDS", "watch"]

BACKENDS: Final[tuple[BackendName, ...]] = get_args(BackendName)
OWN: Final[tuple[OwnPolicy, ...]] = get_args(OwnPolicy)
MODES: Final = ("r", "rb")

_ENTRIES, _CONTENT, _OUTPUT, _EXEC, _SYSTEM = (
    "What is reported",
    "Content",
    "Output",
    "Commands",
    "How it is watched",
)


def watch(
    context: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Places to watch.", show_default=False)
    ],
    *,
    file: Annotated[
        bool, typer.Option("--file", help="Each PATH is a file, whatever stands there now.")
    ] = False,
    directory: Annotated[
        bool, typer.Option("--dir", help="Each PATH is a folder, whatever stands there now.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE,...",
            help="Report only these, such as file.created,dir.deleted.",
            rich_help_panel=_ENTRIES,
        ),
    ] = None,
    no_recursive: Annotated[
        bool,
        typer.Option(
            "--no-recursive", help="Only the folder's direct entries.", rich_help_panel=_ENTRIES
        ),
    ] = False,
    existing: Annotated[
        bool,
        typer.Option(
            "--existing", help="First report what is already there.", rich_help_panel=_ENTRIES
        ),
    ] = False,
    metadata: Annotated[
        bool,
        typer.Option(
            "--metadata",
            help="Report changes of mode and owner too.",
            rich_help_panel=_ENTRIES,
        ),
    ] = False,
    transient: Annotated[
        bool,
        typer.Option(
            "--transient",
            help="Report what came and went between two looks too.",
            rich_help_panel=_ENTRIES,
        ),
    ] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Only files that match (gitignore syntax); may be repeated.",
            rich_help_panel=_ENTRIES,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Leave out what matches, with all in it; may be repeated.",
            rich_help_panel=_ENTRIES,
        ),
    ] = None,
    ignore_file: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Honour files of this name, such as .gitignore, wherever they lie.",
            rich_help_panel=_ENTRIES,
        ),
    ] = None,
    no_default_ignores: Annotated[
        bool,
        typer.Option(
            "--no-default-ignores",
            help="Report partial downloads, editor swap files and system droppings too.",
            rich_help_panel=_ENTRIES,
        ),
    ] = False,
    own: Annotated[
        str,
        typer.Option(
            metavar="|".join(OWN),
            help="What to do with changes limpet itself made.",
            rich_help_panel=_ENTRIES,
        ),
    ] = "drop",
    content: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(MODES),
            help="Put a file's content into its events, as text or as bytes.",
            rich_help_panel=_CONTENT,
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Encoding of text content. (utf-8 if not given)",
            rich_help_panel=_CONTENT,
        ),
    ] = None,
    errors: Annotated[
        str | None,
        typer.Option(
            metavar="HANDLER",
            help="What to do with what is not text. (strict if not given)",
            rich_help_panel=_CONTENT,
        ),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Larger files come without content. (1048576 if not given)",
            rich_help_panel=_CONTENT,
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            help="How events are written. Not given: text, or nothing with --exec.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="End after N reported events.", rich_help_panel=_OUTPUT
        ),
    ] = None,
    stats: Annotated[
        bool,
        typer.Option(
            "--stats", help="At the end, print each watch's figures.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    _command: Annotated[
        str | None,
        typer.Option(
            EXEC,
            metavar="CMD [ARG]...",
            help="Run this for each event, the event's JSON on its standard input, LIMPET_PATH and "
            "LIMPET_EVENT_TYPE in its environment. Takes all that follows: give it last.",
            rich_help_panel=_EXEC,
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Commands that may run at once.", rich_help_panel=_EXEC
        ),
    ] = 1,
    busy: Annotated[
        str,
        typer.Option(
            metavar="|".join(BUSY),
            help="An event while all of them run: wait, leave it out, or end the command.",
            rich_help_panel=_EXEC,
        ),
    ] = "queue",
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Remember here what was reported, and next time begin with what changed since.",
            rich_help_panel=_SYSTEM,
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Hold created and updated files until closed or quiet for so long.",
            rich_help_panel=_SYSTEM,
        ),
    ] = 0.0,
    settle_max: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Never hold longer than this. (10 x settle if not given)",
            rich_help_panel=_SYSTEM,
        ),
    ] = None,
    follow_symlinks: Annotated[
        bool,
        typer.Option(
            "--follow-symlinks",
            help="Follow symlinks to folders, each real folder once.",
            rich_help_panel=_SYSTEM,
        ),
    ] = False,
    backend: Annotated[
        str,
        typer.Option(
            metavar="|".join(BACKENDS), help="Where hints come from.", rich_help_panel=_SYSTEM
        ),
    ] = "auto",
    poll_interval: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Time between two looks where the system gives no hints.",
            rich_help_panel=_SYSTEM,
        ),
    ] = 1.0,
    rescan_interval: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Look at everything again this often. (never if not given)",
            rich_help_panel=_SYSTEM,
        ),
    ] = None,
) -> int:
    """Write a line, or run a command, for everything that happens at PATH.

    A PATH need not be there yet: say with --file or --dir what it is to be.
    The first line is watch.ready, one for each PATH: what happens after it is seen.
    """
    argv = context.obj[EXEC]
    if argv is None and (jobs != 1 or busy != "queue"):
        message = f"--jobs and --busy are about commands: they need {EXEC}"
        raise UsageError(message)
    bounds = {"encoding": encoding, "errors": errors, "max_bytes": max_bytes}
    given = {key: value for key, value in bounds.items() if value is not None}
    if content is None and given:
        message = "--encoding, --errors and --max-bytes are about content: they need --content"
        raise UsageError(message)
    options = WatchOptions(
        recursive=not no_recursive,
        existing=existing,
        state=state,
        settle=settle,
        settle_max=settle_max,
        metadata=metadata,
        transient=transient,
        follow_symlinks=follow_symlinks,
        own=one_of("--own", own, OWN),
        content=None if content is None else _content(content, encoding, errors, max_bytes),
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        ignore_file=ignore_file,
        default_ignores=not no_default_ignores,
        backend=one_of("--backend", backend, BACKENDS),
        poll_interval=poll_interval,
        rescan_interval=rescan_interval,
    )
    chosen = None if argv is not None and format_ is None else (format_ or "text")
    plan = Plan(
        targets=tuple(target_of(path, file=file, directory=directory) for path in paths),
        options=options,
        format=None if chosen is None else one_of("--format", chosen, FORMATS),
        only=types_of(only or ()),
        count=count,
        stats=stats,
        command=None
        if argv is None
        else Command(argv=argv, jobs=jobs, busy=one_of("--busy", busy, BUSY)),
    )
    from limpet.cli._watch import run

    return run(plan)


def _content(
    mode: str, encoding: str | None, errors: str | None, max_bytes: int | None
) -> ContentOptions:
    """Put the content options together; what was not given is the library's default."""
    default = ContentOptions()
    return ContentOptions(
        mode=one_of("--content", mode, MODES),
        encoding=default.encoding if encoding is None else encoding,
        errors=default.errors if errors is None else errors,
        max_bytes=default.max_bytes if max_bytes is None else max_bytes,
    )
