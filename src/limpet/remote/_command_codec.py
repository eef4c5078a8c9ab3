"""Operations of an output as messages: commands to another host, and their answers."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import PurePath
from typing import Any, Final, Literal, cast

from limpet._dead_letter import shortened
from limpet._wire import Json, path_of, put_path
from limpet.errors import OutputError, UsageError
from limpet.events import FileStat, Kind
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
from limpet.remote._envelope import DECODING_ERRORS, ObjectRef, check_version
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
_FOREVER_S: Final = 10.0 * 365 * 86_400
"""Seconds that no command waits: what is larger is a mistake."""
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
    """What a refusal says: the operation, its target, the reason and the next step."""
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
        CommandError: It is invalid, is of another version, or contradicts its subject.
    """
    try:
        body: dict[str, Any] = json.loads(raw)
        check_version(body, "commands")
        if body["verb"] != verb or verb not in OPERATIONS:
            message = f"its subject has the verb {verb!r}, the command {body.get('verb')!r}"
            raise CommandError(message)
        if not isinstance(body["id"], str) or not _ID.fullmatch(body["id"]):
            message = "its id cannot be a token of a subject"
            raise CommandError(message)
        expires = body["expires_s"]
        if type(expires) not in {int, float} or not 0 <= expires < _FOREVER_S:
            message = f"it expires after {expires!r} s, which is no time"
            raise CommandError(message)
        if not isinstance(body.get("options", {}), dict):
            message = "its options are not a mapping"
            raise CommandError(message)
        ref = body.get("content_ref")
        ref = None if ref is None else ObjectRef.from_json(ref)
        return Command(id=body["id"], verb=verb, expires_s=float(expires), ref=ref, body=body)
    except CommandError:
        raise
    except DECODING_ERRORS as error:
        message = f"it is not a command: {error!r}"
        raise CommandError(shortened(message)) from error


def id_of(raw: bytes) -> str | None:
    """Return the id of what may be an invalid command; ``None`` if it has none."""
    try:
        found = json.loads(raw)["id"]
    except DECODING_ERRORS:
        return None
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


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
    body = {"v": 1, "id": id, "ok": False, "code": code, "message": shortened(message)}
    return json.dumps(body, separators=(",", ":")).encode()


def decode_answer(raw: bytes, host: str) -> RemoteResult:
    """Return the answer in a message of a host.

    Raises:
        CommandError: It is invalid.
    """
    try:
        body = json.loads(raw)
        check_version(body, "answers")
        for key, kind in (("id", str), ("ok", bool), ("code", str), ("message", str)):
            if not isinstance(body[key], kind):
                message = f"its {key} is {body[key]!r}"
                raise TypeError(message)
        existed, size = body.get("existed"), body.get("bytes", 0)
        if not (existed is None or isinstance(existed, bool)) or type(size) is not int:
            message = f"it has existed={existed!r} and bytes={size!r}"
            raise TypeError(message)
        flavour: Flavour = "windows" if body.get("flavour") == "windows" else "posix"
        stat = body.get("stat")
        return RemoteResult(
            id=body["id"],
            ok=body["ok"],
            code=body["code"],
            message=body["message"],
            path=RemotePath.from_wire(host, flavour, body, "path"),
            bytes=size,
            existed=existed,
            stat=None if stat is None else _stat_of(stat),
        )
    except DECODING_ERRORS as error:
        message = f"an answer of host {host!r} is invalid: {error!r}"
        raise CommandError(shortened(message)) from error


def _stat_of(found: Mapping[str, Any]) -> FileStat:
    """Return what an answer says of the file; keys that this version does not know are left out."""
    known = {item.name: found[item.name] for item in fields(FileStat)}
    kind = known.pop("kind")
    if not isinstance(kind, str) or any(
        isinstance(value, bool) or not isinstance(value, int | float | None)
        for value in known.values()
    ):
        message = f"its stat is {found!r}"
        raise TypeError(message)
    return FileStat(**known, kind=cast("Kind", kind))
