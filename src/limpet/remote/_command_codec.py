"""Operations of an output as messages: commands to another host, and their answers."""

from __future__ import annotations

import base64
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import PurePath
from typing import Any, Final, Literal

from limpet._wire import Json, path_of, put_path
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
from limpet.remote._envelope import DECODING_ERRORS, ObjectRef
from limpet.remote._path import Flavour, RemotePath

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
"""Reasons for refusing a command, besides those of a local output; stable across releases."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""The id of a command: a token of its answer's subject, which it must not end or shift."""
_NOT_SENT: Final = {"rotation", "lock", "newline_guard", "content", "name", "target"}
"""Options that are not sent, or not as options. With those of an append, the place of its record
would be unknown before it is written, and it could not be found again."""


class CommandError(ValueError):
    """A message on the subject of a command, or of an answer, is invalid; the text says why."""


class CommandRefused(Exception):  # noqa: N818 - a result, not a failure
    """A command is not executed; its answer has this code and this text."""

    def __init__(self, text: str, *, code: RemoteCode) -> None:
        super().__init__(text)
        self.code = code


class RemoteRefusedError(OutputError):
    """The other host refused it; ``code`` is the reason: a ``RefusalCode`` or a ``RemoteCode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteResult:
    """The answer of another host."""

    id: str
    """The id of the command."""
    ok: bool
    """Whether it was performed."""
    code: str
    """``done``, or the reason of a refusal: a ``RefusalCode`` or a ``RemoteCode``."""
    message: str
    """Of a refusal: the operation, its target, the reason and the next step."""
    path: RemotePath | None = None
    bytes: int = 0
    existed: bool | None = None
    stat: FileStat | None = None

    def check(self) -> RemoteResult:
        """Return this result if it was performed.

        Raises:
            RemoteRefusedError: It was refused.
        """
        if not self.ok:
            name = "" if self.path is None else str(self.path)
            raise RemoteRefusedError(
                self.message, code=self.code, name=name, operation="remote", errno=None
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that was decoded."""

    id: str
    verb: str
    expires_s: float
    """Seconds after which it must not be performed any more."""
    ref: ObjectRef | None
    """Its content, if that is too large for the message."""
    body: Mapping[str, Any]

    def operation(self, content: bytes | None) -> Operation:
        """Return the operation, with the content that ``ref`` names.

        Raises:
            CommandError: It has unknown options, or no name.
        """
        kind, body = OPERATIONS[self.verb], self.body
        known = {item.name for item in fields(kind)} - _NOT_SENT
        options = dict(body.get("options") or {})
        if wrong := sorted(options.keys() - known):
            message = f"{self.verb} has no option {', '.join(wrong)}"
            raise CommandError(message)
        try:
            options["name"] = _name_of(body, "name")
            if kind is MoveFile:
                options["target"] = _name_of(body, "target")
            if kind in {CreateFile, OverwriteFile, AppendToFile}:
                if content is None:
                    content = base64.b64decode(body["b64"], validate=True)
                options["content"] = content
            return kind(**options)
        except (KeyError, TypeError, ValueError) as error:
            message = f"it is not a valid {self.verb}: {error}"
            raise CommandError(message) from error


def encode_command(
    operation: Operation,
    *,
    id: str,
    expires_s: float,
    content: ObjectRef | None = None,
) -> bytes:
    """Return a command's bytes.

    Args:
        operation: The operation to perform.
        id: The id of the command.
        expires_s: Seconds after which it must not be performed any more.
        content: Its content, if that is too large for the message.

    Raises:
        UsageError: It has an option that cannot be performed exactly once on another host, or an id
            that cannot be a token of a subject.
    """
    if not _ID.fullmatch(id):
        message = f"the id {id!r} of a command must be 1 to 128 of A-Z, a-z, 0-9, '_' and '-'"
        raise UsageError(message)
    body: Json = {"v": 1, "id": id, "verb": verb_of(operation), "expires_s": expires_s}
    put_path(body, "name", _text_of(operation.name))
    options: dict[str, object] = {}
    for item in fields(operation):
        value = getattr(operation, item.name)
        if item.name in _NOT_SENT:
            if item.name in {"rotation", "lock", "newline_guard"} and value:
                message = (
                    f"{item.name} is not sent to another host: after a crash it is unknown how "
                    "much of an append was written; set it in the agent's output"
                )
                raise UsageError(message)
            continue
        if value != item.default:
            options[item.name] = value
    if isinstance(operation, MoveFile):
        put_path(body, "target", _text_of(operation.target))
    if isinstance(operation, CreateFile | OverwriteFile | AppendToFile):
        options.pop("encoding", None)
        options.pop("newline", None)
        if content is None:
            body["b64"] = base64.b64encode(operation.data()).decode("ascii")
        else:
            body["content_ref"] = content.to_json()
    body["options"] = options
    return json.dumps(body, separators=(",", ":")).encode()


def decode_command(raw: bytes, verb: str) -> Command:
    """Return the command in a message on a subject of ``verb``.

    Raises:
        CommandError: It is invalid, or contradicts its subject.
    """
    try:
        body: dict[str, Any] = json.loads(raw)
        if body["v"] != 1 or body["verb"] != verb or verb not in OPERATIONS:
            message = f"its subject has the verb {verb!r}, the command {body.get('verb')!r}"
            raise CommandError(message)
        if not isinstance(body["id"], str) or not _ID.fullmatch(body["id"]):
            message = "its id cannot be a token of a subject"
            raise CommandError(message)
        expires = float(body["expires_s"])
        if not math.isfinite(expires):
            message = "it never expires"
            raise CommandError(message)
        ref = body.get("content_ref")
        ref = None if ref is None else ObjectRef.from_json(ref)
        return Command(id=body["id"], verb=verb, expires_s=expires, ref=ref, body=body)
    except CommandError:
        raise
    except DECODING_ERRORS as error:
        message = f"it is not a command: {error!r}"
        raise CommandError(message) from error


def _text_of(name: str | PurePath) -> str:
    return name.as_posix() if isinstance(name, PurePath) else name


def _name_of(body: Mapping[str, Any], key: str) -> str:
    raw = path_of(body, key)
    if raw is None:
        message = f"it has no {key}"
        raise CommandError(message)
    return os.fsdecode(raw)


# -- answers -------------------------------------------------------------------------------------


def encode_result(id: str, result: Result, flavour: Flavour) -> bytes:
    """Return the bytes of the answer with the result of an operation."""
    if not isinstance(result, Done):
        return encode_refusal(id, result.code, result.message)
    stat = result.stat
    body: Json = {
        "v": 1,
        "id": id,
        "ok": True,
        "code": "done",
        "message": "",
        "flavour": flavour,
        "bytes": result.bytes,
        "existed": result.existed,
        "stat": None if stat is None else asdict(stat),
    }
    put_path(body, "path", result.path)
    return json.dumps(body, separators=(",", ":")).encode()


def encode_refusal(id: str, code: str, message: str) -> bytes:
    """Return the bytes of an answer that refuses a command."""
    text = message.encode("utf-8", "replace").decode()
    body = {"v": 1, "id": id, "ok": False, "code": code, "message": text}
    return json.dumps(body, separators=(",", ":")).encode()


def decode_answer(raw: bytes, host: str) -> RemoteResult:
    """Return the answer in a message of a host.

    Raises:
        CommandError: It is invalid.
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
        message = f"an answer of host {host!r} is invalid: {error!r}"
        raise CommandError(message) from error
