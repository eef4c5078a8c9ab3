"""``limpet put``, ``append``, ``rm``, ``mv`` and ``mkdir`` as they are typed."""

from __future__ import annotations

from typing import Annotated, Final, get_args

import typer

from limpet.cli._plan import one_of
from limpet.errors import UsageError
from limpet.output import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Durability,
    MakeDir,
    MoveFile,
    OverwriteFile,
    Rotation,
)

__all__ = ["add_commands"]

LEVELS: Final[tuple[Durability, ...]] = get_args(Durability)
IF_EXISTS: Final = ("refuse", "replace")

_Root = Annotated[
    str,
    typer.Option(
        "--root",
        metavar="FOLDER",
        help="Write below this folder and nowhere else.",
        show_default=False,
    ),
]
_Create = Annotated[bool, typer.Option("--create-root", help="Make the folder if it is missing.")]
_Level = Annotated[
    str,
    typer.Option("--durability", metavar="|".join(LEVELS), help="What must survive a crash."),
]
_NoParents = Annotated[
    bool, typer.Option("--no-parents", help="Do not make the folders on the way.")
]
_Portable = Annotated[
    bool, typer.Option("--portable", help="Take only names that are names on every system.")
]
_Json = Annotated[bool, typer.Option("--json", help="Write what was done, or why not, as JSON.")]
_MissingOk = Annotated[bool, typer.Option("--missing-ok", help="Nothing there is as good as done.")]
_Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Relative to the root.", show_default=False)
]
_Exists = Annotated[
    str,
    typer.Option("--if-exists", metavar="|".join(IF_EXISTS), help="What to do with a taken name."),
]


def _put(
    name: _Name,
    *,
    root: _Root,
    if_exists: _Exists = "refuse",
    durability: _Level = "none",
    no_parents: _NoParents = False,
    portable: _Portable = False,
    create_root: _Create = False,
    as_json: _Json = False,
) -> int:
    """Make NAME hold what comes on standard input, all of it or nothing."""
    from limpet.cli._write import content, run

    kind = OverwriteFile if one_of("--if-exists", if_exists, IF_EXISTS) == "replace" else CreateFile
    level = one_of("--durability", durability, LEVELS)

    def operation() -> CreateFile | OverwriteFile:
        return kind(name=name, content=content(), durability=level, parents=not no_parents)

    return run(root, operation, create=create_root, portable=portable, as_json=as_json)


def _append(
    name: _Name,
    *,
    root: _Root,
    durability: _Level = "none",
    no_create: Annotated[
        bool, typer.Option("--no-create", help="Refuse a file that is missing.")
    ] = False,
    no_parents: _NoParents = False,
    newline_guard: Annotated[
        bool, typer.Option("--newline-guard", help="First end a line that was left open.")
    ] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Take the file's lock (flock).")] = False,
    rotate_bytes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Put the file aside before it gets larger."),
    ] = None,
    rotate_daily: Annotated[
        bool, typer.Option("--rotate-daily", help="Put the file aside on a new day (UTC).")
    ] = False,
    keep: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Keep so many of those put aside.")
    ] = None,
    gzip: Annotated[bool, typer.Option("--gzip", help="Pack what is put aside.")] = False,
    portable: _Portable = False,
    create_root: _Create = False,
    as_json: _Json = False,
) -> int:
    """Add what comes on standard input to the end of NAME, as one record."""
    from limpet.cli._write import content, run

    rotation = None
    if rotate_bytes is not None or rotate_daily:
        rotation = Rotation(max_bytes=rotate_bytes, daily=rotate_daily, keep=keep, compress=gzip)
    elif keep is not None or gzip:
        message = (
            "--keep and --gzip are about what is put aside: they need --rotate-bytes or -daily"
        )
        raise UsageError(message)
    level = one_of("--durability", durability, LEVELS)

    def operation() -> AppendToFile:
        return AppendToFile(
            name=name,
            content=content(),
            durability=level,
            create=not no_create,
            parents=not no_parents,
            newline_guard=newline_guard,
            lock=lock,
            rotation=rotation,
        )

    return run(root, operation, create=create_root, portable=portable, as_json=as_json)


def _rm(
    name: _Name,
    *,
    root: _Root,
    folder: Annotated[bool, typer.Option("--folder", help="NAME is an empty folder.")] = False,
    missing_ok: _MissingOk = False,
    durability: _Level = "none",
    as_json: _Json = False,
) -> int:
    """Remove the file NAME; a symlink itself, never what it points to."""
    from limpet.cli._write import run

    kind = DeleteDir if folder else DeleteFile
    operation = kind(
        name=name, missing_ok=missing_ok, durability=one_of("--durability", durability, LEVELS)
    )
    return run(root, lambda: operation, create=False, portable=False, as_json=as_json)


def _mv(
    name: _Name,
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="Relative to the root.", show_default=False)
    ],
    *,
    root: _Root,
    if_exists: _Exists = "refuse",
    durability: _Level = "none",
    no_parents: _NoParents = False,
    portable: _Portable = False,
    as_json: _Json = False,
) -> int:
    """Give NAME, a file or folder, the name TARGET."""
    from limpet.cli._write import run

    operation = MoveFile(
        name=name,
        target=target,
        overwrite=one_of("--if-exists", if_exists, IF_EXISTS) == "replace",
        durability=one_of("--durability", durability, LEVELS),
        parents=not no_parents,
    )
    return run(root, lambda: operation, create=False, portable=portable, as_json=as_json)


def _mkdir(
    name: _Name,
    *,
    root: _Root,
    exist_ok: Annotated[
        bool, typer.Option("--exist-ok", help="A folder there is as good as done.")
    ] = False,
    durability: _Level = "none",
    no_parents: _NoParents = False,
    portable: _Portable = False,
    create_root: _Create = False,
    as_json: _Json = False,
) -> int:
    """Make the folder NAME."""
    from limpet.cli._write import run

    operation = MakeDir(
        name=name,
        exist_ok=exist_ok,
        durability=one_of("--durability", durability, LEVELS),
        parents=not no_parents,
    )
    return run(root, lambda: operation, create=create_root, portable=portable, as_json=as_json)


def add_commands(app: typer.Typer) -> None:
    """Make them commands of the program."""
    for name, command in (
        ("put", _put),
        ("append", _append),
        ("rm", _rm),
        ("mv", _mv),
        ("mkdir", _mkdir),
    ):
        app.command(name)(command)
