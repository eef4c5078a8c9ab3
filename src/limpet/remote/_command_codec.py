"""Output operations as messages: what a bot asks of another host, and what it is answered."""

from __future__ import annotations

import base64
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any, Final, Literal

from limpet.errors import OutputError, UsageError
from limpet.events import FileStat
from limpet.output import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Done,
    MakeDir,
    MoveFile,
    Operation,
    OverwriteFile,
    Result,
    verb_of,
)
from limpet.remote._envelope import ObjectRef
from limpet.remote._path import Flavour, RemotePath

__all__ = [
    "OPERATIONS",
    "CommandError",
    "RemoteCode",
    "RemoteRefusedError",
    "RemoteResult",
    "answer_of",
    "decode_command",
    "encode_command",
    "read_answer",
]

OPERATIONS: Final[dict[str, type[Operation]]] = {
    "create": CreateFile,
    "overwrite": OverwriteFile,
    "append": AppendToFile,
    "delete": DeleteFile,
    "delete_dir": DeleteDir,
    "make_dir": MakeDir,
    "move": MoveFile,
}

RemoteCode = Literal[
    "bad-command",
    "conflict",
    "content-gone",
    "expired",
    "host-away",
    "not-allowed",
    "unknown-output",
]
"""Why a command was not done, beyond what a local output says; stable across releases."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""Of a command: it becomes a token of its answer's subject, and must not end or shift it."""
_NOT_SENT: Final = {"rotation", "lock", "newline_guard", "content", "name", "target"}
"""Where a record goes must be known before it is written, or it could not be found again."""


class CommandError(ValueError):
    """A message under a command's subject is none; the text says what is wrong with it."""


