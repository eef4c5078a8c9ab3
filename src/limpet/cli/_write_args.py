"""``limpet put``, ``append``, ``rm``, ``mv`` and ``mkdir`` as they are typed."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from typing import Final, get_args

from limpet.cli._parser import Parser, at_least_one, one_of, parse
from limpet.errors import UsageError
from limpet.output import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Durability,
    MakeDir,
    MoveFile,
    Operation,
    OverwriteFile,
    Rotation,
)

__all__ = ["USES", "parser", "write"]

LEVELS: Final[tuple[Durability, ...]] = get_args(Durability)
IF_EXISTS: Final = ("refuse", "replace")

USES: Final = {
    "put": ("NAME", "Make NAME hold what comes on standard input, all of it or nothing."),
    "append": ("NAME", "Add what comes on standard input to the end of NAME, as one record."),
    "rm": ("NAME", "Remove the file NAME; a symlink itself, never what it points to."),
    "mv": ("NAME TARGET", "Give NAME, a file or folder, the name TARGET."),
    "mkdir": ("NAME", "Make the folder NAME."),
}
"""Command -> its words, and what it does."""

_FLAGS: Final = {
    "--no-create": "refuse a file that is missing",
    "--newline-guard": "first end a line that was left open",
    "--lock": "take the file's lock (flock)",
    "--rotate-daily": "put the file aside on a new day (UTC)",
    "--gzip": "pack what is put aside",
    "--folder": "NAME is an empty folder",
    "--missing-ok": "nothing there is as good as done",
    "--exist-ok": "a folder there is as good as done",
    "--no-parents": "do not make the folders on the way",
    "--portable": "take only names that are names on every system",
    "--create-root": "make the root if it is missing",
}
_FLAGS_OF: Final = {
    "put": ("--no-parents", "--portable", "--create-root"),
    "append": (
        "--no-create", "--newline-guard", "--lock", "--rotate-daily", "--gzip", "--no-parents",
        "--portable", "--create-root",
    ),
    "rm": ("--folder", "--missing-ok"),
    "mv": ("--no-parents", "--portable"),
    "mkdir": ("--exist-ok", "--no-parents", "--portable", "--create-root"),
}  # fmt: skip


def parser(command: str) -> Parser:
    """Give the parser of a command's arguments."""
    words, does = USES[command]
    made = Parser(
        prog=f"limpet {command}",
        usage=f"limpet {command} {words} --root FOLDER [OPTIONS]",
        description=f"{does}\n\nNames are relative to the root; nothing outside it is touched.",
    )
    made.add_argument("names", metavar=words.partition(" ")[0], nargs="*", help="what is meant")
    made.add_argument(
        "--root", metavar="FOLDER", required=True, help="write below this folder and nowhere else"
    )
    if command in {"put", "mv"}:
        made.add_argument(
            "--if-exists",
            metavar="|".join(IF_EXISTS),
            default="refuse",
            help="what to do with a taken name (refuse)",
        )
    if command == "append":
        made.add_argument(
            "--rotate-bytes",
            metavar="N",
            type=at_least_one,
            help="put the file aside before it gets larger",
        )
        made.add_argument("--keep", metavar="N", type=_whole, help="keep so many put aside")
    for flag in _FLAGS_OF[command]:
        made.add_argument(flag, action="store_true", help=_FLAGS[flag])
    made.add_argument(
        "--durability",
        metavar="|".join(LEVELS),
        default="none",
        help="what must survive a crash of the system (none)",
    )
    made.add_argument(
        "--json", action="store_true", help="write what was done, or why not, as JSON"
    )
    return made


def write(command: str, argv: list[str]) -> int:
    """Carry out what the arguments say and give the exit code.

    Raises:
        UsageError: The call is wrong; nothing was written.
    """
    given = parse(parser(command), argv, "names")
    wanted = USES[command][0].split(" ")
    if len(given.names) != len(wanted):
        message = f"limpet {command} takes {' and '.join(wanted)}, not {len(given.names)} words"
        raise UsageError(message)
    given.level = one_of("--durability", given.durability, LEVELS)
    if command in {"put", "mv"}:
        given.replace = one_of("--if-exists", given.if_exists, IF_EXISTS) == "replace"
    rotation = _rotation(given) if command == "append" else None
    from limpet.cli._write import run

    return run(
        given.root,
        lambda: _operation(command, given, rotation),
        create=getattr(given, "create_root", False),
        portable=getattr(given, "portable", False),
        as_json=given.json,
    )


def _operation(command: str, given: Namespace, rotation: Rotation | None) -> Operation:
    """Give what to do; what brings content reads it here."""
    name, level = given.names[0], given.level
    match command:
        case "put":
            from limpet.cli._write import content

            kind = OverwriteFile if given.replace else CreateFile
            return kind(
                name=name, content=content(), durability=level, parents=not given.no_parents
            )
        case "append":
            from limpet.cli._write import content

            return AppendToFile(
                name=name,
                content=content(),
                durability=level,
                create=not given.no_create,
                parents=not given.no_parents,
                newline_guard=given.newline_guard,
                lock=given.lock,
                rotation=rotation,
            )
        case "rm":
            gone = DeleteDir if given.folder else DeleteFile
            return gone(name=name, missing_ok=given.missing_ok, durability=level)
        case "mv":
            return MoveFile(
                name=name,
                target=given.names[1],
                overwrite=given.replace,
                durability=level,
                parents=not given.no_parents,
            )
        case _:
            return MakeDir(
                name=name,
                exist_ok=given.exist_ok,
                durability=level,
                parents=not given.no_parents,
            )


def _rotation(given: Namespace) -> Rotation | None:
    """Give when a file that is appended to is put aside.

    Raises:
        UsageError: It is said what becomes of those put aside, but not when that is.
    """
    if given.rotate_bytes is not None or given.rotate_daily:
        return Rotation(
            max_bytes=given.rotate_bytes,
            daily=given.rotate_daily,
            keep=given.keep,
            compress=given.gzip,
        )
    if given.keep is not None or given.gzip:
        message = (
            "--keep and --gzip are about what is put aside: they need --rotate-bytes or -daily"
        )
        raise UsageError(message)
    return None


def _whole(word: str) -> int:
    """Read a number of which none is fine.

    Raises:
        ArgumentTypeError: It is no number, or less than none.
    """
    if not (word.isascii() and word.isdigit()):
        message = f"must be a whole number from 0, not {word!r}"
        raise ArgumentTypeError(message)
    return int(word)
