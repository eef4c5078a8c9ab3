"""One operation below a root: done, and said as JSON if asked; why not is the exit code."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final

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
    """Give all of standard input; it is read to its end before anything is written.

    Raises:
        UsageError: There is none.
    """
    if sys.stdin is None:
        message = "there is no standard input to take the content from"
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
    """Open the root, do it, and give the exit code.

    Args:
        root: The folder.
        operation: Gives what to do, once the root is open: a wrong root costs no input.
        create: Make the root if it is missing.
        portable: Take only portable names.
        as_json: Write the answer to standard output, done or not.

    Raises:
        UsageError: The root's path is no path.
    """
    out = Output(root, create=create, portable=portable)
    try:
        with out:
            answer = out.perform(operation())
    except OutputError as error:
        return _refused(error.code, str(error), error.errno, as_json=as_json)
    if isinstance(answer, Refused):
        return _refused(answer.code, answer.message, answer.errno, as_json=as_json)
    if as_json:
        _say(_done(answer))
    return 0


def _refused(code: str, message: str, number: int | None, *, as_json: bool) -> int:
    if as_json:
        _say({"v": 1, "ok": False, "code": code, "message": message, "errno": number})
    print(f"limpet: {message}", file=sys.stderr)
    return next((exit_code for known, exit_code in EXIT_CODES.items() if known == code), 1)


def _done(answer: Done) -> dict[str, Any]:
    path = os.fspath(answer.path)
    wire: dict[str, Any] = {
        "v": 1,
        "ok": True,
        "path": os.fsencode(path).decode("utf-8", "replace"),
        "bytes": answer.bytes,
        "existed": answer.existed,
        "root": answer.root,
    }
    if wire["path"] != path:
        wire["path_b64"] = base64.b64encode(os.fsencode(path)).decode("ascii")
    if answer.stat is not None:
        wire["size"] = answer.stat.size
        wire["mode"] = f"{answer.stat.mode & 0o7777:04o}"
    return wire


def _say(wire: dict[str, Any]) -> None:
    print(json.dumps(wire, ensure_ascii=True))
