"""``limpet put``, ``append``, ``rm``, ``mv`` and ``mkdir``: one operation below a root.

Its result is the exit code, and JSON if that is asked for.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Final, get_args

from limpet._wire import Json, put_path
from limpet.cli._complaint import complain
from limpet.cli._option_args import add_options, given_options
from limpet.cli._parser import Parser, add_choice, add_flags, whole_number
from limpet.errors import OutputError, UsageError
from limpet.output import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Done,
    Durability,
    MakeDir,
    MoveFile,
    Operation,
    Output,
    OverwriteFile,
    RefusalCode,
    Refused,
    Rotation,
)

LEVELS: Final[tuple[Durability, ...]] = get_args(Durability)
IF_EXISTS: Final = ("refuse", "replace")

USES: Final = {
    "put": ("NAME", "Write standard input to the file NAME, all of it or nothing."),
    "append": ("NAME", "Append standard input to the file NAME, as one record."),
    "rm": ("NAME", "Remove the file NAME; of a symlink, the link itself."),
    "mv": ("NAME TARGET", "Rename NAME, a file or folder, to TARGET."),
    "mkdir": ("NAME", "Create the folder NAME."),
}
"""Command -> its arguments, and its description."""

_OPERATIONS: Final[dict[str, tuple[type[Operation], tuple[str, ...]]]] = {
    "put": (CreateFile, ("parents",)),
    "append": (AppendToFile, ("create", "newline_guard", "lock", "parents")),
    "rm": (DeleteFile, ("missing_ok",)),
    "mv": (MoveFile, ("parents",)),
    "mkdir": (MakeDir, ("exist_ok", "parents")),
}
"""Command -> its operation, and the fields of it that are options."""

EXIT_CODES: Final[dict[RefusalCode, int]] = {
    "bad-name": 3,
    "escape": 3,
    "symlink": 3,
    "mount": 3,
    "exists": 4,
    "missing": 5,
    "root-gone": 5,
    "is-directory": 6,
    "not-a-file": 6,
    "hard-link": 6,
    "directory-not-empty": 6,
    "denied": 7,
    "read-only": 7,
    "no-space": 8,
    "over-cap": 8,
    "busy": 9,
    "closed": 9,
    "durability": 10,
    "content": 11,
    "encoding": 11,
    "internal": 1,
    "io": 1,
}
"""By what the caller can do about it: another name, another mode, permission, room, patience."""

_FLAGS: Final = {
    "--rotate-daily": ("append", "rotate the file before the first record of a day in UTC"),
    "--gzip": ("append", "compress rotated files"),
    "--folder": ("rm", "NAME is an empty folder"),
    "--portable": ("put append mv mkdir", "accept only names that are valid on every system"),
    "--create-root": ("put append mkdir", "create the root if it is missing"),
}
"""Option -> the commands that have it, and its help."""


def parser(command: str) -> Parser:
    """Return the parser of a command's arguments."""
    words, does = USES[command]
    made = Parser(
        command,
        words,
        "name below the root",
        f"{does}\n\nNames are relative to the root; nothing outside it is changed.",
        usage=f"limpet {command} {words} --root FOLDER [OPTIONS]",
    )
    add = made.add_argument
    add("--root", metavar="FOLDER", required=True, help="write below this folder and nowhere else")
    if command in {"put", "mv"}:
        add_choice(add, "--if-exists", IF_EXISTS, "what to do if the name is taken", "refuse")
    add_options(add, *_OPERATIONS[command])
    if command == "append":
        add(
            "--rotate-bytes",
            metavar="N",
            type=whole_number(1),
            help="rotate the file before a record that would make it larger than this",
        )
        add(
            "--keep",
            metavar="N",
            type=whole_number(0),
            help="maximum number of rotated files (all)",
        )
    add_flags(add, {flag: text for flag, (of, text) in _FLAGS.items() if command in of.split()})
    add_choice(add, "--durability", LEVELS, "what survives a crash of the system", "none")
    add_flags(add, {"--json": "write the result, or the refusal, as JSON"})
    return made


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = parser(command).read(argv)
    rotation = _rotation(given) if command == "append" else None
    create, portable = (getattr(given, name, False) for name in ("create_root", "portable"))
    refusal: Refused | OutputError
    try:
        with Output(given.root, create=create, portable=portable) as out:
            result = out.perform(_operation(command, given, rotation))
    except OutputError as error:
        refusal = error
    else:
        if isinstance(result, Done):
            if given.json:
                print(json.dumps(_wire(result)))
            return 0
        refusal = result
    message = refusal.message if isinstance(refusal, Refused) else str(refusal)
    if given.json:
        wire = {"v": 1, "ok": False, "code": refusal.code, "message": message}
        print(json.dumps(wire | {"errno": refusal.errno}))
    complain(f"limpet: {message}")
    return {str(code): number for code, number in EXIT_CODES.items()}.get(refusal.code, 1)


def _operation(command: str, given: Namespace, rotation: Rotation | None) -> Operation:
    """Return the operation; standard input is read here, so a wrong root consumes none of it."""
    kind, fields = _OPERATIONS[command]
    values = given_options(given, kind, fields)
    values |= {"name": given.words[0], "durability": given.durability}
    replace = getattr(given, "if_exists", "") == "replace"
    match command:
        case "put" | "append":
            if sys.stdin is None:
                message = "there is no standard input to read the content from"
                raise UsageError(message)
            values["content"] = sys.stdin.buffer.read()
            if command == "append":
                values["rotation"] = rotation
            elif replace:
                kind = OverwriteFile
        case "rm" if given.folder:
            kind = DeleteDir
        case "mv":
            values |= {"target": given.words[1], "overwrite": replace}
    return kind(**values)


def _rotation(given: Namespace) -> Rotation | None:
    """Return when a file that is appended to is rotated.

    Raises:
        UsageError: There are options for rotated files, and none that rotates.
    """
    if given.rotate_bytes is not None or given.rotate_daily:
        return Rotation(
            max_bytes=given.rotate_bytes,
            daily=given.rotate_daily,
            keep=given.keep,
            compress=given.gzip,
        )
    if given.keep is not None or given.gzip:
        message = "--keep and --gzip are about rotated files: they need --rotate-bytes or -daily"
        raise UsageError(message)
    return None


def _wire(done: Done) -> Json:
    wire: Json = {"v": 1, "ok": True}
    put_path(wire, "path", done.path)
    wire |= {"bytes": done.bytes, "existed": done.existed, "root": done.root}
    if done.stat is not None:
        wire |= {"size": done.stat.size, "mode": f"{done.stat.mode & 0o7777:04o}"}
    return wire
