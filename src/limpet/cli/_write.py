"""One operation below a root; its result is the exit code, and JSON if that is asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Final

from limpet._wire import Json, put_path
from limpet.errors import OutputError, UsageError
from limpet.output import Done, Operation, Output, RefusalCode, Refused

__all__ = ["EXIT_CODES", "content", "run"]

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
    "encoding": 11,
    "io": 1,
}
"""By what the caller can do about it: another name, another mode, permission, room, patience."""


def content() -> bytes:
    """Return all of standard input; it is read to its end before anything is written.

    Raises:
        UsageError: There is none.
    """
    if sys.stdin is None:
        message = "there is no standard input to read the content from"
        raise UsageError(message)
    return sys.stdin.buffer.read()


def run(
    root: str,
    operation: Callable[[], Operation],
    *,
    create: bool,
    portable: bool,
    as_json: bool,
) -> int:
    """Open the root, carry out the operation and return the exit code.

    Args:
        root: The directory.
        operation: Is called once the root is open: a wrong root consumes no input.
        create: Create the root if it is missing.
        portable: Accept only portable names.
        as_json: Write the result to standard output, that of a refusal too.

    Raises:
        UsageError: The root's path is no path.
    """
    refusal: Refused | OutputError
    try:
        with Output(root, create=create, portable=portable) as out:
            result = out.perform(operation())
    except OutputError as error:
        refusal = error
    else:
        if isinstance(result, Done):
            if as_json:
                print(json.dumps(_wire(result)))
            return 0
        refusal = result
    message = refusal.message if isinstance(refusal, Refused) else str(refusal)
    if as_json:
        wire = {"v": 1, "ok": False, "code": refusal.code, "message": message}
        print(json.dumps(wire | {"errno": refusal.errno}))
    print(f"limpet: {message}", file=sys.stderr)
    return {str(code): number for code, number in EXIT_CODES.items()}.get(refusal.code, 1)


def _wire(done: Done) -> Json:
    wire: Json = {"v": 1, "ok": True}
    put_path(wire, "path", done.path)
    wire |= {"bytes": done.bytes, "existed": done.existed, "root": done.root}
    if done.stat is not None:
        wire |= {"size": done.stat.size, "mode": f"{done.stat.mode & 0o7777:04o}"}
    return wire