class RemoteRefusedError(OutputError):
    """The other host did not do it; ``code`` says why, as of a local output, or ``expired``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteResult:
    """What another host answered."""

    id: str
    """Of the command."""
    ok: bool
    """It was done."""
    code: str
    """``done``; or why not: a ``RefusalCode`` or a ``RemoteCode``."""
    message: str
    """Of a refusal, what was tried, on what, why not, and what to do next."""
    path: RemotePath | None
    bytes: int
    existed: bool | None
    stat: FileStat | None

    def check(self) -> RemoteResult:
        """Give it back if it was done.

        Raises:
            RemoteRefusedError: It was not.
        """
        if not self.ok:
            name = "" if self.path is None else str(self.path)
            raise RemoteRefusedError(
                self.message, code=self.code, name=name, operation="remote", errno=None
            )
        return self


def encode_command(
    operation: Operation,
    *,
    id: str,
    expires_s: float,
    content: ObjectRef | None = None,
) -> bytes:
    """Give a command's bytes.

    Args:
        operation: What is to be done.
        id: Of the command.
        expires_s: Seconds after which it is not to be done any more.
        content: Where the content lies, if it is too large to travel along.

    Raises:
        UsageError: It has an option that cannot be done once and only once from afar, or an id
            that cannot be a token of a subject.
    """
    if not _ID.fullmatch(id):
        message = f"the id {id!r} of a command must be 1 to 128 of A-Z, a-z, 0-9, '_' and '-'"
        raise UsageError(message)
    body: dict[str, object] = {"v": 1, "id": id, "verb": verb_of(operation), "expires_s": expires_s}
    _put_name(body, "name", operation.name)
    options: dict[str, object] = {}
    for item in fields(operation):
        value = getattr(operation, item.name)
        if item.name in _NOT_SENT:
            if item.name in {"rotation", "lock", "newline_guard"} and value:
                message = (
                    f"{item.name} is not sent to another host: how far an append came could not be "
                    "found out after a crash; set it at the agent's output"
                )
                raise UsageError(message)
            continue
        if value != item.default:
            options[item.name] = value
    if isinstance(operation, MoveFile):
        _put_name(body, "target", operation.target)
    if isinstance(operation, CreateFile | OverwriteFile | AppendToFile):
        options.pop("encoding", None)
        options.pop("newline", None)
        if content is None:
            body["b64"] = base64.b64encode(operation.data()).decode("ascii")
        else:
            body["content_ref"] = content.to_json()
    body["options"] = options
    return json.dumps(body, separators=(",", ":")).encode()


def decode_command(raw: bytes, verb: str) -> tuple[dict[str, Any], ObjectRef | None]:
    """Read a command that came under the subject of ``verb``.

    Raises:
        CommandError: It is none, or says something else than its subject.
    """
    try:
        body: dict[str, Any] = json.loads(raw)
        if body["v"] != 1 or body["verb"] != verb or verb not in OPERATIONS:
            message = f"the subject says {verb!r}, the command {body.get('verb')!r}"
            raise CommandError(message)
        if not isinstance(body["id"], str) or not _ID.fullmatch(body["id"]):
            message = "it has no id that can be a token of a subject"
            raise CommandError(message)
        if not math.isfinite(float(body["expires_s"])):
            message = "it has no end"
            raise CommandError(message)
        ref = body.get("content_ref")
        if ref is None:
            return body, None
        return body, ObjectRef.from_json(ref)
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        if isinstance(error, CommandError):
            raise
        message = f"it is no command: {error!r}"
        raise CommandError(message) from error


def operation_of(body: Mapping[str, Any], content: bytes | None) -> Operation:
    """Make the operation of a command's body.

    Raises:
        CommandError: It has options there are not, or no name.
    """
    kind = OPERATIONS[body["verb"]]
    known = {item.name for item in fields(kind)} - _NOT_SENT
    options = dict(body.get("options") or {})
    if wrong := sorted(options.keys() - known):
        message = f"{body['verb']} has no option {', '.join(wrong)}"
        raise CommandError(message)
    try:
        options["name"] = _name_of(body, "name")
        if kind is MoveFile:
            options["target"] = _name_of(body, "target")
        if kind in {CreateFile, OverwriteFile, AppendToFile}:
            data = content if content is not None else base64.b64decode(body["b64"], validate=True)
            options["content"] = data
        return kind(**options)
    except (KeyError, TypeError, ValueError) as error:
        message = f"it is no {body['verb']}: {error}"
        raise CommandError(message) from error


def _put_name(body: dict[str, object], key: str, name: str | PurePath) -> None:
    text = name.as_posix() if isinstance(name, PurePath) else name
    try:
        text.encode()
    except UnicodeEncodeError:
        body[key + "_b64"] = base64.b64encode(os.fsencode(text)).decode("ascii")
    else:
        body[key] = text


def _name_of(body: Mapping[str, Any], key: str) -> str:
    exact = body.get(key + "_b64")
    if isinstance(exact, str):
        return os.fsdecode(base64.b64decode(exact))
    name = body[key]
    if not isinstance(name, str):
        message = f"its {key} is no text"
        raise CommandError(message)
    return name


# -- answers -----------------------------------------------------------------------------------


def answer_of(id: str, result: Result, flavour: Flavour) -> bytes:
    """Give the bytes of the answer that says what an operation came to."""
    if not isinstance(result, Done):
        return refusal(id, result.code, result.message)
    stat = result.stat
    known = (
        None if stat is None else {item.name: getattr(stat, item.name) for item in fields(FileStat)}
    )
    body: dict[str, object] = {
        "v": 1,
        "id": id,
        "ok": True,
        "code": "done",
        "message": "",
        "flavour": flavour,
        "path_b64": base64.b64encode(os.fsencode(result.path)).decode("ascii"),
        "bytes": result.bytes,
        "existed": result.existed,
        "stat": known,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def refusal(id: str, code: str, message: str) -> bytes:
    """Give the bytes of an answer that says why it was not done."""
    text = message.encode("utf-8", "replace").decode()
    body = {"v": 1, "id": id, "ok": False, "code": code, "message": text}
    return json.dumps(body, separators=(",", ":")).encode()


def read_answer(raw: bytes, host: str) -> RemoteResult:
    """Read an answer of a host.

    Raises:
        CommandError: It is none.
    """
    try:
        body = json.loads(raw)
        flavour: Flavour = "windows" if body.get("flavour") == "windows" else "posix"
        stat = body.get("stat")
        return RemoteResult(
            id=str(body["id"]),
            ok=bool(body["ok"]),
            code=str(body["code"]),
            message=str(body["message"]),
            path=RemotePath.from_wire(host, flavour, body, "path"),
            bytes=int(body.get("bytes", 0)),
            existed=body.get("existed"),
            stat=None if stat is None else FileStat(**stat),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"an answer of host {host!r} cannot be read: {error!r}"
        raise CommandError(message) from error
